"""What tests execute, and what they execute it with."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

SAMPLES = 40  # how often the types of a function's names are looked at, per test
NAMES_PER_TYPE = 40


class Tracer:
    """Which lines of the project a test executes, and what types its names have; a trace function per code object
    that goes to sleep once it has seen everything.
    """

    def __init__(self, where: Callable[[str], str]) -> None:
        self.where = where
        self.lines: dict[str, set[int]] = {}
        self.types: dict[str, dict[str, set[str]]] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self._local: dict[types.CodeType, Callable[..., Any] | None] = {}

    def __call__(self, frame: types.FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code not in self._local:
            path = self.where(code.co_filename)
            self._local[code] = self._watch(code, path) if path else None
        local = self._local[code]
        return local(frame, event, argument) if local else None

    def _watch(self, code: types.CodeType, path: str) -> Callable[..., Any]:
        seen = self.lines.setdefault(path, set())
        unseen = {line for _, _, line in code.co_lines() if line}
        names = self.types.setdefault(f"{path}::{code.co_qualname}", {})
        samples = 0

        def local(frame: types.FrameType, event: str, argument: Any) -> Any:
            nonlocal samples
            if event == "line":
                unseen.discard(frame.f_lineno)
                seen.add(frame.f_lineno)
            if samples < SAMPLES:
                samples += 1
                self._sample(names, frame.f_locals)
                if event == "return":
                    names.setdefault("return", set()).add(type(argument).__name__)
            elif not unseen:
                self._local[code] = None
                return None
            return local

        return local

    def _sample(self, names: dict[str, set[str]], values: dict[str, Any]) -> None:
        for name, value in values.items():
            kind = type(value)
            kinds = names.setdefault(name, set())
            if len(kinds) < NAMES_PER_TYPE:
                kinds.add(kind.__name__)
            if kind in (list, tuple) and value:
                names.setdefault(f"{name}[]", set()).add(type(value[0]).__name__)
            elif self.where(getattr(sys.modules.get(kind.__module__), "__file__", "") or ""):
                held = getattr(value, "__dict__", None)
                if type(held) is dict:
                    of = self.attributes.setdefault(kind.__name__, {})
                    of.update({key: type(held[key]).__name__ for key in list(held)[:NAMES_PER_TYPE]})

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON knows it."""
        return {
            "lines": {path: sorted(lines) for path, lines in self.lines.items() if lines},
            "types": {at: {name: sorted(kinds) for name, kinds in names.items()} for at, names in self.types.items()},
            "attributes": self.attributes,
        }
