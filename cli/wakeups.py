"""Learning that an operation moved, without asking all the time: the event stream, else the long-poll.

A wake-up only says that there is news; the state itself is asked for. So a lost, doubled or late one does no
harm, and a broken line is nothing worse than a wake-up.
"""

from __future__ import annotations

import json
import threading

from cli.client import Api
from cli.failures import Failure, Refused, Unreachable
from cli.server_sent import Overlong, events

SILENCE_S = 45.0  # the server says something every 15 s
POLL_S = 25
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
BROKEN_BEFORE_POLLING = 4  # streams in a row that ended without a single message


class Wakeups:
    """A reader in a thread of its own, which dies with the program; so its connections are never closed by hand."""

    def __init__(self, api: Api, operation_id: str) -> None:
        self._api = api.twin()
        self._id = operation_id
        self._topic = f"operation.{operation_id}"
        self._seq = 0
        self._news = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="wake-ups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ask the reader to stop at its next chance."""
        self._closed.set()

    def wait(self, *, at_most_s: float) -> bool:
        """Whether there is news, or the line broke, within ``at_most_s``."""
        told = self._news.wait(timeout=at_most_s)
        self._news.clear()  # before the caller looks, so that what comes while he looks is told again
        return told

    def _read(self) -> None:
        """The stream as long as it works; a server without one, or with one that only breaks, is polled."""
        fruitless = 0
        while not self._closed.is_set() and fruitless < BROKEN_BEFORE_POLLING:
            before = self._seq
            try:
                self._follow()
            except Refused:
                break
            except (Unreachable, Overlong):
                pass
            fruitless = 0 if self._seq > before else fruitless + 1
            self._news.set()
            self._closed.wait(PAUSES_S[min(fruitless, len(PAUSES_S) - 1)])
        self._poll()

    def _follow(self) -> None:
        after = f"{self._topic}:{self._seq}"
        with self._api.stream("events/stream", silence_s=SILENCE_S, topics=self._topic, after=after) as response:
            if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                raise Refused("This server has no event stream.")
            self._news.set()  # what happened before the line stood may be news too
            for data in events(response.iter_bytes()):
                if self._closed.is_set():
                    return
                self._take(data)

    def _take(self, data: str) -> None:
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and message.get("topic") == self._topic:
            seq = message.get("seq")
            if isinstance(seq, int) and seq > self._seq:
                self._seq = seq
                self._news.set()

    def _poll(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                self._api.get(f"operations/{self._id}/", wait_s=POLL_S, wait=POLL_S)
            except Failure:
                failures += 1
                self._news.set()
                self._closed.wait(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
            else:
                failures = 0
                self._news.set()
                self._closed.wait(PAUSES_S[0])  # a server that does not hold the request is not asked in a loop
