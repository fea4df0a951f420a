"""Where the terminals of a benchmark run: a bare PTY, a session host, the real stack, terminado's server."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pty
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import uvloop

from benchmarks.stack import HOST, Stack, free_port, running
from benchmarks.terminal_lines import Line, Raw, Terminado, Unix, Web
from sessions.host.connection import Connection
from sessions.host.program import Counter, Program
from sessions.host.session import Session

TERMINAL = uuid.UUID(int=1)
READY = b"READY"  # a program prints it before all else
_PATIENCE_S = 60.0
T = TypeVar("T")


@contextlib.contextmanager
def raw(argv: list[str]) -> Iterator[Line]:
    """A PTY that this process reads itself."""
    master, slave = pty.openpty()
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    try:
        until(line := Raw(master), READY)
        yield line
    finally:
        process.kill()
        process.wait()
        os.close(master)


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

    def admit(self, connection: Connection) -> bool:
        return True

    def dismiss(self, connection: Connection) -> None:
        """Nobody counts them."""


def _serve(path: str, argv: list[str]) -> None:
    async def serve() -> None:
        pid, master = pty.fork()
        if pid == 0:
            os.execvp(argv[0], argv)  # noqa: S606 - a constant of ours
        ended = asyncio.Event()
        session = Session(
            terminal_id=TERMINAL, program=Program(pid, master, Counter()), columns=80, rows=24,
            on_end=lambda _session: ended.set(), on_news=lambda *_news: None,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        async with await loop.create_unix_server(lambda: Connection(keeper=Harbour(session)), path):
            await ended.wait()

    uvloop.run(serve())


@contextlib.contextmanager
def hosted(argv: list[str]) -> Iterator[Line]:
    """A session host's process with one terminal, without rows and without a sandbox."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(path), argv), daemon=True)
        process.start()
        try:
            with contextlib.closing(_soon(lambda: Unix(path, TERMINAL, offset=0))) as line:
                until(line, READY)
                yield line
        finally:
            process.terminate()
            process.join(10)


@contextlib.contextmanager
def terminado(argv: list[str]) -> Iterator[Line]:
    """Terminado's server with one terminal."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.terminado_server", str(port), *argv])
    try:
        with contextlib.closing(_soon(lambda: Terminado(port))) as line:
            until(line, READY)
            yield line
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True, slots=True)
class Moorings:
    """The real web process and the real session host, and berths without isolation, which is not measured here."""

    stack: Stack
    web: psutil.Process
    host: psutil.Process
    token: str
    user: Any
    berths: list[Any]

    def terminal(self, argv: list[str], *, recording: str = "none") -> uuid.UUID:
        """A terminal whose shell has become this program."""
        terminal_id = self.shell(recording=recording)
        line = self.line(terminal_id)
        line.type(f"exec {' '.join(argv)}\n".encode())
        until(line, READY)
        line.close()
        return terminal_id

    def shell(self, *, recording: str = "none") -> uuid.UUID:
        """One more terminal, in the first berth that takes one."""
        from sessions import faults, lifecycle

        for agent in self.berths:
            with contextlib.suppress(faults.TooManyTerminals):
                return lifecycle.request_open(agent_id=agent.pk, by=self.user, recording=recording).pk
        raise RuntimeError("more terminals than the berths take")

    def line(self, terminal_id: uuid.UUID, **how: Any) -> Web:
        return Web(self.stack.port, terminal_id, token=self.token, **how)


@contextlib.contextmanager
def moored(*, berths: int) -> Iterator[Moorings]:
    """The stack's web process and session host."""
    with running(
        only=frozenset({"web", "sessionhost"}), MOORAGE_TERMINAL_RECORDING_MB="4096", PYTHONWARNINGS="ignore"
    ) as stack:
        from django.utils import timezone

        from agents.models import Agent
        from benchmarks import rows
        from config.access.models import Scope, issue
        from resources.models import Host
        from resources.sandboxes import selection
        from resources.sandboxes.protocol import Profile, Tier
        from sessions.models import SessionHost

        now, user = timezone.now(), rows.user()
        host = Host.objects.create(
            name=HOST, slots=64, memory_mb=4096, cpu_millis=4000, disk_mb=4096, port_first=20000, port_last=20100,
            heartbeat_at=now,
        )  # fmt: skip
        workspace = stack.data / "workspace"
        workspace.mkdir()
        sandbox = selection.open_sandbox(
            Profile(owner="agent:bench", generation=1, workspace=workspace),
            minimum=Tier.BARE, allow_bare=True, prefer=Tier.BARE,
        )  # fmt: skip
        agents = [
            Agent.objects.create(
                name=f"bench-{number}", template="lightweight", state=Agent.State.RUNNING, host=host, created_by=user,
                tier=sandbox.tier, sandbox=sandbox.reference(), created_at=now, state_since=now,
            )
            for number in range(berths)
        ]  # fmt: skip
        _soon(lambda: SessionHost.objects.get())
        pids = stack.supervisor.pids()
        try:
            yield Moorings(
                stack=stack, web=psutil.Process(pids["web"]), host=psutil.Process(pids["sessionhost"]),
                token=issue(user=user, scope=Scope.WRITE), user=user, berths=agents,
            )  # fmt: skip
        finally:
            sandbox.close()


def until(line: Line, wanted: bytes) -> int:
    """Reads up to these bytes; how many came."""
    last, count = b"", 0
    while wanted not in last:
        data = line.read()
        count += len(data)
        last = last[-len(wanted) :] + data
    return count


def _soon(attempt: Callable[[], T]) -> T:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return attempt()
        except Exception:  # it is not there yet, whatever that looks like; at the deadline it is raised
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
