"""``/ws/events/``: the live stream over a websocket. ``docs/live-stream.md`` describes what is said on it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from events import hub
from events.feed import Feed, SignedOut
from events.protocol import BadFrame, Message, Said, TopicRefused, error_text, parse
from events.subscription import QUEUE

log = logging.getLogger(__name__)

TOO_MANY_BAD_FRAMES = 4400
SIGNED_OUT = 4401
NO_ANSWER = 4408
SERVER_ERROR = 1011
BAD_FRAMES = 20
BATCH = 200  # messages per frame
BATCH_CHARACTERS = 1 << 18  # 1 MiB even if each takes four bytes: what client libraries take by default
JOURNAL_PAUSE_S = 1.0


class EventsConsumer(AsyncWebsocketConsumer):
    """One socket: what the client says, what the feed has for it, and a heartbeat.

    ``scope["user"]`` and ``scope["still_signed_in"]`` come from the middleware in config. One lock makes each answer
    and each batch whole: a client never sees an event of a topic before the ``subscribed`` that opens it.
    """

    # No channel layer on purpose: it costs a blocking Redis read per socket, and when Redis dies, every socket.
    channel_layer_alias = "none: this socket reads the hub"

    def __init__(self, *, heartbeat_s: float = 30.0, answer_s: float = 5.0, queue: int = QUEUE) -> None:
        super().__init__()
        self._heartbeat_s, self._answer_s, self._queue = heartbeat_s, answer_s, queue
        self._feed: Feed | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()
        self._heard = asyncio.Event()
        self._batches = False
        self._bad_frames = 0
        self._closed = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Whatever ends the socket, also an error that skips ``disconnect``: nothing of it stays in the hub."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stop()

    async def connect(self) -> None:
        await self.accept()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self._end(SIGNED_OUT)
            return
        self._feed = Feed(
            user=user, still_signed_in=self.scope["still_signed_in"], hub=hub.of_loop(), queue=self._queue
        )
        try:
            await self._feed.begin()
        except SignedOut:
            await self._end(SIGNED_OUT)
            return
        self._tasks = [self._spawn(self._pump(self._feed)), self._spawn(self._beat(self._feed))]

    async def disconnect(self, code: int) -> None:
        self._stop()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._closed or self._feed is None:
            return
        self._heard.set()
        try:
            said = parse(text_data)
            async with self._turn:
                await self._answer(said, self._feed)
        except BadFrame as fault:
            self._bad_frames += 1
            await self._say(error_text(fault))
            if self._bad_frames >= BAD_FRAMES:
                await self._end(TOO_MANY_BAD_FRAMES)
        except DatabaseError as error:
            log.warning("journal cannot be read", extra={"error": type(error).__name__})
            await self._end(SERVER_ERROR)

    async def _answer(self, said: Said, feed: Feed) -> None:
        if said.type == "subscribe":
            await self._subscribe(said, feed)
        elif said.type == "unsubscribe":
            gone = feed.unsubscribe(said.topics)
            await self._say(json.dumps({"type": "unsubscribed", "topics": gone}))
        elif said.type == "ping":
            await self._say('{"type":"pong"}')

    async def _subscribe(self, said: Said, feed: Feed) -> None:
        if said.batch is not None:
            self._batches = said.batch
        opened = await feed.subscribe(said.topics, after=said.after)
        for topic, fault in opened.refused.items():
            await self._say(error_text(fault, topic=topic))
        if opened.cursors:
            await self._say(
                json.dumps({"type": "subscribed", "topics": list(opened.cursors), "cursors": dict(opened.cursors)})
            )
            feed.start(opened)

    async def _pump(self, feed: Feed) -> None:
        """Hand on what the feed has. A slow client slows down this loop and nothing else."""
        while True:
            await feed.wait()
            try:
                async with self._turn:
                    batch = await feed.take()
                    for topic in batch.revoked:
                        await self._say(error_text(TopicRefused("You may no longer see this topic."), topic=topic))
                    await self._hand_on(batch.messages)
            except DatabaseError as error:
                log.warning("journal cannot be read", extra={"error": type(error).__name__})
                await asyncio.sleep(JOURNAL_PAUSE_S)

    async def _hand_on(self, messages: tuple[Message, ...]) -> None:
        if not self._batches or len(messages) == 1:
            for message in messages:
                await self._say(message.text)
            return
        for texts in _batches([message.text for message in messages]):
            await self._say(f'{{"type":"batch","messages":[{",".join(texts)}]}}')

    async def _beat(self, feed: Feed) -> None:
        """Have it proved again who is there, and ask for a sign of life; whoever gives none is closed."""
        while True:
            await asyncio.sleep(self._heartbeat_s)
            feed.doubt()
            self._heard.clear()
            try:
                async with asyncio.timeout(self._answer_s):
                    async with self._turn:
                        await self._say('{"type":"ping"}')
                    await self._heard.wait()
            except TimeoutError:
                await self._end(NO_ANSWER)
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """However one of the socket's tasks ends, the socket ends with it, and the client comes back."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, OSError):  # the server's word for: the client has gone
            self._stop()
            return
        if not isinstance(error, SignedOut):
            log.error("a live stream socket broke", exc_info=error)
        self._tasks.append(self._spawn(self._end(SIGNED_OUT if isinstance(error, SignedOut) else SERVER_ERROR)))

    async def _say(self, text: str) -> None:
        if not self._closed:
            await self.send(text_data=text)

    async def _end(self, code: int) -> None:
        """Close once. A client that does not even take the closing frame is left to the server's own time-outs."""
        if self._closed:
            return
        self._closed = True
        self._stop()
        try:
            async with asyncio.timeout(self._answer_s):
                await self.close(code)
        except (TimeoutError, OSError) as error:
            log.info("socket would not close", extra={"code": code, "error": type(error).__name__})

    def _stop(self) -> None:
        self._closed = True
        if self._feed is not None:
            self._feed.close()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()


def _batches(texts: list[str]) -> Iterator[list[str]]:
    """In order, by number and by length; what alone is longer goes alone."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == BATCH or characters + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch
