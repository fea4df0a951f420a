"""Writes what a terminal prints into a file, as asciicast v3, without its secrets and never beyond a size."""

from __future__ import annotations

import codecs
import json
import logging
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from sessions.host.masking import Masker

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/x-asciicast"
_DIRECTORY = "recordings"
_FILES_ARE_OURS = 0o600
_CUT_SHORT = "the recording ends here: it has reached the size that one may have"
_ROOM_FOR_END = 512


@dataclass(frozen=True, slots=True)
class Figures:
    """What the row of a recording says."""

    size_bytes: int
    truncated: bool
    ended: bool


def directory_of(data: Path) -> Path:
    """Where the recordings of a machine lie, beneath MOORAGE_DATA."""
    return data / _DIRECTORY


def path_of(data: Path, terminal_id: uuid.UUID) -> Path:
    """The recording of one terminal."""
    return directory_of(data) / f"{terminal_id}.cast"


class Recorder:
    """One recording: each line goes to the file as it is made, so what a crash leaves can be replayed.

    A disk that takes no more ends the recording, not the terminal.
    """

    def __init__(self, path: Path, *, most_bytes: int, with_input: bool) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(path, flags, _FILES_ARE_OURS)
        status = os.fstat(self._file)
        self.size_bytes = status.st_size
        self.truncated = False
        self.ended = False
        self.with_input = with_input
        self.most_bytes = most_bytes
        self._last = status.st_mtime if self.size_bytes else time.time()
        self._out, self._in = Masker(), Masker()
        self._decoders = {code: codecs.getincrementaldecoder("utf-8")("replace") for code in "oi"}

    @property
    def figures(self) -> Figures:
        return Figures(self.size_bytes, self.truncated, self.ended)

    def pack(self) -> dict[str, str]:
        """What is not in the file yet, for another process of ours: beginnings of secrets and of characters."""
        cut = {code: decoder.getstate()[0].hex() for code, decoder in self._decoders.items()}
        return {"out": self._out.held, "in": self._in.held, "cut_out": cut["o"], "cut_in": cut["i"]}

    def begin(self, *, columns: int, rows: int, title: str) -> None:
        """The header."""
        self._last = time.time()
        term = {"cols": columns, "rows": rows, "type": "xterm-256color"}
        header = {"version": 3, "term": term, "timestamp": int(self._last)}
        self._line(header | ({"title": title} if title else {}))

    def unpack(self, packed: dict[str, str]) -> None:
        """Continue what another process of ours left off."""
        self._out, self._in = Masker(packed["out"]), Masker(packed["in"])
        for code, cut in (("o", packed["cut_out"]), ("i", packed["cut_in"])):
            self._decoders[code].setstate((bytes.fromhex(cut), 0))

    def printed(self, data: bytes) -> None:
        """The next bytes, cut anywhere."""
        if text := self._out.feed(self._decoders["o"].decode(data)):
            self._event("o", text)

    def typed(self, data: bytes) -> None:
        """Keystrokes, where they are recorded at all."""
        if self.with_input and (text := self._in.feed(self._decoders["i"].decode(data))):
            self._event("i", text)

    def resized(self, columns: int, rows: int) -> None:
        self._event("r", f"{columns}x{rows}")

    def mark(self, words: str) -> None:
        """A remark, shown by players."""
        self._event("m", words)

    def end(self, code: int | None) -> None:
        """The program has ended; ending twice is fine."""
        if self.ended:
            return
        for event, masker in (("o", self._out), ("i", self._in)):
            if rest := masker.flush():
                self._event(event, rest)
        if code is not None:
            self._event("x", str(code))
        self._close()

    def _event(self, code: str, text: str) -> None:
        now = time.time()
        since, self._last = max(0.0, now - self._last), now
        self._line([round(since, 6), code, text])

    def _line(self, value: object) -> None:
        if self.ended or self.truncated:
            return
        line = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if self.size_bytes + len(line) > self.most_bytes - _ROOM_FOR_END:
            self.truncated = True
            line = json.dumps([0.0, "m", _CUT_SHORT]).encode() + b"\n"
        try:
            self.size_bytes += os.write(self._file, line)
        except OSError as error:
            log.warning("recording given up", extra={"error": error.strerror})
            self.truncated = True

    def _close(self) -> None:
        self.ended = True
        os.close(self._file)


def prune(data: Path, *, before: float) -> int:
    """Remove recordings that nobody has written to since ``before``. Returns how many."""
    count = 0
    for path in directory_of(data).glob("*.cast"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
                count += 1
        except FileNotFoundError:
            continue
    return count
