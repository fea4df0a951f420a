"""Reading a reply as it passes: is it one, is it whole, who answered, and which usage did the provider tell?

The bytes go to the client as they came; the meter looks at a copy. One event of a stream is held back where the client
did not ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agents.gateway.frames import Frames, Piece, data_of
from agents.gateway.prices import Usage
from agents.gateway.told import Told
from agents.gateway.wires import Asked, Wire

LARGEST_REPLY = 8 << 20  # kept for a replay; a longer one is passed on and not kept
_LONGEST_NAME = 150
_DOCUMENTS = {"application/json", "text/html"}
_LINES = {"application/x-ndjson", "application/ndjson"}
_FINISHED = {"response.completed", "response.incomplete"}


class Meter:
    """Feed it the body of an answer; after :meth:`end` what it says is final."""

    def __init__(self, asked: Asked, *, content_type: str) -> None:
        self._wire, self._hide = asked.endpoint.wire, asked.hide_usage
        kind = content_type.partition(";")[0].strip().lower()
        self._lines = kind in _LINES
        # Whoever asked for a stream and does not get a document has one, whatever the provider calls it.
        streamed = asked.streamed and asked.endpoint.wire is not Wire.OLLAMA and kind not in _DOCUMENTS
        self._events = kind == "text/event-stream" or (streamed and not self._lines)
        self._frames = Frames(by_line=self._lines)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._last: list[bytes] = []
        self._told = Told(self._wire)
        self._stopped = False  # the provider said why it stopped
        self._whole = False
        self.model = ""  # which one answered, as the provider says

    def feed(self, chunk: bytes) -> bytes:
        """What of the chunk goes to the client now."""
        if not self.in_parts:
            self._keep(chunk)
            return chunk
        return self._passed(self._frames.feed(chunk))

    def end(self) -> bytes:
        """The rest for the client, once the provider ended its answer."""
        if not self.in_parts:
            self._read(b"".join(self._kept))
            return b""
        rest = self._passed([self._frames.rest()])
        # Not all that speak OpenAI's dialect send a [DONE].
        self._whole |= self._wire is Wire.CHAT and self._stopped
        return rest + b"".join(self._last)

    @property
    def usage(self) -> Usage | None:
        """What the provider told of the whole answer; None when it told nothing, or what cannot be."""
        return self._told.usage

    @property
    def complete(self) -> bool:
        """Whether the reply came to its own end, in a form that can be read; in a stream, as soon as it has."""
        return self._whole

    @property
    def reply(self) -> bytes | None:
        """The whole of it; None when it was too long to keep."""
        return b"".join(self._kept) if self._kept_bytes <= LARGEST_REPLY else None

    @property
    def in_parts(self) -> bool:
        """Whether the answer comes event by event, or line by line."""
        return self._events or self._lines

    def _passed(self, pieces: Iterable[Piece]) -> bytes:
        """What passes now. The last event waits for :meth:`end`: whoever has it takes the answer for whole."""
        out: list[bytes] = []
        for piece in pieces:
            if not piece.readable or self._passes(piece.raw):
                self._keep(piece.raw)
                (self._last if self._whole else out).append(piece.raw)
        return b"".join(out)

    def _keep(self, data: bytes) -> None:
        self._kept_bytes += len(data)
        if self._kept_bytes <= LARGEST_REPLY:
            self._kept.append(data)
        else:
            self._kept.clear()

    def _passes(self, event: bytes) -> bool:
        """Look at one event; False for the one that the client did not ask for."""
        data = data_of(event) if self._events else event
        if data.strip() == b"[DONE]":
            self._whole |= self._wire is Wire.CHAT
            return True
        document = _object(data)
        if document is None:
            return True
        self._look(document)
        return not (self._hide and document.get("choices") == [] and document.get("usage"))

    def _read(self, body: bytes) -> None:
        """A reply in one piece: all it tells is final."""
        document = _object(body)
        if document is None:
            return
        self._note_model(document)
        self._told.take(document.get("usage") if self._wire is not Wire.OLLAMA else document, final=True)
        answers = any(document.get(key) for key in ("choices", "output", "content", "message"))
        unfinished = self._wire is Wire.RESPONSES and f"response.{document.get('status')}" not in _FINISHED
        self._whole = answers and not (unfinished and "status" in document)

    def _look(self, document: Mapping[str, Any]) -> None:
        """One event of a stream."""
        match self._wire:
            case Wire.CHAT:
                choices = document.get("choices")
                self._note_model(document)
                self._stopped |= _has_stopped(choices)
                self._told.take(document.get("usage"), final=self._stopped or not choices)
            case Wire.RESPONSES:
                self._whole |= document.get("type") in _FINISHED
                self._take_part(document.get("response"), final=self._whole)
            case Wire.MESSAGES:
                delta = document.get("delta")
                self._stopped |= isinstance(delta, dict) and bool(delta.get("stop_reason"))
                self._whole |= document.get("type") == "message_stop"
                self._take_part(document.get("message"), final=False)
                self._told.take(document.get("usage"), final=self._stopped)
            case Wire.OLLAMA:
                self._note_model(document)
                if document.get("done"):
                    self._told.take(document, final=True)
                    self._whole = True

    def _take_part(self, part: Any, *, final: bool) -> None:
        if isinstance(part, dict):
            self._note_model(part)
            self._told.take(part.get("usage"), final=final)

    def _note_model(self, document: Mapping[str, Any]) -> None:
        name = document.get("model")
        if isinstance(name, str) and name.isprintable():
            self.model = name[:_LONGEST_NAME] or self.model


def _has_stopped(choices: Any) -> bool:
    listed = choices if isinstance(choices, list) else []
    return any(isinstance(choice, dict) and choice.get("finish_reason") for choice in listed)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
