"""What a browser is told: at once where it reads, in order and counted where not, and its troubles are its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sessions.outbox import Outbox


class Server:
    """What a web server gives an application to send by: it makes the application wait while nobody reads."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.left_waiting = False
        self.tasks: list[asyncio.Task[None]] = []

    async def send(self, message: dict[str, Any]) -> None:
        try:
            await self.reads.wait()
        except GeneratorExit:
            self.left_waiting = True
            raise
        self.sent.append(message["bytes"])

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))


def test_a_frame_is_with_the_server_when_the_call_that_brings_it_returns() -> None:
    async def scene() -> None:
        server = Server()
        outbox = Outbox(server.send, spawn=server.spawn)
        for number in range(3):
            outbox.put(b"%d" % number)
            assert server.sent[-1] == b"%d" % number
        assert (server.tasks, outbox.waiting_bytes) == ([], 0)

    asyncio.run(scene())


def test_frames_wait_in_order_and_are_counted_while_nobody_reads() -> None:
    async def scene() -> None:
        server = Server()
        outbox = Outbox(server.send, spawn=server.spawn)
        server.reads.clear()
        for number in range(100):
            outbox.put(b"%02d" % number)
            await asyncio.sleep(0)
        assert server.sent == []
        assert outbox.waiting_bytes == 2 * 99  # the first one is with the server
        server.reads.set()
        await asyncio.gather(*server.tasks)
        outbox.put(b"after")
        assert server.sent == [*(b"%02d" % number for number in range(100)), b"after"]
        assert (len(server.tasks), outbox.waiting_bytes) == (1, 0)

    asyncio.run(scene())


@pytest.mark.parametrize("begins", [True, False])
def test_trouble_with_one_browser_is_not_that_of_whoever_brings_its_frames(begins: bool) -> None:
    async def scene() -> None:
        server = Server()

        async def send(message: dict[str, Any]) -> None:
            if begins:
                await server.reads.wait()
            raise ConnectionResetError("it has gone")

        outbox = Outbox(send, spawn=server.spawn)
        if begins:
            server.reads.clear()
        outbox.put(b"one")
        outbox.put(b"two")
        server.reads.set()
        with pytest.raises(ConnectionResetError):
            await server.tasks[0]
        outbox.put(b"three")
        assert outbox.waiting_bytes == 8  # after an error nothing more goes out
        assert len(server.tasks) == 1

    asyncio.run(scene())


def test_a_frame_that_waits_for_a_browser_is_given_up_with_its_task() -> None:
    async def scene() -> None:
        server = Server()
        outbox = Outbox(server.send, spawn=server.spawn)
        server.reads.clear()
        outbox.put(b"never read")
        await asyncio.sleep(0)
        server.tasks[0].cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        assert server.left_waiting
        assert server.sent == []

    asyncio.run(scene())
