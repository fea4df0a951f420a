"""Whoever loses a right at a terminal is cut off within a second: everybody's rights are asked for, again and again.

One question after the other for all sockets of a web process: one for each of them at its own time would keep the
database's thread, and with it the relay, busy with changing turns.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from channels.db import database_sync_to_async
from django.db import DatabaseError

from sessions import visibility

log = logging.getLogger(__name__)

RECHECK_S = 0.8  # from one question to the next; the question itself included, a lost right is noticed within a second
_LEAST_PAUSE_S = 0.1
_AT_ONCE = 50  # sockets in one turn of the database's thread: others want it too

Rights = Mapping[uuid.UUID, bool]


class Visitor(Protocol):
    """One socket with terminals on it."""

    def still_signed_in(self) -> Any:
        """The user whom its credential proves now, or nobody. Asks the database."""

    def looks_at(self) -> set[uuid.UUID]:
        """The terminals on it."""

    def hear_rights(self, asked: set[uuid.UUID], rights: Rights | None) -> None:
        """Of those asked for, the ones it may see, each with whether it may type; None when it is signed out."""

    def not_asked(self) -> None:
        """Nobody asks for its rights any more: it ends."""


class Rechecks:
    """The visitors of one event loop; asks as long as there are any."""

    def __init__(self) -> None:
        self._visitors: dict[Visitor, None] = {}
        self._asking: asyncio.Task[None] | None = None

    def join(self, visitor: Visitor) -> None:
        """From now on it is asked for."""
        self._visitors[visitor] = None
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_on(), name="terminal rights")
            self._asking.add_done_callback(self._ended)

    def leave(self, visitor: Visitor) -> None:
        """No more. Leaving twice is fine."""
        self._visitors.pop(visitor, None)

    async def _ask_on(self) -> None:
        loop, taken_s = asyncio.get_running_loop(), 0.0
        try:
            while self._visitors:
                await asyncio.sleep(max(_LEAST_PAUSE_S, RECHECK_S - taken_s))
                started, visitors = loop.time(), list(self._visitors)
                for at in range(0, len(visitors), _AT_ONCE):
                    await self._ask(visitors[at : at + _AT_ONCE])
                taken_s = loop.time() - started
        finally:
            self._asking = None  # whoever joins from now on begins anew

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("rights could not be asked for", exc_info=error)
            for visitor in list(self._visitors):
                visitor.not_asked()

    async def _ask(self, some: Sequence[Visitor]) -> None:
        asked = {visitor: terminals for visitor in some if (terminals := visitor.looks_at())}
        if not asked:
            return
        try:
            rights = await database_sync_to_async(_rights)(asked)
        except DatabaseError as error:
            log.warning("rights cannot be asked", extra={"error": type(error).__name__})
            return
        for visitor, terminals in asked.items():
            if visitor in self._visitors:
                visitor.hear_rights(terminals, rights[visitor])


def _rights(asked: Mapping[Visitor, set[uuid.UUID]]) -> dict[Visitor, Rights | None]:
    """One question for each credential, and one for all the terminals that a user looks at."""
    users = {visitor: visitor.still_signed_in() for visitor in asked}
    wanted: dict[Any, set[uuid.UUID]] = {}
    for visitor, user in users.items():
        if user is not None and user.is_authenticated:
            wanted.setdefault(user, set()).update(asked[visitor])
    found = {user: visibility.rights_to(user, terminals) for user, terminals in wanted.items()}
    return {visitor: found.get(user) for visitor, user in users.items()}


_rechecks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Rechecks] = weakref.WeakKeyDictionary()


def of_loop() -> Rechecks:
    """Those of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _rechecks:
        _rechecks[loop] = Rechecks()
    return _rechecks[loop]
