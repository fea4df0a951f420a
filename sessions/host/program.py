"""The process that stands for a terminal's programs: ours to wait for, or kept by it for us while we were away."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import signal
import socket
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

_COUNTER = struct.Struct("<Q")
_COUNTER_BYTES = mmap.PAGESIZE
_DIRECTORY = "terminals"
_GREETING_BYTES = 64
_PATIENCE_S = 5.0


def directory_of(run: Path) -> Path:
    """Where the keepers of terminals listen, beside our own socket."""
    return run / _DIRECTORY


def keeper_path(run: Path, terminal_id: uuid.UUID) -> Path:
    """Where the keeper of one terminal listens."""
    return directory_of(run) / terminal_id.hex


class Counter:
    """How many bytes were read of a terminal, where whoever comes after us can read it too."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = os.memfd_create("moorage-terminal")
            os.ftruncate(descriptor, _COUNTER_BYTES)
        self.descriptor = descriptor
        self._page = mmap.mmap(descriptor, _COUNTER_BYTES)

    @property
    def head(self) -> int:
        return int(_COUNTER.unpack_from(self._page)[0])

    @head.setter
    def head(self, value: int) -> None:
        _COUNTER.pack_into(self._page, 0, value)

    def close(self) -> None:
        self._page.close()
        os.close(self.descriptor)


@dataclass(slots=True, eq=False)
class Program:
    """A process to wait for and to signal, the terminal's master, and what counts its bytes.

    ``connection`` is to the keeper of a terminal that an earlier session host opened; without one it is our child.
    """

    pid: int
    master: int
    counter: Counter
    connection: socket.socket | None = None

    def watch(self) -> int:
        """A descriptor that can be read once the process has ended; the caller closes it."""
        return os.pidfd_open(self.pid)

    def end(self, pidfd: int) -> None:
        """Have everything in the terminal killed."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)

    def exit_code(self) -> int | None:
        """Of a process that has ended: what its program said, None where it was cut off."""
        if self.connection is None:
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return code if code >= 0 else None
        self.connection.setblocking(False)
        try:
            said = self.connection.recv(_GREETING_BYTES)
        except OSError:
            return None
        finally:
            self.connection.close()
        found = re.fullmatch(rb"exit ([0-9]{1,3})\n", said)
        return int(found[1]) if found else None

    def abandon(self) -> None:
        """End a kept terminal without looking at it: to hang up alone would let it wait for another owner."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        os.close(self.master)
        self.counter.close()
        if self.connection is not None:
            self.connection.close()

    def descriptors(self) -> list[int]:
        """What another program of ours needs to go on with it."""
        return [self.master, self.counter.descriptor, *([self.connection.fileno()] if self.connection else [])]


def reclaim(run: Path) -> dict[uuid.UUID, Program]:
    """The terminals that keepers hold since a session host died. Slow: for a thread.

    A socket at which nobody listens is what a dead keeper left: it is removed.
    """
    found: dict[uuid.UUID, Program] = {}
    try:
        directory = os.open(directory_of(run), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return found
    try:
        for name in os.listdir(directory):
            try:
                found[uuid.UUID(hex=name)] = _reclaim(directory, name)
            except ConnectionRefusedError:
                os.unlink(name, dir_fd=directory)
            except (OSError, ValueError):
                continue  # it ends just now, or another one has it
    finally:
        os.close(directory)
    return found


def _reclaim(directory: int, name: str) -> Program:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_PATIENCE_S)
        # By descriptor: the directory's path may be longer than a socket's name may be.
        connection.connect(f"/proc/self/fd/{directory}/{name}")
        said, descriptors, _, _ = socket.recv_fds(connection, _GREETING_BYTES, 2)
        told = re.fullmatch(rb"kept ([0-9]{1,10})\n", said)
        if told is None or len(descriptors) != 2:
            for descriptor in descriptors:
                os.close(descriptor)
            raise ValueError("a keeper that does not keep")
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return Program(int(told[1]), descriptors[0], Counter(descriptors[1]), connection)
    except BaseException:
        connection.close()
        raise
