"""What the ledger is to hear of the terminals here, kept until it has taken it: the database may be away meanwhile."""

from __future__ import annotations

import itertools
import uuid
from collections import deque
from collections.abc import Iterable
from typing import Any

from sessions.host.ledger import Ended, Happening, Orders, Report

_MOST_HAPPENINGS = 10_000  # kept while the database is away; the oldest give way
_HAPPENINGS_AT_ONCE = 200


class Books:
    """By terminal, with the generation of its row: what is open, what has ended, and what people did at it."""

    def __init__(self) -> None:
        self.live: dict[uuid.UUID, int] = {}
        self.spawned: dict[uuid.UUID, int] = {}  # open, and their row does not say so yet
        self.ended: dict[uuid.UUID, Ended] = {}
        self.happened: deque[Happening] = deque(maxlen=_MOST_HAPPENINGS)

    @property
    def due(self) -> bool:
        """Whether there is something to tell at once."""
        return bool(self.ended or self.happened)

    def next_happenings(self) -> tuple[Happening, ...]:
        """As many as the ledger takes at once, the oldest first."""
        return tuple(itertools.islice(self.happened, _HAPPENINGS_AT_ONCE))

    def note(self, terminal_id: uuid.UUID, *, live: int | None, spawned: int | None) -> None:
        """What the program before us knew of it."""
        if live is not None:
            self.live[terminal_id] = live
        if spawned is not None:
            self.spawned[terminal_id] = spawned

    def confirm(self, terminal_id: uuid.UUID, generation: int, *, goes_on: bool) -> None:
        """Its row says that it is live."""
        self.spawned.pop(terminal_id, None)
        if goes_on:
            self.live[terminal_id] = generation
        elif ended := self.ended.get(terminal_id):  # it ended while its opening was being written
            self.ended[terminal_id] = Ended(generation, ended.exit_code, ended.reason)

    def end(self, terminal_id: uuid.UUID, exit_code: int | None, reason: str) -> None:
        """It has ended by itself."""
        generation = self.live.pop(terminal_id, None) or self.spawned.pop(terminal_id, 0)
        self.ended[terminal_id] = Ended(generation, exit_code, reason)

    def fail(self, terminal_id: uuid.UUID, generation: int, words: str) -> None:
        """It could not be opened."""
        self.ended[terminal_id] = Ended(generation, None, words)

    def taken(self, report: Report, orders: Orders) -> None:
        """The ledger has what it was told."""
        for terminal_id in orders.noted:
            self.ended.pop(terminal_id, None)
        for happening in report.happened:
            if self.happened and self.happened[0] is happening:  # unless it gave way meanwhile
                self.happened.popleft()

    def pack(self, *, leaving: Iterable[Happening]) -> dict[str, Any]:
        """What has yet to be told, for the next program of ours; whoever is at a terminal now is ``leaving`` it."""
        return {
            "ended": [[key.hex, ended.generation, ended.exit_code, ended.reason] for key, ended in self.ended.items()],
            "happened": [[each.terminal_id.hex, each.what, each.who, each.to] for each in (*self.happened, *leaving)],
        }

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with what the program before us had yet to tell."""
        for hexed, generation, exit_code, reason in packed["ended"]:
            self.ended[uuid.UUID(hex=hexed)] = Ended(generation, exit_code, reason)
        self.happened.extend(Happening(uuid.UUID(hex=key), *rest) for key, *rest in packed["happened"])
