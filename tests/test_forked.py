"""A forked process is as one that was started: its arguments, environment, descriptors, settings and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import psutil

from tests.fakes.forked import ROOT, Forked
from tests.patience import eventually

SLEEPS = """
import os
from tests.fakes.forked import Forked
print(Forked("timeit", "-n1", "-r1", "import time; time.sleep(600)", env={"A": "1"}, of="client").pid, flush=True)
os.read(0, 1)
"""


def said(program: str, **environment: str) -> list[str]:
    with TemporaryFile() as output:
        ours = Forked("timeit", "-n1", "-r1", program, env=environment, output=output)
        assert ours.wait(60) == 0
        output.seek(0)
        return output.read().decode().splitlines()[:-1]


def test_it_has_the_environment_it_was_given_and_the_settings_of_that(tmp_path: Path) -> None:
    shown = (
        "import os; from django.conf import settings; print(os.environ['MARK'], 'HOME' in os.environ, settings.DATA)"
    )
    assert said(shown, MARK="here", MOORAGE_DATA=str(tmp_path)) == [f"here False {tmp_path}"]
    assert said("import os; print(sorted(os.listdir('/proc/self/fd'), key=int))") == [
        "['0', '1', '2', '3']"  # and 3 is what it looks with
    ]


def test_it_reads_what_it_is_given_and_its_exit_code_and_errors_are_told() -> None:
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as errors:
        given.write(b"no JSON")
        given.seek(0)
        ours = Forked("json.tool", env={}, input=given, output=output, errors=errors, of="client")
        assert ours.wait(60) == 1
        errors.seek(0)
        output.seek(0)
        assert (b"Expecting value" in errors.read(), output.read()) == (True, b"")


def test_the_signal_that_ends_it_is_told_and_whoever_asked_again_is_told_the_same() -> None:
    ours = Forked("timeit", "-n1", "-r1", "import time; time.sleep(600)", env={}, of="client")
    assert ours.poll() is None
    ours.terminate()
    assert [ours.wait(60), ours.poll()] == [-signal.SIGTERM] * 2
    ours.kill()


def test_it_ends_with_whoever_asked_for_it_even_when_that_is_killed() -> None:
    asks = subprocess.Popen(
        [sys.executable, "-c", SLEEPS], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with asks:
        assert asks.stdout is not None
        pid = int(asks.stdout.readline())
        assert psutil.pid_exists(pid)
        asks.kill()
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
