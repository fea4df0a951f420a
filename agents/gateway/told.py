"""The usage that a provider tells of one answer, in our words: what of it can be believed, and what is charged.

Figures that come again are cumulative; of two that differ the higher one counts. Figures from before the end of an
answer, or that cannot be, are none: the call is then charged as it was reserved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.gateway.prices import Usage
from agents.gateway.wires import Wire

_MOST_TOKENS = 1 << 25  # three times the longest context there is; more is a mistake


@dataclass(frozen=True, slots=True)
class _Names:
    """What a dialect calls the tokens. ``details`` holds the cached ones."""

    input: str
    output: str
    details: str = ""


_NAMES: dict[Wire, _Names] = {
    Wire.CHAT: _Names("prompt_tokens", "completion_tokens", "prompt_tokens_details"),
    Wire.RESPONSES: _Names("input_tokens", "output_tokens", "input_tokens_details"),
    Wire.MESSAGES: _Names("input_tokens", "output_tokens"),
    Wire.OLLAMA: _Names("prompt_eval_count", "eval_count"),
}
_CACHE_READ, _CACHE_WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"


class Told:
    """Give it each usage as it comes."""

    def __init__(self, wire: Wire) -> None:
        self._wire, self._names = wire, _NAMES[wire]
        self._input: Usage | None = None  # its input and the parts of that
        self._output: int | None = None
        self._final = self._odd = False

    @property
    def usage(self) -> Usage | None:
        """All of it; None while a part is missing, for what cannot be, and for a whole answer for no token at all."""
        if self._odd or not self._final or self._input is None or self._output is None:
            return None
        read = self._input
        if not read.input_tokens and not self._output:
            return None
        return Usage(read.input_tokens, self._output, read.cached_tokens, read.written_tokens)

    def take(self, told: Any, *, final: bool) -> None:
        """Remember one usage. ``final``: it was told with the end of the answer or behind it."""
        if not isinstance(told, dict):
            return
        read, said = self._input_of(told), self._count(told, self._names.output)
        self._final |= final and (read is not None or said is not None)
        if read is not None and (self._input is None or read.input_tokens >= self._input.input_tokens):
            self._input = read
        if said is not None:
            self._output = max(said, self._output or 0)

    def _input_of(self, told: Mapping[str, Any]) -> Usage | None:
        count = self._count(told, self._names.input)
        if self._wire is Wire.OLLAMA:
            return Usage(count or 0)  # a prompt that it knew already is not counted
        if count is None:
            return None
        if self._wire is Wire.MESSAGES:  # Anthropic counts the cached ones beside, not within
            read, written = self._count(told, _CACHE_READ) or 0, self._count(told, _CACHE_WRITTEN) or 0
            return Usage(count + read + written, cached_tokens=read, written_tokens=written)
        details = told.get(self._names.details)
        cached = (self._count(details, "cached_tokens") or 0) if isinstance(details, dict) else 0
        self._odd |= cached > count
        return Usage(count, cached_tokens=cached)

    def _count(self, told: Mapping[str, Any], name: str) -> int | None:
        """A number of tokens; None where none is told. One that cannot be spoils all of it."""
        value = told.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
            self._odd = True
            return None
        return value
