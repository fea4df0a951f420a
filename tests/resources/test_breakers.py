"""Breakers: a failing service is left alone, probed by one, and everybody knows it — with or without Redis."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from events import live
from events.models import Event
from resources import breakers
from resources.breakers import FIRST_REST_S, LONGEST_REST_S, PROBE_S, THRESHOLD, WINDOW_S, Position, State, guard
from resources.sandboxes import selection
from resources.sandboxes.container import ContainerProvider
from resources.sandboxes.engine import EngineUnreachable
from tests.at_once import at_once
from tests.fakes.redis_process import RedisProcess

NAME = "forge.example"


class Trouble(Exception):
    """The service's own failure."""


@pytest.fixture
def shared(redis_url: str, settings: Any) -> Iterator[redis.Redis]:
    settings.REDIS_URL = redis_url
    client = live.client()
    client.flushall()
    breakers._paused_until.clear()
    yield client
    client.flushall()


@pytest.fixture
def alone(settings: Any, tmp_path: Path) -> Iterator[None]:
    """No Redis anywhere."""
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    breakers._own.clear()
    yield
    breakers._own.clear()


def fail(times: int, name: str = NAME) -> None:
    for _ in range(times):
        with pytest.raises(Trouble), guard(name, failures=(Trouble,)):
            raise Trouble("connection refused")


def position(name: str = NAME) -> Position:
    return next((breaker.position for breaker in breakers.known() if breaker.name == name), Position.CLOSED)


def rested(client: redis.Redis, name: str = NAME) -> None:
    """As if the rest were over."""
    key = breakers._KEY + name
    state = breakers._read(cast("bytes", client.get(key)))
    client.set(key, json.dumps(asdict(replace(state, open_until=state.opened_at))))


# --- the table of what happens, pure ---------------------------------------------------------------------------------


def opened(at: float = 1000.0) -> State:
    state = State()
    for _ in range(THRESHOLD):
        state = breakers.failed(state, at, reason="no")
    return state


def test_failures_in_a_row_open_it_and_old_ones_do_not_count() -> None:
    state = State()
    for _ in range(THRESHOLD - 1):
        state = breakers.failed(state, 1000.0, reason="no")
    assert state.position(1000.0) is Position.CLOSED
    late = breakers.failed(state, 1000.0 + WINDOW_S + 1, reason="no")
    assert (late.failures, late.position(1100.0)) == (1, Position.CLOSED)
    assert breakers.failed(state, 1001.0, reason="no").position(1001.0) is Position.OPEN


def test_one_probe_goes_through_after_the_rest_and_another_when_it_says_nothing() -> None:
    state = opened()
    assert breakers.asked(state, 1000.0 + FIRST_REST_S - 1) == (state, 1.0)
    then = 1000.0 + FIRST_REST_S
    probing, wait_s = breakers.asked(state, then)
    assert wait_s == 0
    assert breakers.asked(probing, then)[1] == PROBE_S
    assert breakers.asked(probing, then + PROBE_S)[1] == 0


def test_each_failed_probe_doubles_the_rest_up_to_a_bound() -> None:
    state, rests = opened(), []
    for _ in range(6):
        state = breakers.failed(state, state.open_until, reason="still")
        rests.append(state.rest_s)
    assert rests == [10.0, 20.0, 40.0, LONGEST_REST_S, LONGEST_REST_S, LONGEST_REST_S]


def test_a_call_that_began_before_it_opened_does_not_prolong_the_rest() -> None:
    state = opened()
    assert breakers.failed(state, 1001.0, reason="late") == state


# --- shared through Redis --------------------------------------------------------------------------------------------


@pytest.mark.needs_redis
@pytest.mark.django_db(transaction=True)
def test_it_opens_tells_everybody_why_and_closes_when_the_service_answers(shared: redis.Redis) -> None:
    fail(THRESHOLD)
    with pytest.raises(breakers.ServiceResting) as refused, guard(NAME, failures=(Trouble,)):
        pytest.fail("the service was asked")
    assert "connection refused" in refused.value.detail
    (seen,) = breakers.known()
    assert (seen.position, seen.failures, seen.shared) == (Position.OPEN, THRESHOLD, True)
    rested(shared)
    assert position() is Position.HALF_OPEN
    with guard(NAME, failures=(Trouble,)):
        pass
    assert breakers.known() == ()
    said = Event.objects.filter(topic=breakers.topic(NAME)).order_by("seq")
    assert [(event.kind, event.actor) for event in said] == [
        ("breaker.opened", "system"), ("breaker.closed", "system"),
    ]  # fmt: skip
    assert "connection refused" in said[0].reason


@pytest.mark.needs_redis
@pytest.mark.django_db(transaction=True)
def test_a_failed_probe_opens_it_again_without_a_second_event(shared: redis.Redis) -> None:
    fail(THRESHOLD)
    rested(shared)
    fail(1)
    assert position() is Position.OPEN
    assert Event.objects.filter(topic=breakers.topic(NAME)).count() == 1


@pytest.mark.needs_redis
def test_failures_that_are_not_the_services_own_do_not_count(shared: redis.Redis) -> None:
    for _ in range(THRESHOLD * 2):
        with pytest.raises(KeyError), guard(NAME, failures=(Trouble,)):
            raise KeyError
    assert breakers.known() == ()


@pytest.mark.needs_redis
def test_a_success_in_between_makes_the_count_begin_anew(shared: redis.Redis) -> None:
    for _ in range(3):
        fail(THRESHOLD - 1)
        with guard(NAME, failures=(Trouble,)):
            pass
    assert breakers.known() == ()


@pytest.mark.needs_redis
@pytest.mark.django_db(transaction=True)
def test_of_many_that_ask_a_rested_one_at_once_exactly_one_probes(shared: redis.Redis) -> None:
    fail(THRESHOLD)
    rested(shared)

    def ask() -> str:
        return "probe" if breakers._change(NAME, breakers.asked)[1] == 0 else "refused"

    answers = at_once([ask for _ in range(16)])
    assert sorted(map(str, answers)) == ["probe"] + ["refused"] * 15


def _fail_elsewhere() -> None:
    for _ in range(THRESHOLD):
        breakers._change_shared(NAME, lambda state, now: (breakers.failed(state, now, reason="no"), None))


@pytest.mark.needs_redis
def test_another_process_opens_it_for_us(shared: redis.Redis) -> None:
    if pid := os.fork():
        assert os.waitpid(pid, 0)[1] == 0
    else:
        try:
            live._clients.clear()  # a connection belongs to one process
            _fail_elsewhere()
        finally:
            os._exit(0)
    assert position() is Position.OPEN
    with pytest.raises(breakers.ServiceResting), guard(NAME, failures=(Trouble,)):
        pytest.fail("the service was asked")


@pytest.mark.needs_redis
def test_nonsense_in_redis_is_forgotten(shared: redis.Redis) -> None:
    shared.sadd(breakers._NAMES, NAME)
    for text in (b"\xff\xfe", b"[]", b'{"failures": 1, "from_the_future": 2}'):
        shared.set(breakers._KEY + NAME, text)
        assert position() is Position.CLOSED
        with guard(NAME, failures=(Trouble,)):
            pass


# --- without Redis ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_without_redis_each_process_keeps_its_own(alone: None) -> None:
    fail(THRESHOLD)
    with pytest.raises(breakers.ServiceResting), guard(NAME, failures=(Trouble,)):
        pytest.fail("the service was asked")
    (seen,) = breakers.known()
    assert (seen.position, seen.shared) == (Position.OPEN, False)


@pytest.mark.needs_redis
@pytest.mark.django_db(transaction=True)
def test_redis_that_dies_and_returns_costs_no_error(shared: redis.Redis, redis_process: RedisProcess) -> None:
    fail(THRESHOLD - 1)
    redis_process.kill()
    try:
        fail(1)
        with guard(NAME, failures=(Trouble,)):
            pass
    finally:
        redis_process.start()
    breakers._paused_until.clear()
    with guard(NAME, failures=(Trouble,)):
        pass
    assert breakers.known() == ()


# --- the engine ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_engine_that_does_not_answer_is_not_a_sandbox_that_is_gone(
    alone: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="moor-") as short, socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{short}/docker.sock")  # bound and nobody behind it, as a killed engine leaves it
        monkeypatch.setenv("DOCKER_HOST", f"unix://{short}/docker.sock")
        _assert_silence_is_told(tmp_path)
    with pytest.raises(EngineUnreachable, match="there is no engine at"):
        selection.adopt({"tier": "container", "profile": _profile(tmp_path)})


def _profile(workspace: Path) -> dict[str, Any]:
    return {"owner": "agent:x", "generation": 1, "workspace": str(workspace), "readable": [], "environment": {}}


def _assert_silence_is_told(workspace: Path) -> None:
    adopt = partial(selection.adopt, {"tier": "container", "profile": _profile(workspace)})
    for _ in range(THRESHOLD):
        with pytest.raises(EngineUnreachable) as silent:
            adopt()
        assert silent.value.code == "engine.unreachable"
    (seen,) = breakers.known()
    assert seen.position is Position.OPEN
    with pytest.raises(EngineUnreachable, match="failed 5 times in a row"):
        adopt()
    answer = ContainerProvider().probe()
    assert not answer.available
    assert "no Docker engine answers" in answer.reason
