"""Reading a reply as it passes: is it one, is it whole, and which usage did the provider tell?

The bytes go to the client as they came; the meter looks at a copy. One event of a stream is held back where the client
did not ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agents.gateway.prices import Usage
from agents.gateway.wires import Asked, Wire

LARGEST_REPLY = 8 << 20  # kept for a replay; a longer one is passed on and not kept
_LONGEST_EVENT = 4 << 20


class Meter:
    """Feed it the body; :meth:`end` says what it was."""

    def __init__(self, asked: Asked, *, status: int, content_type: str) -> None:
        self._wire, self._hide = asked.endpoint.wire, asked.hide_usage
        kind = content_type.partition(";")[0].strip().lower()
        self._events = status < 400 and kind == "text/event-stream"
        self._lines = status < 400 and kind in {"application/x-ndjson", "application/ndjson"}
        self._pending = b""
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._usage: dict[str, int] = {}
        self._odd = False  # it told a number of tokens that is none
        self._whole = False
        self.passed_on = False

    def feed(self, chunk: bytes) -> bytes:
        """What of the chunk goes to the client now."""
        if not (self._events or self._lines):
            self._keep(chunk)
            return chunk
        ends = b"\n\n" if self._events else b"\n"
        self._pending += chunk.replace(b"\r\n", b"\n") if self._events else chunk
        *whole, self._pending = self._pending.split(ends)
        if len(self._pending) > _LONGEST_EVENT:
            whole, self._pending = [*whole, self._pending], b""
        out = b"".join(event + ends for event in whole if self._passes(event))
        self._keep(out)
        return out

    def end(self) -> bytes:
        """The rest for the client; afterwards :attr:`usage`, :attr:`complete` and :attr:`reply` are final."""
        rest = self._pending
        self._pending = b""
        if rest.strip():
            rest = rest if self._passes(rest) else b""
            self._keep(rest)
        if not (self._events or self._lines):
            self._read(b"".join(self._kept))
        return rest

    @property
    def usage(self) -> Usage | None:
        """What the provider told; None when it told nothing, or what cannot be: a whole answer for no token at all."""
        if self._odd or not any(self._usage.values()):
            return None
        return Usage(**self._usage)

    @property
    def complete(self) -> bool:
        """Whether the reply came to its own end, in a form that can be read."""
        return self._whole

    @property
    def reply(self) -> bytes | None:
        """The whole of it; None when it was too long to keep."""
        return b"".join(self._kept) if self._kept_bytes <= LARGEST_REPLY else None

    def _keep(self, data: bytes) -> None:
        self._kept_bytes += len(data)
        if self._kept_bytes <= LARGEST_REPLY:
            self._kept.append(data)

    def _passes(self, event: bytes) -> bool:
        """Look at one event; False for the one that the client did not ask for."""
        data = event
        if self._events:
            parts = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
            data = b"\n".join(parts)
            if data == b"[DONE]":
                self._whole = True
                return True
        document = _object(data)
        if document is None:
            return True
        self._look(document)
        return not (self._hide and document.get("choices") == [] and document.get("usage"))

    def _read(self, body: bytes) -> None:
        """A reply in one piece."""
        document = _object(body)
        if document is None:
            return
        self._take(document.get("usage") if self._wire is not Wire.OLLAMA else document)
        self._whole = any(document.get(key) for key in ("choices", "output", "content", "message"))

    def _look(self, document: Mapping[str, Any]) -> None:
        """One event of a stream."""
        match self._wire:
            case Wire.CHAT:
                self._take(document.get("usage"))
            case Wire.RESPONSES:
                response = document.get("response")
                if isinstance(response, dict):
                    self._take(response.get("usage"))
                if document.get("type") in {"response.completed", "response.incomplete"}:
                    self._whole = True
            case Wire.MESSAGES:
                message = document.get("message")
                self._take(document.get("usage") or (message.get("usage") if isinstance(message, dict) else None))
                if document.get("type") == "message_stop":
                    self._whole = True
            case Wire.OLLAMA:
                if document.get("done"):
                    self._take(document)
                    self._whole = True

    def _take(self, told: Any) -> None:
        """Remember the usage of this dialect in our words; later figures are cumulative and replace earlier ones."""
        if not isinstance(told, dict):
            return
        self._odd |= any(name in told and _is_odd(told[name]) for name in _COUNTED)
        if self._wire is Wire.MESSAGES:
            read, written = _count(told, "cache_read_input_tokens"), _count(told, "cache_creation_input_tokens")
            if "input_tokens" in told:  # Anthropic counts the cached ones beside, not within
                self._usage["input_tokens"] = _count(told, "input_tokens") + read + written
                self._usage |= {"cached_tokens": read, "written_tokens": written}
            if "output_tokens" in told:
                self._usage["output_tokens"] = _count(told, "output_tokens")
            return
        names, details = _NAMES[self._wire]
        if names[0] not in told and names[1] not in told:
            return
        cached = told.get(details) if details else None
        self._usage = {
            "input_tokens": _count(told, names[0]),
            "output_tokens": _count(told, names[1]),
            "cached_tokens": _count(cached, "cached_tokens") if isinstance(cached, dict) else 0,
        }


_NAMES: dict[Wire, tuple[tuple[str, str], str]] = {
    Wire.CHAT: (("prompt_tokens", "completion_tokens"), "prompt_tokens_details"),
    Wire.RESPONSES: (("input_tokens", "output_tokens"), "input_tokens_details"),
    Wire.OLLAMA: (("prompt_eval_count", "eval_count"), ""),
}


_COUNTED = frozenset(name for names, _ in _NAMES.values() for name in names)


def _is_odd(value: object) -> bool:
    """Whether this is no number of tokens; null is none told."""
    return value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**40)


def _count(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name)
    return value if isinstance(value, int) and not _is_odd(value) else 0


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
