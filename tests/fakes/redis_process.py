"""A real redis-server for tests: the bundled binary, on a unix socket in a directory of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings

from tests.fakes import tied


class RedisProcess:
    """One redis-server that can be started, killed and started again on the same socket and data."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers. With an append-only file, as the embedded stack runs it."""
        bundled = Path(sys.executable).parent / "redis-server"
        program = str(bundled) if bundled.exists() else shutil.which("redis-server") or "redis-server"
        self._process = subprocess.Popen(
            tied.argv(program, "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
                      "--dir", str(self._directory), "--save", "", "--appendonly", "yes"),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)

    def kill(self) -> None:
        """kill -9, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order. Stopping twice is fine."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(timeout=10)


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisProcess]:
    """The Redis of this test session; a test that kills it starts it again."""
    # Not pytest's directory: the path of a unix socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="moor-") as directory:
        process = RedisProcess(Path(directory))
        process.start()
        before, settings.REDIS_URL = settings.REDIS_URL, process.url
        yield process
        settings.REDIS_URL = before
        process.stop()


@pytest.fixture(scope="session")
def redis_url(redis_process: RedisProcess) -> str:
    """Its URL, which is ``settings.REDIS_URL`` from here on."""
    return redis_process.url
