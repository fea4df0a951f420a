"""Keys that rest: whoever asked too much, or has no money, is left alone by all runs, which come back in a line."""

from __future__ import annotations

import time
import uuid
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from agents.engines.llm import LlmEngine
from agents.gateway import parking, ways
from agents.gateway.models import ModelCall
from agents.gateway.tokens import Run
from agents.providers import ModelAuth, ModelRejected
from events.faults import Fault
from tests.agents.engines.conftest import MakeTask, bench, make_task
from tests.agents.gateway.conftest import Make, booked
from tests.fakes.llm_server import Behaviour, Fail, LlmServer, Raw, Say, Verbatim
from tests.fakes.workbench import DirectoryWorkbench

__all__ = ["bench", "make_task"]

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NO_CREDIT = "Your credit balance is too low to access the Anthropic API."
SPOKEN_PLAN = Say(calls=(("SubmitPlan", {"summary": "Greet.", "steps": [{"title": "Change", "files": ["a.py"]}]}),))


def test_a_used_up_key_parks_every_run_and_asks_the_provider_once(server: LlmServer, make_client: Make) -> None:
    server.script.append(Fail(429, {"retry-after": "30"}))
    ends = []  # of each run's wait: not before, and not after
    for _ in range(4):
        asked = time.monotonic()
        said = make_client().ask()
        assert said.status_code == 429
        wait_s = float(said.headers["retry-after"])
        ends.append((asked + wait_s, time.monotonic() + wait_s))
    assert len(server.requests) == 1
    assert all(late[1] - early[0] >= 0.5 for early, late in pairwise(ends))
    assert make_client().ask("ollama").status_code == 500  # another key: it was asked


@pytest.mark.needs_redis
def test_a_parked_key_is_known_to_every_process(redis_url: str, settings: Any) -> None:
    settings.REDIS_URL = redis_url
    name = uuid.uuid4().hex
    assert parking.parked(name, run="a") is None
    parking.park(name, rest_s=20, reason="too many requests")
    parking.park(name, rest_s=5, reason="a shorter one changes nothing")
    parking._own.clear()  # what another process would know
    waits = [parking.parked(name, run=run).wait_s for run in ("a", "b", "c", "b")]
    assert 18 < waits[0] <= 20
    assert waits[1] - waits[0] > 0.5
    assert waits[2] - waits[1] > 0.5
    assert abs(waits[3] - waits[1]) < 0.5
    assert parking.parked(name, run="a").reason == "too many requests"


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, b"", 7),
        ({"retry-after-ms": "1500"}, b"", 1.5),
        ({"retry-after": "Fri, 20 Nov 2026 12:01:00 GMT"}, b"", 60),
        ({"x-ratelimit-reset-requests": "1m2.5s", "x-ratelimit-remaining-requests": "0"}, b"", 62.5),
        ({"x-ratelimit-reset-tokens": "6h", "x-ratelimit-remaining-tokens": "12"}, b"", 5),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-requests": "0"}, b"", 0.02),
        (
            {"anthropic-ratelimit-tokens-reset": "2026-11-20T12:00:30Z", "anthropic-ratelimit-tokens-remaining": "0"},
            b"", 30,
        ),
        ({}, b'{"error": {"code": "insufficient_quota"}}', 900),
        ({}, b"", 5),
        ({"retry-after": "soon"}, b"", 5),
        ({"retry-after": "-3"}, b"", 5),
    ],
)  # fmt: skip
def test_what_a_provider_says_of_its_patience_is_understood(
    headers: dict[str, str], body: bytes, seconds: float
) -> None:
    rest = parking.rest_of(429, headers, body, now=NOW)
    assert rest is not None
    assert rest.seconds == pytest.approx(seconds)


ODD = (
    "", "-1", "nan", "inf", "1e400", "9" * 400, "0x10", "soon", "Fri, 99 Foo 99999 99:99:99 GMT", "1h2h", "--",
    "2026-13-45T99:00:00Z", "Fri, 20 Nov 2026 12:01:00 +9999999", "9999-12-31T23:59:59-23:59", " ", ",",
    "0001-01-01T00:00:00+23:59", "99999999999999999999h", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon", "\u0660\u0661",
    "12:00", "P1D",
)  # fmt: skip


@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests",
                                  "anthropic-ratelimit-tokens-reset"])  # fmt: skip
def test_no_word_on_patience_is_too_odd_or_lasts_for_ever(name: str) -> None:
    left = {"x-ratelimit-remaining-requests": "0", "anthropic-ratelimit-tokens-remaining": "0"}
    for value in ODD:
        rest = parking.rest_of(429, {name: value, **left}, b"", now=NOW)
        assert rest is not None
        key = uuid.uuid4().hex
        parking.park(key, rest_s=rest.seconds, reason=rest.reason)
        found = parking.parked(key, run="a")
        assert found is not None, value
        assert 0 < found.wait_s <= parking.LONGEST_S


@pytest.mark.parametrize("asked", ["94608000", "Fri, 31 Dec 9999 23:59:59 GMT"], ids=["years", "date"])
def test_a_rest_of_years_is_one_of_a_day(server: LlmServer, make_client: Make, asked: str) -> None:
    server.script.append(Fail(429, {"retry-after": asked}))
    client = make_client()
    for _ in range(2):
        said = client.ask()
        assert said.status_code == 429
        assert 86_000 < float(said.headers["retry-after"]) <= parking.LONGEST_S
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("refusal", "status", "rests"),
    [
        (Fail(503, {"retry-after": "30"}), 503, True),
        (Fail(529, {"retry-after": "30"}), 529, True),
        (Fail(503), 503, False),
        (Fail(500, {"retry-after": "30"}), 500, False),
        (Fail(402), 429, True),
        (Fail(400, message=NO_CREDIT), 429, True),
        (Fail(400, message=f"messages.0: invalid: {NO_CREDIT} insufficient_quota"), 400, False),
        (Fail(403, message="insufficient_quota"), 403, False),
        (
            Verbatim((b"HTTP/1.1 403 No\r\n\r\n", b'{"error": {"code": "insufficient_quota", "message": "x"}}')),
            429,
            True,
        ),
        (Verbatim((b"HTTP/1.1 400 No\r\n\r\n", b'{"error": "no"}')), 400, False),
        (Verbatim((b"HTTP/1.1 400 No\r\n\r\n", b"[" * 60_000)), 400, False),
    ],
)
def test_who_is_overloaded_until_a_time_or_has_no_money_is_left_alone(
    server: LlmServer, make_client: Make, refusal: Behaviour, status: int, rests: bool
) -> None:
    server.script.extend([refusal, Say("Hello.")])
    assert make_client().ask().status_code == status
    said = make_client().ask()
    assert said.status_code == (429 if rests else 200)
    assert len(server.requests) == (1 if rests else 2)
    assert ModelCall.objects.filter(state="failed").count() == 1
    if rests:
        assert booked() == (0, 0)


@pytest.mark.parametrize(
    ("refusal", "fault"),
    [
        (Fail(429, {"retry-after": "3600"}), None),
        (Fail(402), None),
        (Fail(503, {"retry-after": "3600"}), None),
        (Fail(500), None),
        (Raw(b"<html>", "text/html"), None),
        (Fail(401), ModelAuth),
        (Fail(403), ModelAuth),
        (Fail(400), ModelRejected),
        (Fail(404), ModelRejected),
    ],
)
def test_the_next_provider_takes_over_where_that_helps_and_nowhere_else(
    server: LlmServer, make_client: Make, settings: Any, refusal: Behaviour, fault: type[Fault] | None,
    bench: DirectoryWorkbench, make_task: MakeTask,
) -> None:  # fmt: skip
    settings.GATEWAY_URL = make_client().url
    server.script.append(refusal)
    server.parts = {"claude": deque([SPOKEN_PLAN])}
    server.otherwise = lambda _request: refusal
    chain = ways.chain_for(Run(uuid.uuid4(), "x"), now=timezone.now())
    assert chain is not None
    engine = LlmEngine(replace(chain, backoff_s=0.01))
    if fault is None:
        assert engine.plan(make_task("Greet"), bench).summary == "Greet."
        assert engine.label() == "anthropic/claude-haiku-4-5"
    else:
        with pytest.raises(fault):
            engine.plan(make_task("Greet"), bench)
        assert len(server.requests) == 1
