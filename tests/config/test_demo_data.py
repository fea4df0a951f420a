"""The demo's own data: nobody's else is cleared, nor that of a demo that runs; and nothing is left mounted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.demo import fresh
from config.demo.show import DemoFailed
from config.parts import ROOT
from config.supervisor import take_lock
from resources import disk_images, workspaces
from resources.workspaces import Kind


def _demo(data: Path, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MOORAGE_DATA": str(data), **given}
    argv = [sys.executable, "manage.py", "demo", "--timeout", "1"]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_second_demo_leaves_the_data_of_the_first_alone(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    fresh.mark(data)
    (data / "moorage.sqlite3").write_text("of the first")
    lock = take_lock(data)
    try:
        second = _demo(tmp_path)
    finally:
        os.close(lock)
    assert second.returncode == 1
    assert f"Process {os.getpid()} already runs the stack" in second.stderr
    assert "MOORAGE_DATA" in second.stderr, "the way on"
    assert (data / "moorage.sqlite3").read_text() == "of the first"


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.txt").write_text("mine")
    refused = _demo(tmp_path)
    assert refused.returncode == 1
    assert "Move it away" in refused.stderr
    assert (tmp_path / "demo" / "thesis.txt").exists()


@pytest.mark.parametrize(
    "kind", [Kind.DIRECTORY, pytest.param(Kind.IMAGE, marks=pytest.mark.needs_loop_devices)]
)  # fmt: skip
def test_what_an_earlier_demo_left_goes_also_what_it_left_mounted(data_directory: Path, kind: Kind) -> None:
    fresh.mark(data_directory)
    place = workspaces.place_of("left-behind-1")
    workspaces.create(place, limit_mb=16, kind=kind)
    (place / "file").touch()
    (data_directory / "remotes").mkdir()
    (data_directory / "report.json").touch()
    lock = take_lock(data_directory)
    fresh.clear(data_directory)
    os.close(lock)
    assert {path.name for path in data_directory.iterdir()} == {fresh.MARK, "run"}
    assert {path.name for path in (data_directory / "run").iterdir()} <= {"supervisor.lock"}
    assert not disk_images.is_mounted(place)


def test_only_marked_data_is_cleared(data_directory: Path) -> None:
    (data_directory / "vaults").mkdir()
    with pytest.raises(DemoFailed, match="Move it away"):
        fresh.clear(data_directory)
    assert (data_directory / "vaults").exists()


def test_the_demo_uses_its_own_redis_and_database_however_others_were_given(tmp_path: Path) -> None:
    """Both point at nothing: with either of them it would not come far enough to run out of time."""
    (tmp_path / "url").write_text("redis://127.0.0.1:1/0")
    done = _demo(
        tmp_path, MOORAGE_REDIS_URL_FILE=str(tmp_path / "url"), MOORAGE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x"
    )
    assert (tmp_path / "demo" / "run" / "supervisor.lock").exists(), done.stderr
    log = (tmp_path / "demo" / "stack.log").read_text()
    assert "redis" in log, "it starts one of its own"
    assert list((tmp_path / "demo" / "workspaces").glob("*")) == [], "it was late, and leaves nothing behind"
