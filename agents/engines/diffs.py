"""The change that a requirement text carries: unified diffs and search/replace blocks, fenced or raw, amid
prose.

Git headers, new files, deletions and renames are read; mode bits and index lines are passed over; wrong line
numbers and counts are tolerated (as by ``git apply --recount``); binary patches are refused. Every path goes
through the jail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from agents.engines.edits import Edit
from agents.engines.paths import jail
from agents.engines.protocol import EditRefused

MAX_CHANGE_CHARS = 4_000_000

_HUNK = re.compile(r"@@+ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_BARE_HUNK = re.compile(r"@@(?: \.\.\.)?(?: .*)?@@|@@\s*\Z")
_PREFIX = re.compile(r"[abciow]/")
_FENCE = re.compile(r"(\s*)(?:```|~~~)")
_BLOCK_START = re.compile(r"<{5,9} ?SEARCH\s*\Z")
_BLOCK_MIDDLE = re.compile(r"={5,9}\s*\Z")
_BLOCK_END = re.compile(r">{5,9} ?REPLACE\s*\Z")
_EXTENDED = ("old mode", "new mode", "index ", "similarity index", "dissimilarity index", "rename ", "copy ",
             "new file mode", "deleted file mode")  # fmt: skip


class Operation(StrEnum):
    """What a file patch does to its file."""

    MODIFY = "modify"
    CREATE = "create"
    DELETE = "delete"
    RENAME = "rename"


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk: ``lines`` are (" " | "-" | "+", text); ``start`` is the claimed first line (from 1) of the
    old side.

    ``old_ends`` and ``new_ends`` are False where a side's last line is marked as having no newline.
    """

    number: int
    start: int
    lines: tuple[tuple[str, str], ...]
    old_ends: bool = True
    new_ends: bool = True

    @property
    def old(self) -> list[str]:
        """The lines that must be there."""
        return [text for sign, text in self.lines if sign != "+"]

    @property
    def new(self) -> list[str]:
        """The lines that will be there."""
        return [text for sign, text in self.lines if sign != "-"]


@dataclass(frozen=True, slots=True)
class FilePatch:
    """All hunks of one file; ``source`` differs from ``path`` in a rename only."""

    operation: Operation
    path: str
    source: str
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one requirement text carries, in its order: the diffs, then the blocks."""

    patches: tuple[FilePatch, ...]
    blocks: tuple[Edit, ...]

    def __bool__(self) -> bool:
        return bool(self.patches or self.blocks)


def carries_change(text: str) -> bool:
    """Whether the text holds something that :func:`parse` would take for a change, well-formed or not."""
    lines = _plain(text)
    pair = any(_is_pair(lines, at) for at in range(len(lines)))
    return pair or any(line.startswith("diff --git ") or _BLOCK_START.match(line) for line in lines)


def parse(text: str) -> Change:
    """Every diff and block in the text, or :class:`EditRefused` where one is broken, binary or outside the
    checkout.
    """
    if len(text) > MAX_CHANGE_CHARS:
        raise EditRefused(f"A change is limited to {MAX_CHANGE_CHARS} characters.")
    return Reader(_plain(text)).read()


def _plain(text: str) -> list[str]:
    """The lines, without carriage returns at their ends, with indented fences moved to the margin."""
    plain, margin = [], ""
    inside = False
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if match := _FENCE.match(line):
            inside = not inside
            margin = match[1] if inside else ""
            plain.append(line.lstrip())
        else:
            plain.append(line.removeprefix(margin) if inside else line)
    return plain


def _is_pair(lines: list[str], at: int) -> bool:
    """Whether a ``---`` / ``+++`` pair with a hunk starts here (a deleted SQL comment looks like its first
    half).
    """
    return (
        lines[at].startswith("--- ")
        and at + 2 < len(lines)
        and lines[at + 1].startswith("+++ ")
        and lines[at + 2].startswith("@@")
    )


class Reader:
    """Walks the lines once. ``at`` is the next line; each ``_read`` leaves it behind what it took."""

    def __init__(self, lines: list[str]) -> None:
        self.lines, self.at = lines, 0
        self.block_path = ""

    def read(self) -> Change:
        patches: list[FilePatch] = []
        blocks: list[Edit] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.startswith("diff --git ") or _is_pair(self.lines, self.at):
                patches.append(self._read_file())
            elif _BLOCK_START.match(line):
                blocks.append(self._read_block())
            else:
                self.at += 1
        return Change(tuple(patches), tuple(blocks))

    def _read_file(self) -> FilePatch:
        header: dict[str, str] = {}
        if self.lines[self.at].startswith("diff --git "):
            header = self._read_git_header()
        if self._here().startswith("--- ") and self._here(1).startswith("+++ "):
            header["---"], header["+++"] = _name(self._here()[4:]), _name(self._here(1)[4:])
            self.at += 2
        hunks: list[Hunk] = []
        while self._here().startswith("@@"):
            hunks.append(self._read_hunk(len(hunks) + 1, header.get("+++") or header.get("git", "")))
        return _file_patch(header, tuple(hunks))

    def _here(self, ahead: int = 0) -> str:
        return self.lines[self.at + ahead] if self.at + ahead < len(self.lines) else ""

    def _read_git_header(self) -> dict[str, str]:
        """``diff --git`` and the extended lines that follow; a binary patch is refused here."""
        header = {"git": _git_name(self._here())}
        self.at += 1
        while self.at < len(self.lines):
            line = self._here()
            if line.startswith(("GIT binary patch", "Binary files ")):
                raise EditRefused(f"The patch of {header['git'] or 'a file'} is binary; only text is patched.")
            if not line.startswith(_EXTENDED):
                break
            for key in ("rename from", "rename to", "copy from", "copy to", "new file", "deleted file"):
                if line.startswith(key):
                    header[key] = _unquoted(line.removeprefix(key).strip())
            self.at += 1
        return header

    def _read_hunk(self, number: int, path: str) -> Hunk:
        match = _HUNK.match(self._here())
        if match is None and not _BARE_HUNK.match(self._here()):
            raise EditRefused(
                f"Hunk {number} of {path}: {self._here()[:80]!r} is no hunk header.", path=path, hunk=number
            )
        self.at += 1
        counts = (int(match[2] or 1), int(match[4] or 1)) if match else (0, 0)
        length = self._counted_length(*counts) or self._open_length()
        taken = self.lines[self.at : self.at + length]
        self.at += length
        return _hunk(number, int(match[1]) if match else 0, taken, path)

    def _counted_length(self, old: int, new: int) -> int:
        """The body's length where the header's counts fit what follows; 0 where they lie."""
        length = 0
        while old > 0 or new > 0:
            line = self._here(length) if self.at + length < len(self.lines) else "?"
            old -= line[:1] in ("-", " ", "")
            new -= line[:1] in ("+", " ", "")
            if line[:1] not in ("-", "+", " ", "", "\\"):
                return 0
            length += 1
        if old < 0 or new < 0:
            return 0
        if self._here(length).startswith("\\"):
            length += 1
        following = self._here(length)
        ends = following[:1] not in ("+", "-", " ") or following.startswith(("--- ", "-- ")) or following == "--"
        return length if ends else 0

    def _open_length(self) -> int:
        """The body's length where counts do not help: up to the first line that cannot belong to a hunk."""
        length = 0
        while self.at + length < len(self.lines):
            line = self._here(length)
            if line[:1] not in ("-", "+", " ", "", "\\") or _is_pair(self.lines, self.at + length):
                break
            length += 1
        while length and self._here(length - 1) == "":  # blank lines between the hunk and what follows
            length -= 1
        return length

    def _read_block(self) -> Edit:
        path = self._block_path()
        start = self.at + 1
        stop = next((at for at in range(start, len(self.lines)) if _BLOCK_END.match(self.lines[at])), None)
        body = range(start, stop or start)
        middles = [at for at in body if _BLOCK_MIDDLE.match(self.lines[at])]
        nested = any(_BLOCK_START.match(self.lines[at]) for at in body)
        if stop is None or len(middles) != 1 or nested:
            raise EditRefused(
                f"The search/replace block of {path} is not one SEARCH, one =======, one REPLACE.",
                remedy="Close every block, and use a diff where the text has a line of equal signs.",
                path=path,
            )
        self.at = stop + 1
        search, new = self.lines[start : middles[0]], self.lines[middles[0] + 1 : stop]
        return Edit(path, *("".join(f"{line}\n" for line in side) for side in (search, new)))

    def _block_path(self) -> str:
        """The path on the last line before the block that is neither blank nor a fence; else the block
        before's.
        """
        before = self.at - 1
        while before >= 0 and (not self.lines[before].strip() or _FENCE.match(self.lines[before])):
            before -= 1
        line = self.lines[before].strip() if before >= 0 else ""
        if not _BLOCK_END.match(line):
            self.block_path = line.strip("#*`: ").removeprefix("File:").removeprefix("file:").strip("*` ")
        if not re.fullmatch(r"[\w./@+\-]+(?: [\w./@+\-]+)?", self.block_path):
            raise EditRefused(
                "A search/replace block has no path before it.",
                remedy="Put the file's path alone on the line before `<<<<<<< SEARCH`.",
            )
        return jail(self.block_path)


def _hunk(number: int, start: int, taken: list[str], path: str) -> Hunk:
    lines: list[tuple[str, str]] = []
    ends = {"-": True, "+": True}
    for line in taken:
        if line.startswith("\\"):
            for side in ends:
                if lines and lines[-1][0] in (side, " "):
                    ends[side] = False
        else:
            lines.append((line[:1] or " ", line[1:]))  # editors strip the single blank of an empty context line
    if not any(sign in "+-" for sign, _ in lines):
        raise EditRefused(f"Hunk {number} of {path} changes nothing.", path=path, hunk=number)
    return Hunk(number, start, tuple(lines), old_ends=ends["-"], new_ends=ends["+"])


def _file_patch(header: dict[str, str], hunks: tuple[Hunk, ...]) -> FilePatch:
    """Decide the operation from the headers, and jail both paths."""
    old, new = header.get("---", ""), header.get("+++", "")
    if "copy from" in header:
        raise EditRefused(f"The patch copies {header['copy from']}; copies are not supported.")
    if "rename from" in header:
        source, path = jail(header["rename from"]), jail(header.get("rename to", ""))
        return FilePatch(Operation.RENAME, path, source, hunks)
    if new == "/dev/null" or "deleted file" in header:
        path = jail(_stripped(old, other=new) or header.get("git", ""))
        return FilePatch(Operation.DELETE, path, path, hunks)
    if old == "/dev/null" or "new file" in header:
        path = jail(_stripped(new, other=old) or header.get("git", ""))
        return FilePatch(Operation.CREATE, path, path, hunks)
    path = jail(_stripped(new, other=old) or header.get("git", ""))
    source = jail(_stripped(old, other=new) or path)
    if source != path:
        return FilePatch(Operation.RENAME, path, source, hunks)
    if not hunks:
        raise EditRefused(f"The patch of {path} holds no hunk (a change of mode alone is not applied).", path=path)
    return FilePatch(Operation.MODIFY, path, path, hunks)


def _stripped(name: str, *, other: str) -> str:
    """The name without git's ``a/`` or ``b/``: two different ones in a pair, or one beside /dev/null.

    The same letter on both sides is a folder of that name in a patch made with ``--no-prefix``.
    """
    if name in ("", "/dev/null"):
        return ""
    beside_nothing = other in ("", "/dev/null")
    if _PREFIX.match(name) and (beside_nothing or (_PREFIX.match(other) and other[0] != name[0])):
        return name[2:]
    return name


def _name(field: str) -> str:
    """A header's file name: unquoted, without the time stamp that diff(1) puts behind a tab."""
    return _unquoted(field.split("\t", 1)[0].strip())


def _unquoted(name: str) -> str:
    """Git's C quoting undone."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    octal = re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8) & 255]), name[1:-1].encode())
    plain = re.sub(rb'\\(["\\])', rb"\1", octal.replace(rb"\t", b"\t").replace(rb"\n", b"\n"))
    return plain.decode("utf-8", "replace")


def _git_name(line: str) -> str:
    """The path of ``diff --git a/X b/X``, where both sides agree; else an empty string."""
    rest = line.removeprefix("diff --git ").strip()
    half = len(rest) // 2
    left, right = rest[:half], rest[half + 1 :]
    left, right = _unquoted(left), _unquoted(right)
    if left == right:
        return left
    return left[2:] if left[2:] == right[2:] and left[1:2] == "/" == right[1:2] else ""
