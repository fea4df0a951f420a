"""A container that dies is reported at once, with the true cause; so is an engine that goes away."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from resources import breakers, engine_events
from resources.engine_events import Causes, Died, OutOfMemory
from resources.sandboxes import policy, selection
from resources.sandboxes.engine import engine
from resources.sandboxes.protocol import Command, Profile, Sandbox, Tier
from tests.fakes.engine_process import EngineProcess, engine_process, own_engine

__all__ = ["engine_process", "own_engine"]

SOON_S = 60.0  # the docs promise 5 on a host that is not overloaded


class Heard:
    """What a listener was told, in order, and a wait for more."""

    def __init__(self) -> None:
        self.events: list[Died | OutOfMemory] = []
        self.engine: list[str] = []

    def until(self, condition: Callable[[], bool], *, within_s: float = SOON_S) -> bool:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def died(self, name: str) -> list[Died]:
        return [event for event in self.events if isinstance(event, Died) and event.name == name]


@pytest.fixture
def heard(settings: Any, tmp_path: Path) -> Iterator[Heard]:
    """A listener of this test's own install, listening."""
    settings.INSTALL_ID = f"test-{uuid.uuid4()}"
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    heard, stop = Heard(), threading.Event()

    def listen() -> None:
        engine_events.follow(
            on_event=heard.events.append,
            on_silence=lambda words: heard.engine.append("silent"),
            on_answer=lambda: heard.engine.append("answers"),
            stop=stop,
        )

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    time.sleep(0.5)
    yield heard
    stop.set()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    yield from _open(tmp_path)


def _open(tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "berth").mkdir(mode=0o755)
    profile = Profile(
        owner="agent:heard", generation=1, workspace=tmp_path / "berth", memory_mb=64,
        install=django_settings.INSTALL_ID,
    )  # fmt: skip
    opened = selection.open_sandbox(profile, minimum=Tier.CONTAINER, allow_bare=False)
    yield opened
    opened.close()


def name_of(sandbox: Sandbox) -> str:
    return str(sandbox.reference()["name"])


def gone(heard: Heard, name: str) -> bool:
    return any(died.removed for died in heard.died(name))


def event(action: str, *, key: str = "c1", **said: str) -> dict[str, Any]:
    labels = {policy.LABEL: "moorage-x", policy.OWNER_LABEL: "agent:x"}
    return {"Action": action, "Actor": {"ID": key, "Attributes": {**labels, **said}}}


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ([event("die", exitCode="0")], "exited with code 0"),
        ([event("die", exitCode="3")], "exited with code 3"),
        ([event("kill", signal="9"), event("die", exitCode="137")], "killed by SIGKILL"),
        ([event("kill", signal="15"), event("die", exitCode="143")], "killed by SIGTERM"),
        ([event("kill", signal="12"), event("die", exitCode="140")], "killed by signal 12"),
        ([event("oom"), event("die", exitCode="137")], "out of memory"),
        ([event("oom"), event("die", exitCode="1")], "exited with code 1"),
        ([event("oom", key="other"), event("die", exitCode="137")], "killed by SIGKILL, not through the engine"),
        ([event("destroy")], "it was removed"),
    ],
)
def test_the_cause_is_told_from_what_was_said_before(said: list[dict[str, Any]], cause: str) -> None:
    causes = Causes()
    last = [causes.of(one) for one in said][-1]
    assert isinstance(last, Died)
    assert last.cause == cause


def test_what_it_remembers_is_bounded() -> None:
    causes = Causes()
    for number in range(5000):
        causes.of(event("kill", key=f"c{number}", signal="9"))
        causes.of(event("oom", key=f"c{number}"))
    assert len(causes._signals) + len(causes._starved) <= 2 * engine_events._REMEMBERED


@pytest.mark.needs_docker
def test_one_that_is_killed_is_heard_of_with_the_signal(heard: Heard, sandbox: Sandbox) -> None:
    with engine() as client:
        client.containers.get(name_of(sandbox)).kill()
    assert heard.until(lambda: bool(heard.died(name_of(sandbox))))
    assert heard.died(name_of(sandbox)) == [Died(name_of(sandbox), "agent:heard", "killed by SIGKILL")]


@pytest.mark.needs_docker
def test_one_that_is_removed_is_heard_of_as_gone(heard: Heard, sandbox: Sandbox) -> None:
    with engine() as client:
        client.containers.get(name_of(sandbox)).remove(force=True)
    assert heard.until(lambda: gone(heard, name_of(sandbox)))


@pytest.mark.needs_docker
def test_a_process_that_wants_too_much_memory_is_heard_of_and_the_berth_lives(heard: Heard, sandbox: Sandbox) -> None:
    greedy = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    outcome = sandbox.run(Command(argv=("python3", "-c", greedy), timeout_s=30))
    assert not outcome.ok
    name = name_of(sandbox)
    assert heard.until(lambda: OutOfMemory(name, "agent:heard") in heard.events)
    assert sandbox.alive()
    assert heard.died(name) == []


@pytest.mark.needs_docker
def test_a_container_of_another_install_is_none_of_our_business(heard: Heard, settings: Any, tmp_path: Path) -> None:
    settings.INSTALL_ID = "somebody-else"
    for other in _open(tmp_path):
        with engine() as client:
            client.containers.get(name_of(other)).kill()
        assert not heard.until(lambda: bool(heard.events), within_s=1.5)


@pytest.mark.needs_docker
@pytest.mark.slow
def test_an_engine_that_is_killed_is_told_from_a_container_that_is(
    own_engine: EngineProcess, heard: Heard, tmp_path: Path
) -> None:
    breakers._own.clear()
    for sandbox in _open(tmp_path):
        name = name_of(sandbox)
        own_engine.kill()
        assert heard.until(lambda: heard.engine == ["silent"])
        own_engine.start()
        assert heard.until(lambda: heard.engine == ["silent", "answers"])
        with engine() as client:
            client.containers.get(name).remove(force=True)
        assert heard.until(partial(gone, heard, name)), "it listens again"
