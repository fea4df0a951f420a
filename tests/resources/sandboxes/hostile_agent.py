"""An agent that is none: listens behind a door and says what a test tells it to."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.sandboxes import door

HEADER = struct.Struct("!IB")
HELLO = HEADER.pack(2, 0) + (1).to_bytes(2, "big")
Manners = Callable[[socket.socket, list[int]], None]


@contextmanager
def behind_the_door(workspace: Path, manners: Manners, *, greeting: bytes = HELLO) -> Iterator[None]:
    """Greets, takes the request with its descriptors, then leaves connection and descriptors to ``manners``."""
    directory = door.build(workspace, uid=os.getuid() or 10001)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / door.SOCKET))
        listener.listen(16)
        listener.settimeout(0.1)
        done = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, manners, greeting, done))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _serve(listener: socket.socket, manners: Manners, greeting: bytes, done: threading.Event) -> None:
    while not done.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.settimeout(5)
            descriptors: list[int] = []
            try:
                connection.sendall(greeting)
                received = b""
                while len(received) < 5 or len(received) < 5 + HEADER.unpack_from(received)[0]:
                    piece, more, _, _ = socket.recv_fds(connection, 65536, 8)
                    descriptors += more
                    if not piece:
                        break
                    received += piece
                if received:
                    manners(connection, descriptors)
            except OSError:
                continue  # the client has had enough, as it should
            finally:
                for descriptor in descriptors:
                    try:
                        os.close(descriptor)
                    except OSError:
                        continue  # the manners closed it
