"""A real Redis, a user with tokens, and sockets through the whole middleware."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import connection, connections

from config.access.models import Scope, issue
from config.sockets import websocket
from events import live
from tests.events import berths
from tests.events.web_process import WebProcess
from tests.fakes.redis_process import RedisProcess

berths.register()


@pytest.fixture
def live_redis(redis_process: RedisProcess) -> RedisProcess:
    """An empty Redis that runs, and that this process does not avoid because of an earlier test."""
    while not live.publish_raw({"topic": "berth.warm_up", "seq": 1}):
        time.sleep(0.1)
    with redis.Redis.from_url(redis_process.url) as client:
        client.flushall()
    return redis_process


@pytest.fixture
def user(transactional_db: None, django_user_model: Any) -> Any:
    return django_user_model.objects.create(username="ada")


@pytest.fixture
def token(user: Any) -> str:
    return issue(user=user, scope=Scope.READ)


@pytest.fixture
def web_process(live_redis: RedisProcess, user: Any) -> Iterator[WebProcess]:
    """A web process that runs."""
    process = WebProcess(database=str(connection.settings_dict["NAME"]), redis_url=live_redis.url)
    try:
        process.start()
        yield process
    finally:
        process.close()


class Socket(ApplicationCommunicator):
    """A client of ``/ws/events/``, or another path, in this process (channels.testing would want Daphne)."""

    def __init__(
        self,
        *,
        application: Any = websocket,
        token: str = "",
        origin: str = "",
        cookie: str = "",
        path: str = "/ws/events/",
        host: str = "testserver",
    ) -> None:
        headers = [(b"host", host.encode())]
        headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
        headers += [(b"origin", origin.encode())] if origin else []
        headers += [(b"cookie", cookie.encode())] if cookie else []
        scope = {
            "type": "websocket",
            "path": path,
            "subprotocols": ["moorage.term.v1"],
            "query_string": b"",
            "headers": headers,
            "scheme": "ws",
        }
        super().__init__(application, scope)

    async def opened(self) -> bool:
        """Ask for the socket; whether it was accepted."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(5))["type"] == "websocket.accept"

    async def say(self, **frame: Any) -> None:
        await self.say_text(json.dumps(frame))

    async def say_text(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def say_bytes(self, data: bytes) -> None:
        await self.send_input({"type": "websocket.receive", "bytes": data})

    async def hear(self, timeout: float = 5) -> dict[str, Any]:
        """The next message, heartbeats left out."""
        while True:
            output = await self.receive_output(timeout)
            assert output["type"] == "websocket.send", output
            message = json.loads(output["text"])
            if message["type"] != "ping":
                return message

    async def hear_until(self, topic: str, seq: int) -> list[dict[str, Any]]:
        """All messages up to and with this one."""
        heard: list[dict[str, Any]] = []
        while not heard or (heard[-1]["topic"], heard[-1]["seq"]) != (topic, seq):
            message = await self.hear()
            heard += message["messages"] if message["type"] == "batch" else [message]
        return heard

    async def closed_with(self, timeout: float = 5) -> int:
        """The code that the server closes with; what it says before is left out."""
        while True:
            message = await self.receive_output(timeout)
            if message["type"] == "websocket.close":
                return message["code"]

    async def leave(self) -> None:
        """Hang up, and wait until the server has noticed."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(5)


@pytest.fixture
async def connect(live_redis: RedisProcess, token: str) -> AsyncIterator[Callable[..., Any]]:
    """Opens sockets as the user; all are closed at the end."""
    opened: list[Socket] = []

    async def _connect(**how: Any) -> Socket:
        socket = Socket(**{"token": token, **how})
        assert await socket.opened()
        opened.append(socket)
        return socket

    yield _connect
    for socket in opened:
        await socket.leave()
    await sync_to_async(connections.close_all)()
