"""From one program of the session host to the next in the same process: exec, without losing a byte.

What cannot be passed as a descriptor — rings, screens, what is not written down yet — goes through a memory file. The
PTYs, their processes, the lock and the listening socket stay what they are: whoever connects meanwhile waits in the
socket's queue, and what programs print meanwhile waits in their terminals.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sessions.faults import SessionHostAway, UpgradeRefused
from sessions.host import client

FORMAT = 2  # of what is handed over; another one cannot be taken up
ASKED = signal.SIGUSR2
HELD_BACK = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, ASKED})  # until the next program listens to them
_FLAG = "--handed"
_COME_BACK_S = 60.0

Handed = tuple[dict[str, Any], list[bytes]]


def write(header: dict[str, Any], blobs: Sequence[bytes]) -> int:
    """A descriptor from which :func:`read` gets the same again."""
    descriptor = os.memfd_create("moorage-handover")
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(json.dumps(header | {"format": FORMAT, "blobs": [len(blob) for blob in blobs]}).encode() + b"\n")
        for blob in blobs:
            stream.write(blob)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def read(descriptor: int) -> Handed:
    """What was written; closes the descriptor."""
    with os.fdopen(descriptor, "rb") as stream:
        header = json.loads(stream.readline())
        return header, [stream.read(size) for size in header["blobs"]]


def execute(state: int, descriptors: Sequence[int]) -> NoReturn:
    """Become the program that is installed now. Raises OSError, and then nothing has changed."""
    for descriptor in (state, *descriptors):
        os.set_inheritable(descriptor, True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        # The same interpreter and arguments that this process was started with: nothing here is from outside.
        os.execve(sys.executable, _argv(state), os.environ)  # noqa: S606
    finally:  # it did not work
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for descriptor in (state, *descriptors):
            os.set_inheritable(descriptor, False)


def _argv(state: int) -> list[str]:
    given = list(sys.orig_argv[1:])
    if _FLAG in given:
        at = given.index(_FLAG)
        del given[at : at + 2]
    return [sys.executable, *given, _FLAG, str(state)]


def sign(lock: int, *, starts: int) -> None:
    """Write into the lock file who holds it: how often it has been started, and what it can take up."""
    signature = f"{os.getpid()} {starts} {FORMAT}\n".encode()
    os.pwrite(lock, signature, 0)  # over the old one: whoever waits for the next start never reads an empty file
    os.ftruncate(lock, len(signature))


def request(socket: Path) -> None:
    """Have the session host at this socket become what is installed now; returns once it has. Raises the faults."""
    lock = client.lock_path(socket)
    pid, starts, spoken = _signature(lock)
    if spoken != FORMAT:
        raise UpgradeRefused("what runs and what is installed hand over differently")
    os.kill(pid, ASKED)
    deadline = time.monotonic() + _COME_BACK_S
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if _signature(lock)[1] > starts and not client.reason_not_ready(socket):
            return
    raise UpgradeRefused("the session host goes on as it was; its log says why")


def _signature(lock: Path) -> tuple[int, int, int]:
    try:
        with lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            raise SessionHostAway("no session host runs on this data directory")
    except BlockingIOError:
        pid, starts, spoken = lock.read_text().split()
        return int(pid), int(starts), int(spoken)
    except FileNotFoundError:
        raise SessionHostAway("no session host runs on this data directory") from None
