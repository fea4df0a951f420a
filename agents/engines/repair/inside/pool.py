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
    """Forked children, a few at a time; each runs one function and answers with JSON through a pipe."""

    def __init__(self, workers: int, memory_mb: int) -> None:
        self.workers, self.memory_mb = workers or len(os.sched_getaffinity(0)), memory_mb
        self.running: dict[int, list[Any]] = {}  # descriptor -> [key, pid, deadline, chunks]

    def run(self, work: Iterable[tuple[Any, Callable[[], Any], float]]) -> Iterator[tuple[Any, Any, str]]:
        """``(key, function, wall seconds)`` in; ``(key, answer, "" or how it ended)`` out, as they end."""
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

    def _start(self, key: Any, function: Callable[[], Any], wall_s: float) -> None:
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            self._child(function, writable)
        os.close(writable)
        self.running[readable] = [key, pid, time.monotonic() + wall_s, []]

    def _child(self, function: Callable[[], Any], writable: int) -> None:
        status = 1
        try:
            os.setsid()
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            _limit_memory(self.memory_mb)
            answer = json.dumps(function()).encode()
            signal.setitimer(signal.ITIMER_PROF, 0)
            while answer:
                answer = answer[os.write(writable, answer) :]
            status = 0
        finally:
            os._exit(status)  # nothing of the parent's is finished here, whatever was raised

    def _ended(self) -> Iterator[tuple[Any, Any, str]]:
        now = time.monotonic()
        nearest = min((entry[2] for entry in self.running.values()), default=now)
        ready, _, _ = select.select(list(self.running), [], [], max(0.0, nearest - now))
        for descriptor in ready:
            chunk = os.read(descriptor, 1 << 16)
            if chunk:
                self.running[descriptor][3].append(chunk)
            else:
                yield self._reap(descriptor, "")
        for descriptor in [one for one, entry in self.running.items() if entry[2] <= time.monotonic()]:
            yield self._reap(descriptor, "time")

    def _reap(self, descriptor: int, how: str) -> tuple[Any, Any, str]:
        key, pid, _, chunks = self.running.pop(descriptor)
        os.close(descriptor)
        if how:
            _kill(pid)
        _, status = os.waitpid(pid, 0)
        _kill(pid)  # its group: what it started and left behind
        if not how and os.WIFSIGNALED(status):
            how = "time" if os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGXCPU) else "died"
        try:
            answer = json.loads(b"".join(chunks)) if chunks and not how else None
        except ValueError:
            answer = None
        return key, answer, how or ("" if answer is not None else "died")


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
