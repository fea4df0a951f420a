"""A uvicorn process on a test's database and Redis, which can go and come back at the same address."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from django.conf import settings as django_settings

from tests.fakes.forked import Forked

ROOT = Path(__file__).resolve().parents[2]


class WebProcess:
    """Owns the listening socket, so that the port stays ours while the process is away."""

    def __init__(
        self, *, database: str, redis_url: str, application: str = "tests.events.web:application", **settings: str
    ) -> None:
        self._application = application
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(200)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._environment = {
            **os.environ,
            "MOORAGE_TEST_DATABASE": database,
            "MOORAGE_REDIS_URL": redis_url,
            "MOORAGE_SECRET_KEY": django_settings.SECRET_KEY,  # whoever is signed in here is signed in there
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        self._process: Forked | None = None

    def start(self) -> None:
        """Start it. Connections wait in the socket's backlog until it answers."""
        fd = self._listener.fileno()
        self._process = Forked(
            "uvicorn", self._application, "--fd", str(fd), "--log-level", "warning", env=self._environment, keeps=[fd]
        )

    def stop(self) -> None:
        """End it; its having ended by itself before is a failure of the test."""
        process, self._process = self._process, None
        if process is None:
            return
        died = process.poll()
        process.terminate()
        process.wait(timeout=60)
        assert died is None, f"the web process died with {died}"

    def freeze(self) -> None:
        """Let it read nothing more, as a network does that has died silently."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it as a crash does."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait(timeout=60)

    def close(self) -> None:
        """End it and give the port back."""
        try:
            self.stop()
        finally:
            self._listener.close()
