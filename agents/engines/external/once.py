"""A program that runs once: its prompt is a file and its input, its output is lines, mostly JSON."""

from __future__ import annotations

import json
from typing import Any

from agents.engines.external.lines import Lines, shown
from agents.engines.external.updates import Told

PROMPT_FILE = "{prompt_file}"  # in the program's arguments
_WORDS = (
    "text", "message", "details", "command", "result", "content", "title", "summary", "error", "part", "item", "delta",
)  # fmt: skip
_DEEPEST = 5


class Onlooker:
    """Shows what a program writes. A :class:`resources.sandboxes.protocol.Peer` that says nothing."""

    def __init__(self, told: Told) -> None:
        self._told, self._lines = told, Lines()

    def heard(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._show(line.decode("utf-8", "replace"))

    def says(self) -> bytes | None:
        return None

    def _show(self, line: str) -> None:
        if not line.strip():
            return
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            self._told.line(f"output: {shown(line)}")
            return
        kind, words = shown(str(entry.get("type", "")), limit=60), shown(words_of(entry))
        self._told.line(f"{kind or 'output'}: {words}")
        self._told.event(title=words, kind=kind, status="")


def words_of(entry: Any, *, depth: int = 0) -> str:
    """What a person would read in an entry, in whatever of the usual places it stands; empty where there is nothing."""
    if isinstance(entry, str):
        return entry
    if depth >= _DEEPEST:
        return ""
    if isinstance(entry, list):
        found = (words_of(one, depth=depth + 1) for one in entry[:20])
    elif isinstance(entry, dict):
        found = (words_of(entry[name], depth=depth + 1) for name in _WORDS if name in entry)
    else:
        return ""
    return next((words for words in found if words.strip()), "")
