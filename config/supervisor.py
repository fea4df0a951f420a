"""Runs the parts of the stack on one machine: starts, watches, restarts and stops them, leaves none behind.

One thread owns every process: the kernel ties a child's life to the thread that started it (see
:mod:`config.tether`), so that thread lives as long as the supervisor. The public methods only talk to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

from config.output import Output
from config.parts import Part, data_directory, parts
from config.running import Running
from events.faults import Fault, FaultClass

__all__ = ["AlreadyRunning", "PortTaken", "StackNotReady", "Supervisor", "parts", "take_lock"]

LOCK = "supervisor.lock"  # beneath run/ of the data directory
_TICK_S = 0.05


class AlreadyRunning(Fault):
    """Another supervisor holds this data directory."""

    fault_class = FaultClass.CONFIGURATION
    code = "stack.already_running"
    remedy = "Stop it first, or set MOORAGE_DATA to another directory."


class PortTaken(Fault):
    """A port that a part needs is in use."""

    fault_class = FaultClass.CONFIGURATION
    code = "port.taken"


class StackNotReady(Fault):
    """Some part did not come up; the detail says which and why."""

    fault_class = FaultClass.RESOURCE
    code = "stack.not_ready"
    remedy = "Read the log lines of the part named here; `python manage.py doctor` checks what it needs."


class Supervisor:
    """Starts ``parts`` with ``environment``; a context manager: up at the beginning, all gone at the end."""

    def __init__(
        self,
        parts: tuple[Part, ...],
        environment: Mapping[str, str],
        *,
        log: TextIO = sys.stdout,
        lock: int | None = None,  # of take_lock, where the caller had to have it before; ours from here on
    ) -> None:
        self._environment = dict(environment)
        self._data = data_directory(environment)
        self._output = Output(log, width=max((len(part.name) for part in parts), default=0))
        self._parts = {part.name: Running(part, self._environment, self._output) for part in parts}
        self._changed = threading.Condition()
        # Plain values: a signal handler may interrupt whoever holds the lock inside an Event.
        self._stopping = False
        self._hurry = False
        self._failure = ""
        self._thread: threading.Thread | None = None
        self._lock = lock

    def start(self) -> None:
        """Begin. Raises :class:`AlreadyRunning` or :class:`PortTaken` before anything is started."""
        if self._lock is None:
            self._lock = take_lock(self._data)
        try:
            for running in self._parts.values():
                _refuse_taken_port(running.part)
            for directory in ("redis", "static"):
                (self._data / directory).mkdir(exist_ok=True, mode=0o700)
        except BaseException:
            self._release_lock()
            raise
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def wait_ready(self, timeout_s: float = 180.0) -> None:
        """Block until all is up or a stop is asked for. Raises :class:`StackNotReady` with the reasons."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._stopping:
                waiting = {r.part.name: r.reason for r in self._parts.values() if not r.ready}
                if not waiting:
                    return
                if time.monotonic() > deadline:
                    self._failure = "; ".join(f"{name}: {reason}" for name, reason in waiting.items())
                    break
                self._changed.wait(0.2)
        if self._failure:
            raise StackNotReady(self._failure)

    def wait(self) -> None:
        """Block until somebody asks for the stop and everything is down."""
        # In slices: a wait without a time-out would keep the main thread from its signal handlers.
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(0.5)

    def request_stop(self) -> None:
        """Ask for the stop; a second request kills. Safe in a signal handler."""
        if self._stopping:
            self._hurry = True
        self._stopping = True

    def stop(self) -> None:
        """Stop all in reverse order, politely and then by force; return when they are gone. Twice is fine."""
        self._stopping = True
        self.wait()
        self._thread = None
        self._release_lock()

    @property
    def running(self) -> bool:
        """Whether nobody has asked for the stop."""
        return not self._stopping

    @property
    def log_broken(self) -> bool:
        """Whether the reader of the log has gone."""
        return self._output.broken

    def pids(self) -> dict[str, int]:
        """The process id of each part that lives now."""
        return {name: running.pid for name, running in self._parts.items() if running.pid is not None}

    def __enter__(self) -> Supervisor:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- the supervising thread ----------------------------------------------------------------------

    def _supervise(self) -> None:
        try:
            while not self._stopping:
                for running in self._parts.values():
                    self._attend(running)
                if self._output.broken:  # whoever read our log has gone: nobody would see what happens
                    self._stopping = True
                time.sleep(_TICK_S)
        finally:
            self._stop_all()
            with self._changed:
                self._changed.notify_all()

    def _attend(self, running: Running) -> None:
        """One look at one part: start it when its turn has come, note its end, ask whether it is up."""
        was_ready = running.ready
        if running.pid is None:
            if all(self._parts[name].ready for name in running.part.after):
                running.start_when_due(now=time.monotonic())
        else:
            running.look(now=time.monotonic())
        if running.given_up:
            with self._changed:
                self._failure = f"{running.part.name}: {running.reason}"
                self._stopping = True
        if running.ready != was_ready:
            with self._changed:
                self._changed.notify_all()

    def _stop_all(self) -> None:
        """Each part is asked to stop once nothing that stands on it lives."""
        while living := [running for running in self._parts.values() if running.pid is not None]:
            holding = {name for running in living for name in running.part.after}
            for running in living:
                if running.part.name not in holding or self._hurry:
                    running.stop_or_kill(now=time.monotonic(), at_once=self._hurry)
            time.sleep(_TICK_S)
        for running in self._parts.values():
            running.finish_reading()

    # --- one supervisor per data directory -----------------------------------------------------------

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def take_lock(data: Path) -> int:
    """Hold a data directory's stack, until the descriptor is closed. Raises :class:`AlreadyRunning`."""
    directory = data / "run"
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)  # whoever reaches the Redis socket can queue tasks
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode("ascii", "replace").strip()
        os.close(lock)
        raise AlreadyRunning(f"Process {holder or '?'} already runs the stack of {data}.") from None
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def _refuse_taken_port(part: Part) -> None:
    if part.port is None:
        return
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", part.port))
        except OSError as error:
            raise PortTaken(
                f"Port {part.port} of 127.0.0.1, which {part.name} needs, cannot be had: {error.strerror}.",
                remedy=f"Set {part.port_setting} to a free port.",
            ) from None
