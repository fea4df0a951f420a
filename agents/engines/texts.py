"""A source file as lines that go back to the very same bytes: BOM, encoding, each line's ending, the missing
last newline.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.engines.protocol import EditRefused

# Only these end a line for git and for editors; str.splitlines would also split at form feeds and U+2028.
_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its ending, and the ending; only the last line of a text may have the ending
    ``""``.
    """

    text: str
    ending: str


@dataclass(frozen=True, slots=True)
class Text:
    """A decoded file. ``Text.encode(Text.decode(data)) == data`` for every file that is not binary."""

    path: str
    lines: tuple[Line, ...]
    encoding: str
    bom: bytes
    newline: str  # the ending that most lines have; new lines get it

    @property
    def contents(self) -> list[str]:
        """The lines without endings."""
        return [line.text for line in self.lines]

    @property
    def ends_with_newline(self) -> bool:
        """False only for a file whose last line is not ended; an empty file counts as ended."""
        return not self.lines or self.lines[-1].ending != ""

    def splice(self, start: int, stop: int, contents: Sequence[str]) -> Text:
        """Lines ``start`` to ``stop`` replaced; kept contents keep their ending, others get the neighbours'
        one.
        """
        old = self.lines[start:stop]
        ending = next((line.ending for line in old if line.ending), self.newline)
        new = [
            Line(text, old[at].ending if at < len(old) and old[at].ending else ending)
            for at, text in enumerate(contents)
        ]
        head, tail = self.lines[:start], self.lines[stop:]
        if head and not head[-1].ending and (new or tail):
            head = (*head[:-1], Line(head[-1].text, self.newline))
        if new and not tail and not self.ends_with_newline:
            new[-1] = Line(new[-1].text, "")
        return replace(self, lines=(*head, *new, *tail))

    def with_final_newline(self, present: bool) -> Text:
        """The same text with or without an ending on its last line."""
        if not self.lines or self.ends_with_newline == present:
            return self
        last = Line(self.lines[-1].text, self.newline if present else "")
        return replace(self, lines=(*self.lines[:-1], last))

    def encode(self) -> bytes:
        """The file's bytes; refused when a new character does not exist in the file's own encoding."""
        body = "".join(line.text + line.ending for line in self.lines)
        try:
            return self.bom + body.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise EditRefused(
                f"{self.path} is {self.encoding}; it cannot hold {body[error.start : error.end]!r}.",
                remedy="Write the character as an escape, or convert the file to UTF-8 first.",
                path=self.path,
            ) from error


def decode(path: str, data: bytes) -> Text:
    """Bytes to lines: UTF-8 with or without BOM, else latin-1, which holds any byte; binary files are
    refused.
    """
    bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    body = data[len(bom) :]
    if b"\0" in body or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise EditRefused(f"{path} is a binary file; only text is edited.", path=path)
    try:
        text, encoding = body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        text, encoding = body.decode("latin-1"), "latin-1"
    lines = tuple(Line(match[1], match[2]) for match in _LINE.finditer(text) if match[0])
    endings = Counter(line.ending for line in lines if line.ending)
    newline = endings.most_common(1)[0][0] if endings else "\n"
    return Text(path=path, lines=lines, encoding=encoding, bom=bom, newline=newline)


def empty(path: str) -> Text:
    """The text of a file that does not exist yet."""
    return Text(path=path, lines=(), encoding="utf-8", bom=b"", newline="\n")


def encode_new(path: str, content: str) -> bytes:
    """The bytes of a new file: UTF-8; refused where the text holds half a surrogate pair."""
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise EditRefused(f"The content of {path} is no valid Unicode.", path=path) from error


def fingerprint(data: bytes) -> str:
    """The hash by which a refusal names the state it was compared with (first 16 hex digits of SHA-256)."""
    return hashlib.sha256(data).hexdigest()[:16]
