"""A unix socket in front of the machine's engine that is shut at a chosen call: the engine is gone from then on.

The engine itself is the real one, and goes on with what it was asked before.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from resources.sandboxes import selection

ENGINE = "/var/run/docker.sock"
_CHUNK = 1 << 16


class EngineProxy:
    """Listens at ``url``. Shut, it refuses connections, as the socket of a killed engine does."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "d.sock"
        self.url = f"unix://{self._path}"
        self.calls: list[str] = []
        self._cut: re.Pattern[str] | None = None
        self._answered = False
        self._meanwhile: Callable[[], None] | None = None
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Let everything through, from now on."""
        self._cut = self._meanwhile = None
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut_at(self, call: str, *, answered: bool) -> None:
        """Go at the first call that matches ("POST /containers/create"): before it, or before its answer."""
        self._cut, self._answered = re.compile(call), answered

    def meanwhile(self, call: str, do: Callable[[], None]) -> None:
        """Once, when a call that matches comes: do something else first, then let it through."""
        self._cut, self._meanwhile = re.compile(call), do

    def shut(self) -> None:
        """Gone: whoever waits for an answer gets none, whoever comes is refused."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._open = self._open, set()
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def is_shut(self) -> bool:
        return self._listener is None

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(ENGINE)
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=self._answer, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError):
                while chunk := client.recv(_CHUNK):
                    if self._ends_at(chunk, server):
                        self.shut()
                        break
                    server.sendall(chunk)
                server.shutdown(socket.SHUT_WR)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _ends_at(self, chunk: bytes, server: socket.socket) -> bool:
        """Whether this is the call to go at. Requests of one connection follow each other: each begins a chunk."""
        found = re.match(rb"([A-Z]+) (?:/v[0-9.]+)?(/\S*) HTTP/1.1\r\n", chunk)
        if found is None:
            return False
        call = f"{found[1].decode()} {found[2].decode()}"
        self.calls.append(call)
        if self._cut is None or not self._cut.match(call):
            return False
        if (do := self._meanwhile) is not None:
            self._cut = self._meanwhile = None
            do()
            return False
        if self._answered:
            self._done_by_the_engine(chunk, server)
        return True

    def _done_by_the_engine(self, chunk: bytes, server: socket.socket) -> None:
        """On a connection of its own, so that nothing of the answer gets through."""
        with socket.socket(socket.AF_UNIX) as direct:
            direct.connect(ENGINE)
            direct.settimeout(30)
            direct.sendall(chunk)
            direct.recv(_CHUNK)

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(_CHUNK):
                client.sendall(chunk)
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def engine_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProxy]:
    """What the test's own process takes for the engine of this machine."""
    with tempfile.TemporaryDirectory(prefix="moor-proxy-") as directory:  # a socket's path has to fit
        proxy = EngineProxy(Path(directory))
        proxy.start()
        monkeypatch.setitem(os.environ, "DOCKER_HOST", proxy.url)
        selection.availabilities(fresh=True)
        yield proxy
        proxy.shut()
        monkeypatch.undo()
        selection.availabilities(fresh=True)
