"""A real web process: uvicorn, websockets and server-sent events, with Redis killed under it and slow clients on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket

from config.access.models import Scope, issue
from events import journal, live
from tests.events.berths import amoved
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def web(web_process: WebProcess) -> str:
    """``127.0.0.1:port`` of a web process on this test's database and Redis."""
    return web_process.address


@pytest.fixture
def routes(settings: Any, tmp_path: Path) -> None:
    """The stream's routes in this process, and a directory of static files, which WhiteNoise asks for."""
    settings.ROOT_URLCONF = "tests.events.urls"
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def open_socket(web: str, token: str) -> Callable[..., Any]:
    @contextlib.asynccontextmanager
    async def _open(*topics: str, **frame: Any) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {token}"}
        async with websocket(f"ws://{web}/ws/events/", additional_headers=headers, max_queue=4) as client:
            await client.send(json.dumps({"type": "subscribe", "topics": topics, **frame}))
            assert json.loads(await client.recv())["type"] == "subscribed"
            yield client

    return _open


async def _hear(client: ClientConnection, count: int, *, within_s: float = 20) -> list[dict[str, Any]]:
    """So many messages of topics; heartbeats are answered."""
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(within_s):
        while len(heard) < count:
            message = json.loads(await client.recv())
            if message["type"] == "ping":
                await client.send('{"type":"pong"}')
            else:
                heard += message["messages"] if message["type"] == "batch" else [message]
    return heard


async def test_events_of_another_process_arrive_in_order(open_socket: Callable[..., Any]) -> None:
    async with open_socket("berth.a") as client:
        for n in range(50):
            await amoved("a", n=n)
        assert [m["payload"]["berth"]["n"] for m in await _hear(client, 50)] == list(range(50))


async def test_a_redis_killed_in_mid_stream_loses_nothing(
    open_socket: Callable[..., Any], live_redis: RedisProcess
) -> None:
    async with open_socket("berth.a") as client:
        for n in range(60):
            if n == 20:
                live_redis.kill()
            if n == 40:
                live_redis.start()
            await amoved("a", n=n)
        heard = await _hear(client, 60)
    assert [m["seq"] for m in heard] == list(range(1, 61))


async def test_events_are_delivered_while_redis_is_away(
    open_socket: Callable[..., Any], live_redis: RedisProcess
) -> None:
    async with open_socket("berth.a") as client:
        live_redis.kill()
        try:
            await amoved("a", n=1)
            (message,) = await _hear(client, 1, within_s=8)
            assert message["seq"] == 1
        finally:
            live_redis.start()


async def test_a_stream_that_was_flushed_or_trimmed_loses_nothing(
    open_socket: Callable[..., Any], live_redis: RedisProcess
) -> None:
    async with open_socket("berth.a") as client:
        for n in range(30):
            await amoved("a", n=n)
            if n % 7 == 0:
                await sync_to_async(live.client().flushall)()
        assert [m["seq"] for m in await _hear(client, 30)] == list(range(1, 31))


async def test_a_client_that_stops_reading_gets_everything_later_and_disturbs_nobody(
    open_socket: Callable[..., Any],
) -> None:
    text = "x" * 20_000
    async with open_socket("berth.a", batch=True) as slow, open_socket("berth.a") as quick:
        for n in range(400):
            await amoved("a", n=n, text=text)
        assert len(await _hear(quick, 400)) == 400
        # 8 MB are more than the queue, both socket buffers and the client's own queue hold.
        assert [m["seq"] for m in await _hear(slow, 400)] == list(range(1, 401))


async def test_server_sent_events_replay_go_on_and_resume(web: str, token: str) -> None:
    await amoved("a", n=1)
    await amoved("a", n=2)
    url, headers = f"http://{web}/api/v1/events/stream", {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        async with client.stream("GET", url, params={"topics": "berth.a,berth.b", "after": "berth.a:1"}) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            lines = answer.aiter_lines()
            assert await anext(lines) == "retry: 1000"
            (_, first) = await _next_event(lines)
            await amoved("b", n=3)
            (last_id, second) = await _next_event(lines)
        assert [(m["topic"], m["seq"]) for m in (first, second)] == [("berth.a", 2), ("berth.b", 1)]
        await amoved("a", n=4)
        resumed = {"Last-Event-ID": last_id, "Accept": "text/event-stream"}
        async with client.stream("GET", url, params={"topics": "berth.a,berth.b"}, headers=resumed) as answer:
            (_, third) = await _next_event(answer.aiter_lines())
        assert (third["topic"], third["seq"]) == ("berth.a", 3)


async def _next_event(lines: AsyncIterator[str]) -> tuple[str, dict[str, Any]]:
    event_id = ""
    async for line in lines:
        if line.startswith("id: "):
            event_id = line[4:]
        elif line.startswith("data: "):
            return event_id, json.loads(line[6:])
    raise AssertionError("the stream ended")


async def test_a_revoked_user_s_event_stream_ends(web: str, token: str, user: Any) -> None:
    def switch_off() -> None:
        user.is_active = False
        user.save()

    url, headers = f"http://{web}/api/v1/events/stream?topics=berth.a", {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=60) as client, client.stream("GET", url, headers=headers) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        await sync_to_async(switch_off)()
        _, told = await _next_event(lines)
        assert told["code"] == "stream.signed_out"


@pytest.mark.parametrize(
    ("query", "last_id", "status", "code"),
    [
        ("", "", 400, "topic.invalid"),
        ("topics=a%20b", "", 400, "topic.invalid"),
        ("topics=berth.a&after=berth.a", "", 400, "topic.invalid"),
        ("topics=berth.a&after=berth.a:-1", "", 400, "topic.invalid"),
        ("topics=berth.a&after=berth.a:9999999999999999999", "", 400, "topic.invalid"),
        ("topics=berth.a", "%%%", 400, "topic.invalid"),
        ("topics=berth.a,berth.secret", "", 403, "topic.refused"),
    ],
)
def test_a_wrong_request_for_a_stream_is_answered_by_a_problem(
    client: Any, routes: None, token: str, query: str, last_id: str, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {token}", "Last-Event-ID": last_id, "Accept": "text/event-stream"}
    answer = client.get(f"/api/v1/events/stream?{query}", headers=headers)
    assert (answer.status_code, answer["content-type"]) == (status, "application/problem+json")
    assert answer.json()["code"] == code


def test_nobody_gets_no_stream(client: Any, routes: None) -> None:
    answer = client.get("/api/v1/events/stream?topics=berth.a")
    assert (answer.status_code, answer["content-type"]) == (401, "application/problem+json")


async def test_initial_state_and_the_events_since_are_the_current_state(
    open_socket: Callable[..., Any], live_redis: RedisProcess, user: Any
) -> None:
    """A client that comes, goes and comes back, while Redis does the same, ends with what the journal says."""
    random_steps = random.Random(7)
    berths = ["p", "q", "r"]
    state: dict[str, dict[str, Any]] = {berth: {} for berth in berths}
    cursors = {f"berth.{berth}": 0 for berth in berths}
    for visit in range(4):
        for n in range(10):  # while the client is away
            await amoved(random_steps.choice(berths), **{random_steps.choice("xyz"): [visit, n]})
        async with open_socket(*cursors, after=cursors, batch=visit % 2 == 0) as client:
            if visit == 2:
                live_redis.kill()
            for n in range(10, 20):
                await amoved(random_steps.choice(berths), **{random_steps.choice("xyz"): [visit, n]})
            if visit == 2:
                live_redis.start()
            heads = {topic: await sync_to_async(journal.head)(topic) for topic in cursors}
            for message in await _hear(client, sum(heads.values()) - sum(cursors.values())):
                assert message["seq"] == cursors[message["topic"]] + 1
                cursors[message["topic"]] = message["seq"]
                _fold(state[message["topic"].partition(".")[2]], message["payload"]["berth"])
        assert cursors == heads
    for berth in berths:
        current: dict[str, Any] = {}
        for event in await sync_to_async(journal.replay)(f"berth.{berth}", after=0):
            _fold(current, {**event.data, "id": berth})
        assert state[berth] == current


def _fold(state: dict[str, Any], delta: dict[str, Any]) -> None:
    state.update(delta)


async def test_a_user_sees_only_what_the_policy_lets_over_the_wire(web: str, django_user_model: Any) -> None:
    staff = await django_user_model.objects.acreate(username="eve", is_staff=True)
    token = await sync_to_async(issue)(user=staff, scope=Scope.READ)
    headers = {"Authorization": f"Bearer {token}"}
    async with websocket(f"ws://{web}/ws/events/", additional_headers=headers) as client:
        await client.send('{"type":"subscribe","topics":["berth.secret"]}')
        assert json.loads(await client.recv())["topics"] == ["berth.secret"]
        started = time.monotonic()
        await amoved("secret")
        assert (await _hear(client, 1))[0]["topic"] == "berth.secret"
        assert time.monotonic() - started < 5
