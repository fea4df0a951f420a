"""The recordings of this machine's terminals: which are made, what the ledger has yet to hear, which are too old."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sessions.host.recorder import Figures, Recorder, path_of, prune

log = logging.getLogger(__name__)

DAY_S = 86_400
_PRUNE_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator has set: idle terminals end after ``idle_s``, 0 for never; recordings and their limits."""

    data: Path
    idle_s: float
    recording_bytes: int
    recording_days: float  # 0 for ever


class Archive:
    """Keeps the recorders of one daemon."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._recorders: dict[uuid.UUID, Recorder] = {}
        self._told: dict[uuid.UUID, Figures] = {}
        self._pruned_at = 0.0

    def recorder(self, terminal_id: uuid.UUID, *, what: str) -> Recorder | None:
        """A recorder of what is to be recorded: none, output, or input as well. None where no file can be had."""
        if what == "none":
            return None
        path = path_of(self._rules.data, terminal_id)
        try:
            made = Recorder(path, most_bytes=self._rules.recording_bytes, with_input=what == "input")
        except OSError as error:
            log.warning("terminal not recorded", extra={"terminal": str(terminal_id), "error": error.strerror})
            return None
        self._recorders[terminal_id] = made
        return made

    def what(self, terminal_id: uuid.UUID) -> str:
        """What is recorded of a terminal."""
        made = self._recorders.get(terminal_id)
        return "none" if made is None else "input" if made.with_input else "output"

    def give_up(self, terminal_id: uuid.UUID) -> None:
        """Its terminal did not come to be."""
        if made := self._recorders.get(terminal_id):
            made.end(None)

    def news(self) -> dict[uuid.UUID, Figures]:
        """What has changed since the ledger took it last."""
        return {key: made.figures for key, made in self._recorders.items() if self._told.get(key) != made.figures}

    def taken(self, news: Mapping[uuid.UUID, Figures]) -> None:
        """The ledger has it."""
        for key, figures in news.items():
            self._told[key] = figures
            if figures.ended:
                self._recorders.pop(key, None)
                self._told.pop(key, None)

    def prune(self) -> None:
        """Once an hour: remove what is too old."""
        if not self._rules.recording_days or time.monotonic() - self._pruned_at < _PRUNE_EVERY_S:
            return
        self._pruned_at = time.monotonic()
        removed = prune(self._rules.data, before=time.time() - self._rules.recording_days * DAY_S)
        if removed:
            log.info("old recordings removed", extra={"count": removed})
