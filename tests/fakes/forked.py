"""Processes of ours by the fork of one that has all imported: a twentieth of the processor time of a fresh start.

What runs in one is the real program, under the arguments, environment and descriptors it was given; the settings are
read anew, from that environment. What it does not prove - that the program's own imports are complete - those tests
prove that start the whole stack.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

ROOT = Path(__file__).resolve().parents[2]
_MOST_BYTES = 1 << 18
_MOST_FDS = 16
_OUT_OF_THE_WAY = 200  # descriptors from here on are nobody's wish
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class Forked:
    """A running ``python -m module arguments``, with the verbs of :class:`subprocess.Popen`.

    Its output goes where ``output`` goes (errors, too, unless ``errors`` is given), else where ours goes; without an
    ``input`` it reads nothing. ``keeps`` are open in it by their numbers. It ends when we do, however that is.
    """

    def __init__(
        self, module: str, *arguments: str, env: Mapping[str, str], input: IO[Any] | None = None,
        output: IO[Any] | None = None, errors: IO[Any] | None = None, keeps: Sequence[int] = (),
        of: Literal["rooms", "client"] = "rooms",
    ) -> None:  # fmt: skip
        request = {"module": module, "arguments": arguments, "environment": dict(env), "keeps": list(keeps)}
        out = 1 if output is None else output.fileno()
        err = errors.fileno() if errors is not None else 2 if output is None else out
        self.returncode: int | None = None
        with open(os.devnull, "rb") as nothing:
            given = (input or nothing).fileno()
            self.pid, self._end = _zygote(of).fork(request, [given, out, err, *keeps])

    def poll(self) -> int | None:
        """The exit code once it has ended; minus the signal's number if it was killed."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises :class:`subprocess.TimeoutExpired`."""
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(f"forked {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            self.returncode = int(os.read(self._end, 16) or -signal.SIGKILL)
            os.close(self._end)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Zygote:
    """The one that has all imported. Started at the first wish, and gone with us."""

    def __init__(self, of: str) -> None:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._one_at_a_time = threading.Lock()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.forked", str(its.fileno()), of],
                env={**os.environ, "PYTHONIOENCODING": "utf-8"}, cwd=ROOT, pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.end)

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> tuple[int, int]:
        """The new process's id, and a descriptor from which its exit code can be read."""
        end, told = os.pipe()
        try:
            with self._one_at_a_time:
                socket.send_fds(self._socket, [json.dumps(request).encode()], [told, *descriptors])
                return int(self._socket.recv(32)), end
        finally:
            os.close(told)

    def end(self) -> None:
        self._socket.close()
        self._process.wait(20)


@cache
def _zygote(of: str) -> _Zygote:
    return _Zygote(of)


def _import_client() -> None:
    """The command-line client, but for the module that is run."""
    import cli.main

    del sys.modules["cli.main"], cli.main


def _import_rooms() -> None:
    """What daemons and web processes need, without a thread, a connection or a middleware made with our settings."""
    import importlib
    import warnings

    import django

    warnings.simplefilter("default")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()

    from django.conf import settings
    from django.core.management import load_command_class

    for path in settings.MIDDLEWARE:
        importlib.import_module(path.rpartition(".")[0])
    for name in (
        "uvicorn.main", "uvicorn.lifespan.off", "uvicorn.loops.auto", "uvicorn.protocols.http.auto",
        "uvicorn.protocols.websockets.auto", "channels.routing", "channels_redis.core", "config.sockets", "config.urls",
        "django.db.backends.sqlite3.base", "resources.egress.daemon", "sessions.host.server",
    ):  # fmt: skip
        importlib.import_module(name)
    load_command_class("config", "sessionhost")
    assert threading.active_count() == 1


class _Server:
    """Forks on request, and says how each one ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._running: dict[int, tuple[int, int]] = {}  # pidfd -> (pid, where its end is told)

    def serve(self) -> dict[str, Any] | None:
        """Returns the request in each child; None in the parent, once nobody can ask any more."""
        waits = select.poll()
        waits.register(self._connection, select.POLLIN)
        while True:
            for descriptor, _ in waits.poll():
                if descriptor != self._connection.fileno():
                    waits.unregister(descriptor)
                    self._tell_end(descriptor)
                    continue
                said, descriptors, *_ = socket.recv_fds(self._connection, _MOST_BYTES, _MOST_FDS)
                if not said:
                    self._connection.close()
                    return None
                request = json.loads(said)
                told, *wanted = descriptors
                if (pid := os.fork()) == 0:
                    self._become(request, wanted)
                    return dict(request)
                for passed in wanted:
                    os.close(passed)
                watched = os.pidfd_open(pid)
                self._running[watched] = (pid, told)
                waits.register(watched, select.POLLIN)
                self._connection.send(str(pid).encode())

    def _tell_end(self, watched: int) -> None:
        pid, told = self._running.pop(watched)
        os.close(watched)
        os.write(told, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os.close(told)

    def _become(self, request: dict[str, Any], wanted: list[int]) -> None:
        """Only the descriptors that were asked for, by the numbers that were asked for."""
        import fcntl

        apart = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for one in wanted]
        self._connection.detach()
        os.closerange(3, _OUT_OF_THE_WAY)
        for one, number in zip(apart, [0, 1, 2, *request["keeps"]], strict=True):
            os.dup2(one, number)
        os.closerange(_OUT_OF_THE_WAY, _OUT_OF_THE_WAY + 4096)


def _set_up_anew() -> None:
    """The settings of this environment; what the import has made with the old ones is forgotten."""
    from django.conf import settings
    from django.db import connections
    from django.utils.functional import empty
    from django.utils.log import configure_logging

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    del sys.modules["config.settings"]
    settings._wrapped = empty  # type: ignore[assignment] # read again at the next look
    connections.__dict__.pop("settings", None)
    connections._settings = None  # type: ignore[attr-defined]
    for known in connections.all(initialized_only=True):
        assert known.connection is None, "the import connected"
        del connections[known.alias]
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)


def _main(connection: int, of: str) -> None:
    rooms = of == "rooms"
    _import_rooms() if rooms else _import_client()
    gc.collect()
    gc.freeze()
    if (request := _Server(socket.socket(fileno=connection)).serve()) is None:
        return  # our children end with us
    import ctypes
    import runpy

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    if rooms:
        _set_up_anew()
    sys.argv[1:] = request["arguments"]
    sys.orig_argv[1:] = ["-m", request["module"], *request["arguments"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2])
