"""A test session that is killed leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.patience import eventually

ROOT = Path(__file__).resolve().parent.parent
SESSION = """
import subprocess, sys
from pathlib import Path
from tests.fakes import tied
place = Path(sys.argv[1])
janitor = tied.Janitor(place)
subprocess.Popen(tied.argv("sleep", "600"))
subprocess.Popen(["sh", "-c", "sleep 600; true", str(place / "engine.sock")], start_new_session=True)
print("started", flush=True)
sys.stdin.read()
if sys.argv[2] == "politely":
    janitor.dismiss()
    janitor.dismiss()
    print("cleared", flush=True)
    sys.stdin.read()
"""


def session(place: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SESSION, str(place), how],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def lives(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended may wait for whoever collects it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_session_that_is_killed_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    place = tmp_path / "engine"
    place.mkdir()
    with session(place, "killed") as process:
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 3
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not any(map(lives, started)))
    assert not place.exists()


def test_a_janitor_that_is_dismissed_clears_at_once(tmp_path: Path) -> None:
    place = tmp_path / "engine"
    place.mkdir()
    process = session(place, "politely")
    started = psutil.Process(process.pid).children(recursive=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.close()
        assert process.stdout.readline() == "cleared\n"
        assert not place.exists()
    eventually(lambda: not any(map(lives, started)))
