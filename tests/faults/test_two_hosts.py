"""Two hosts: what ran on one that dies or is drained goes on on the other, once; and the first may come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from config.parts import ROOT
from tests.fakes import tied
from tests.flows.repositories import FIX, PROJECT, Remote, make
from tests.flows.stack import IN_A_HURRY, Stack, running_stack

pytestmark = [pytest.mark.slow, pytest.mark.needs_redis, pytest.mark.timeout(900)]
TTL_S = 3
SETTINGS = {
    "MOORAGE_ISOLATION": "bare", "MOORAGE_ALLOW_BARE": "1", "MOORAGE_WORKER_PROCESSES": "1",
    "MOORAGE_HOST_TTL_S": str(TTL_S), "MOORAGE_DRAIN_S": "1",
}  # fmt: skip
HERE, THERE = "node-1", "node-2"


class Host:
    """A worker of another host name, in a process group of its own: all of it dies at once."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MOORAGE_", "CELERY_"))},
            "MOORAGE_DATA": str(self._stack.data),
            "MOORAGE_REPOSITORY_ROOTS": str(self._stack.remotes),
            **IN_A_HURRY, **SETTINGS,
            "MOORAGE_HOST_NAME": THERE,
        }  # fmt: skip
        with (self._stack.data / f"{THERE}.log").open("ab") as log:
            self._process = subprocess.Popen(
                tied.argv(
                    sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-Q", f"host.{THERE}",
                    "-n", f"worker@{THERE}", "-P", "prefork", "-c", "1", "--without-gossip", "--without-mingle",
                ),
                cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert self._stack.ask("wait_verdict", host=THERE, verdict="alive"), self.log()

    @property
    def group(self) -> int:
        assert self._process is not None
        return self._process.pid

    def buried(self) -> None:
        assert self._process is not None
        self._process.wait(10)
        self._process = None

    def end(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self.buried()
        # Else the next one would be taken for alive by the heartbeats of this one, before it is up.
        assert self._stack.ask("wait_verdict", host=THERE, verdict="lost")

    def log(self) -> str:
        return (self._stack.data / f"{THERE}.log").read_text()[-4000:]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(beats=1, **IN_A_HURRY, **SETTINGS) as running:
        yield running


@pytest.fixture
def there(stack: Stack) -> Iterator[Host]:
    """The second host; the first is drained, so that what is asked for now lands on the second."""
    host = Host(stack)
    host.start()
    stack.ask("drain", host=HERE)
    yield host
    host.end()
    for name in (HERE, THERE):
        stack.ask("drain", host=name, back=True)


def request(stack: Stack, name: str) -> tuple[Remote, str]:
    remote = make(stack.remotes / f"{name}.git", PROJECT)
    return remote, stack.ask("submit", remote=str(remote.path), requirements=FIX, name=name)


def assert_done_once(stack: Stack, remote: Remote, operation: str) -> dict[str, Any]:
    row: dict[str, Any] = stack.ask("operation", id=operation)
    assert row["status"] == "succeeded", (row["error"], stack.ask("steps", id=operation), stack.log())
    result = row["result"]
    assert remote.branches() == {"main": result["base_commit"], result["branch"]: result["commit"]}
    assert remote.git("rev-parse", f"{result['commit']}^") == result["base_commit"]
    assert stack.ask("pull_requests", id=operation) == 1
    return row


@pytest.mark.parametrize("stage", ["analyze", "test"])
def test_what_ran_on_a_host_that_died_goes_on_on_another_and_its_berth_is_cleared_when_it_returns(
    stack: Stack, there: Host, stage: str
) -> None:
    before = len(stack.ask("agents"))
    remote, operation = request(stack, f"killed-{stage}")
    assert stack.ask("kill_host_in", id=operation, stage=stage, group=there.group), stack.log()
    there.buried()
    assert stack.ask("wait_verdict", host=THERE, verdict="lost")
    stack.ask("drain", host=HERE, back=True)
    assert stack.ask("wait_status", id=operation, status="succeeded"), (stack.ask("steps", id=operation), stack.log())
    assert_done_once(stack, remote, operation)
    first, *_others, second = seen = stack.ask("agents")[before:]
    assert len(seen) == 2, (seen, stack.ask("steps", id=operation))
    assert first["host"] == THERE
    # None where the operation noticed before the sweep did, and asked it to leave: then its step holds the reason.
    assert first["error"] is None or "stopped beating" in first["error"]["detail"]
    assert second["host"] == HERE
    assert stack.ask("left_held") != [], "nobody has cleared what stands on the dead host"
    there.start()
    assert stack.ask("wait_clear"), (stack.ask("left_held"), stack.log(), there.log())


def test_a_drained_host_is_left_when_its_time_is_over_and_the_work_goes_on_from_its_checkpoint(
    stack: Stack, there: Host
) -> None:
    before = len(stack.ask("agents"))
    remote, operation = request(stack, "drained")
    assert stack.ask("wait_stage", id=operation, stage="analyze"), stack.log()
    stack.ask("drain", host=HERE, back=True)
    stack.ask("drain", host=THERE)
    assert stack.ask("wait_status", id=operation, status="succeeded"), (stack.ask("steps", id=operation), stack.log())
    assert_done_once(stack, remote, operation)
    assert stack.ask("wait_clear"), (stack.ask("left_held"), stack.log(), there.log())
    assert stack.ask("agents")[before]["host"] == THERE


def test_with_no_other_host_it_waits_and_says_why_until_one_returns(stack: Stack, there: Host) -> None:
    remote, operation = request(stack, "alone")
    assert stack.ask("kill_host_in", id=operation, stage="code", group=there.group), stack.log()
    there.buried()
    assert stack.ask("wait_blocked", id=operation, kinds=["host_lost", "host_draining"]), stack.log()
    there.start()
    assert stack.ask("wait_status", id=operation, status="succeeded"), (stack.ask("steps", id=operation), stack.log())
    assert_done_once(stack, remote, operation)
    assert stack.ask("wait_clear"), (stack.ask("left_held"), stack.log(), there.log())
