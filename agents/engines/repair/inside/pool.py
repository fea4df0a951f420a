"""Children, a few at a time, each with its own limits of time and memory."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

WALL_FACTOR, WALL_EXTRA_S = 6.0, 2.0  # a berth may have a quarter of a core per child


class Pool:
    """Forked children, a few at a time; each runs one function and answers with lines of JSON through a pipe."""

    def __init__(self, workers: int, memory_mb: int) -> None:
        self.workers, self.memory_mb = workers or len(os.sched_getaffinity(0)), memory_mb
        self.running: dict[int, list[Any]] = {}  # descriptor -> [key, pid, deadline, chunks, wall seconds]

    def run(self, work: Iterable[tuple[Any, Callable[[], Any], float]]) -> Iterator[tuple[Any, Any, str]]:
        """``(key, function, wall seconds)`` in; ``(key, answer, "" or how it ended)`` out, as they end."""
        for key, parts, how in self.streams((key, _once(function), wall_s) for key, function, wall_s in work):
            yield key, parts[0] if parts and not how else None, how or ("" if parts else "died")

    def streams(
        self, work: Iterable[tuple[Any, Callable[[], Iterable[Any]], float]]
    ) -> Iterator[tuple[Any, list[Any], str]]:
        """The same for functions that give one answer after another: all that came, however it ended. The wall seconds
        are for each of them.
        """
        pending = iter(work)
        more = True
        while more or self.running:
            while more and len(self.running) < self.workers:
                following = next(pending, None)
                if following is None:
                    more = False
                else:
                    self._start(*following)
            yield from self._ended()

    def _start(self, key: Any, function: Callable[[], Iterable[Any]], wall_s: float) -> None:
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            self._child(function, writable)
        os.close(writable)
        self.running[readable] = [key, pid, time.monotonic() + wall_s, [], wall_s]

    def _child(self, function: Callable[[], Iterable[Any]], writable: int) -> None:
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            _limit_memory(self.memory_mb)
            for part in function():
                signal.setitimer(signal.ITIMER_PROF, 0)
                answer = json.dumps(part).encode() + b"\n"
                while answer:
                    answer = answer[os.write(writable, answer) :]
            status = 0
        finally:
            os._exit(status)  # nothing of the parent's is finished here, whatever was raised

    def _ended(self) -> Iterator[tuple[Any, list[Any], str]]:
        now = time.monotonic()
        nearest = min((entry[2] for entry in self.running.values()), default=now)
        ready, _, _ = select.select(list(self.running), [], [], max(0.0, nearest - now))
        for descriptor in ready:
            chunk = os.read(descriptor, 1 << 16)
            if chunk:
                entry = self.running[descriptor]
                entry[3].append(chunk)
                entry[2] = time.monotonic() + entry[4]
            else:
                yield self._reap(descriptor, "")
        for descriptor in [one for one, entry in self.running.items() if entry[2] <= time.monotonic()]:
            yield self._reap(descriptor, "time")

    def _reap(self, descriptor: int, how: str) -> tuple[Any, list[Any], str]:
        key, pid, _, chunks, _ = self.running.pop(descriptor)
        os.close(descriptor)
        if how:
            _kill(pid)
        _, status = os.waitpid(pid, 0)
        _kill(pid)  # its group: what it started and left behind
        if not how and os.WIFSIGNALED(status):
            how = "time" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGXCPU) else "died"
        return key, _parts(b"".join(chunks)), how or ("died" if status else "")


def _once(function: Callable[[], Any]) -> Callable[[], Iterable[Any]]:
    return lambda: [function()]


def _parts(written: bytes) -> list[Any]:
    try:
        return [json.loads(line) for line in written.split(b"\n")[:-1]]
    except ValueError:
        return []


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _limit_memory(megabytes: int) -> None:
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        now = 1 << 30
    for limit, value in ((resource.RLIMIT_AS, now + (megabytes << 20)), (resource.RLIMIT_FSIZE, 64 << 20)):
        hard = resource.getrlimit(limit)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (soft, hard))


def wall_s(limit_s: float) -> float:
    """How long a child with so many processor seconds may take by the clock."""
    return limit_s * WALL_FACTOR + WALL_EXTRA_S
