"""Terminals: echo, throughput, a slow viewer on a flood, a reconnect — each beside a raw PTY loop of the same run.

``python -m benchmarks.terminals`` has a session of the session host in a process of its own, on a shell without a
sandbox, and speaks its protocol over the unix socket. What the web process adds is not in these figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pty
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import Figure, at_most, main
from sessions.host import wire
from sessions.host.connection import Connection
from sessions.host.program import Counter, Program
from sessions.host.session import Session
from sessions.host.wire import ASKED, LIVE_ONLY, TOLD, Kind, Wish

TERMINAL = uuid.UUID(int=1)
ECHOES = 300
FLOOD_MB = 24
_QUIET = "stty -echo -icanon -onlcr; printf READY; "  # from here on the terminal itself echoes nothing
_ECHO = _QUIET + "exec cat"
_FLOOD = (
    _QUIET + "read go; yes 0123456789abcdef0123456789abcdef0123456789abcdef | head -c {size}; printf DONE; read end"
)


class Harbour:
    """What connections need of the daemon: one session."""

    epoch = "benchmark"

    def __init__(self, session: Session) -> None:
        self._session = session

    def session(self, terminal_id: uuid.UUID) -> Session:
        return self._session

    def tail(self, terminal_id: uuid.UUID, limit: int) -> tuple[int, bytes]:
        return self._session.ring.tail(limit)

    async def until_open(self, terminal_id: uuid.UUID) -> None:
        """It is."""


class Typist:
    """One viewer with control."""

    def __init__(self, path: Path, *, offset: int = 0, control: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._frames = wire.Splitter()
        self._arrived: list[wire.Frame] = []
        self._epoch = 0
        self.say(Kind.HELLO, wire.VERSION)
        self.say(Kind.ATTACH, TERMINAL.bytes, offset, True, rest=b"bench")
        if control:
            self._epoch = self.hear(Kind.ATTACH)[2]
            self.say(Kind.CONTROL, self._epoch, Wish.TAKE, 0)
            self._epoch = self.hear(Kind.CONTROL)[0]

    def say(self, kind: Kind, *values: Any, rest: bytes = b"") -> None:
        self.socket.sendall(wire.encode(kind, 1, wire.pack(ASKED, kind, *values, rest=rest)))

    def type(self, data: bytes) -> None:
        self.say(Kind.INPUT, self._epoch, rest=data)

    def echo(self, key: bytes) -> None:
        """Type, and wait for what comes back."""
        self.type(key)
        self.hear(Kind.DATA)

    def hear(self, kind: Kind) -> tuple[Any, ...]:
        """The values of the next frame of this kind, with acknowledgement."""
        while True:
            while not self._arrived:
                self._arrived += self._frames.feed(self.socket.recv(1 << 18))
            frame = self._arrived.pop(0)
            if frame.kind == kind:
                values = wire.unpack(TOLD, frame)
                if kind == Kind.DATA:
                    self.say(Kind.ACK, values[0] + len(values[1]))
                return values


def _serve(path: str, script: str) -> None:
    async def serve() -> None:
        pid, master = pty.fork()
        if pid == 0:
            os.execv("/bin/sh", ["sh", "-c", script])  # noqa: S606 - a constant of ours
        ended = asyncio.Event()
        session = Session(
            terminal_id=TERMINAL, program=Program(pid, master, Counter()), columns=80, rows=24,
            on_end=lambda _session: ended.set(), on_news=lambda *_news: None,
        )  # fmt: skip
        held = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.add(asyncio.create_task(Connection(keeper=Harbour(session), reader=reader, writer=writer).hold()))

        async with await asyncio.start_unix_server(accept, path=path):
            await ended.wait()

    asyncio.run(serve())


@contextlib.contextmanager
def hosted(script: str) -> Iterator[tuple[Path, psutil.Process]]:
    """A session host's process with one terminal that runs this script."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(path), script), daemon=True)
        process.start()
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        first, seen = Typist(path, control=False), b""
        while b"READY" not in seen:
            seen += first.hear(Kind.DATA)[1]
        first.socket.close()
        try:
            yield path, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.join(10)


@contextlib.contextmanager
def raw(script: str) -> Iterator[int]:
    """The master of a PTY that runs this script."""
    master, slave = pty.openpty()
    process = subprocess.Popen(["sh", "-c", script], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    seen = b""
    while b"READY" not in seen:
        seen += os.read(master, 64)
    try:
        yield master
    finally:
        process.kill()
        process.wait()
        os.close(master)


def echoes() -> tuple[float, float]:
    """Median milliseconds from a key to its echo: through the session host, and by a raw loop."""
    with raw(_ECHO) as master:
        beside = [_timed(lambda: (os.write(master, b"x"), os.read(master, 10))) for _ in range(ECHOES)]
    with hosted(_ECHO) as (path, _):
        typist = Typist(path, offset=len(b"READY"))
        ours = [_timed(lambda: typist.echo(b"x")) for _ in range(ECHOES)]
        typist.socket.close()
    return statistics.median(ours) * 1000, statistics.median(beside) * 1000


def _timed(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def floods() -> tuple[float, float]:
    """MB/s of a flood: to a viewer with control, and to a raw loop."""
    script = _FLOOD.format(size=FLOOD_MB << 20)
    with raw(script) as master:
        os.write(master, b"\n")
        started, last = time.perf_counter(), b""
        while b"DONE" not in last:
            last = last[-4:] + os.read(master, 1 << 16)
        beside = FLOOD_MB / (time.perf_counter() - started)
    with hosted(script) as (path, _):
        typist = Typist(path)
        typist.type(b"\n")
        started, last = time.perf_counter(), b""
        while b"DONE" not in last:
            last = last[-4:] + typist.hear(Kind.DATA)[1]
        ours = FLOOD_MB / (time.perf_counter() - started)
        typist.socket.close()
    return ours, beside


def slow_viewer() -> tuple[float, float]:
    """(MB by which the host grows on a flood with one of 20 who does not read; ms of a reconnect to a screen)."""
    with hosted(_FLOOD.format(size=FLOOD_MB << 20)) as (path, host):
        typist = Typist(path)
        others = [Typist(path, control=False) for _ in range(19)]
        deaf = Typist(path, control=False)
        before = host.memory_info().rss
        readers = [threading.Thread(target=_read_on, args=(other,), daemon=True) for other in others]
        for reader in readers:
            reader.start()
        typist.type(b"\n")
        grown, last = 0, b""
        while b"DONE" not in last:
            last = last[-4:] + typist.hear(Kind.DATA)[1]
            grown = max(grown, host.memory_info().rss - before)
        started = time.perf_counter()
        back = Typist(path, offset=LIVE_ONLY, control=False)
        back.hear(Kind.SNAPSHOT)
        reconnect_ms = (time.perf_counter() - started) * 1000
        for each in (typist, deaf, back):
            each.socket.close()
    return grown / 2**20, reconnect_ms


def _read_on(viewer: Typist) -> None:
    with contextlib.suppress(OSError, wire.BadFrame):
        while True:
            viewer.hear(Kind.DATA)


def measure() -> list[Figure]:
    """All of it, within half a minute on an idle machine."""
    echo_ms, raw_echo_ms = echoes()
    rate, raw_rate = floods()
    grown_mb, reconnect_ms = slow_viewer()
    return [
        Figure(
            "echo, median", round(echo_ms, 3), "ms", "≤ 2.5 ms and ≤ 8 x raw",
            echo_ms <= 2.5 and echo_ms <= 8 * raw_echo_ms, round(raw_echo_ms, 3), "raw PTY loop",
        ),
        Figure(
            "flood to whoever has control", round(rate, 1), "MB/s", "≥ 60 % of raw",
            rate >= 0.6 * raw_rate, round(raw_rate, 1), "raw PTY loop",
        ),
        at_most("host grows by, one deaf viewer of 20 on a flood", grown_mb, "MB", 10),
        at_most("reconnect to the screen", reconnect_ms, "ms", 200),
    ]  # fmt: skip


if __name__ == "__main__":
    main(measure)
