"""Things done at the same moment, in threads with database connections of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Answer = TypeVar("Answer")


def at_once(doings: Sequence[Callable[[], Answer]], *, width: int = 16) -> list[Answer | Exception]:
    """What each answered or raised, in order. The first ``width`` start together; at most so many run at a time."""
    width = min(width, len(doings))
    gate = threading.Barrier(width)
    early = threading.Semaphore(width)

    def do(doing: Callable[[], Answer]) -> Answer | Exception:
        if early.acquire(blocking=False):
            gate.wait(timeout=20)
        try:
            return doing()
        except Exception as error:  # noqa: BLE001 - handed to the test, which says what it expects
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=width) as pool:
        return list(pool.map(do, doings))
