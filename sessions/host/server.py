"""Being the session host of a machine: one at a time, listening on its socket, from start or hand-over to the end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from sessions.faults import SessionHostTaken, SocketPathTooLong
from sessions.host import handover
from sessions.host.archive import Rules
from sessions.host.client import lock_path, socket_path
from sessions.host.daemon import Daemon
from sessions.host.ledger import Identity, place_of

_BACKLOG = 2048  # all viewers of all web processes come back at once after a restart of ours
_SOCKET_PATH_BYTES = 107  # sun_path of sockaddr_un, less its final zero


async def serve(
    *, host: str, rules: Rules, stop: asyncio.Event, upgrade: asyncio.Event, handed: int | None = None
) -> bool:
    """Be the session host of this machine until ``stop``. False when another one has taken over.

    On ``upgrade`` this process becomes the program that is installed then, which takes up what was ``handed`` to it.
    """
    path = socket_path(rules.data)
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        raise SocketPathTooLong(f"{path} is longer than {_SOCKET_PATH_BYTES} bytes")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    header, blobs = handover.read(handed) if handed is not None else ({}, [])
    with _sole(path, handed=header.get("lock")) as lock:
        place = place_of(path.parent)
        daemon = Daemon(
            Identity(host=host, epoch=header.get("epoch") or secrets.token_hex(16), socket=str(path), place=place),
            rules,
        )
        if header:
            daemon.go_on(header, blobs)
        server = await _listen(daemon, path, handed=header.get("listener"))
        daemon.owns(lock=lock, listener=server.sockets[0].fileno())
        try:
            await daemon.keep(stop, upgrade)
        finally:
            server.close()
            await daemon.stop()
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    return not daemon.superseded


@contextlib.contextmanager
def _sole(path: Path, *, handed: int | None) -> Iterator[int]:
    """One daemon per data directory, however it ends: the kernel gives the lock back."""
    if handed is not None:  # the lock is still ours
        os.set_inheritable(handed, False)
        yield handed
        os.close(handed)
        return
    descriptor = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SessionHostTaken(f"a session host listens at {path} already") from None
        yield descriptor
    finally:
        os.close(descriptor)


async def _listen(daemon: Daemon, path: Path, *, handed: int | None) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if handed is not None:
        os.set_inheritable(handed, False)
        return await loop.create_unix_server(daemon.connection, sock=socket.socket(fileno=handed), backlog=_BACKLOG)
    before = os.umask(0o177)  # the socket is 600 from its first moment
    try:
        return await loop.create_unix_server(daemon.connection, path, backlog=_BACKLOG)
    finally:
        os.umask(before)
