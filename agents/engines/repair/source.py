"""A Python file whose syntax tree knows where its bytes are, so that edits leave formatting and comments alone."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MAX_BYTES = 400_000
BOM = b"\xef\xbb\xbf"


class Unsearchable(ValueError):
    """The file is not one that edits can be searched in: not UTF-8, not Python 3, or too big."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The bytes ``start`` to ``stop`` of the original become ``text``."""

    start: int
    stop: int
    text: str


class Source:
    """One file. All spans are byte offsets into ``data``."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.data = path, data
        if len(data) > MAX_BYTES:
            raise Unsearchable(f"{path} has more than {MAX_BYTES} bytes")
        try:
            data.decode("utf-8")
            self.tree = ast.parse(data, filename=path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Unsearchable(f"{path}: {error}") from error
        if b"\r" in data.replace(b"\r\n", b""):
            raise Unsearchable(f"{path} has lines that end with a bare carriage return")
        self.newline = "\r\n" if b"\r\n" in data else "\n"
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def starts(self) -> list[int]:
        """The offset of each line; line 1 is at place 0."""
        starts = [0]
        for line in self.data.split(b"\n"):
            starts.append(starts[-1] + len(line) + 1)
        return starts

    def offset(self, line: int, column: int) -> int:
        """The place of the tree's line (from 1) and column; the tree does not count a byte order mark."""
        mark = len(BOM) if line == 1 and self.data.startswith(BOM) else 0
        return self.starts[line - 1] + mark + column

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where the node is, without brackets around it."""
        start = self.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined] # only nodes with a place come here
        return start, self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def text(self, node: ast.AST) -> str:
        """The node as it is written."""
        start, stop = self.span(node)
        return self.data[start:stop].decode()

    def lines(self, first: int, last: int) -> str:
        """Whole lines, from 1, with their endings normalised; the last may have none."""
        return self.data[self.starts[first - 1] : self.starts[last]].decode().replace("\r\n", "\n")

    def line_span(self, first: int, last: int) -> tuple[int, int]:
        """The bytes of whole lines."""
        return self.starts[first - 1], min(self.starts[last], len(self.data))

    def indentation(self, line: int) -> str:
        """The blanks that a line begins with."""
        text = self.lines(line, line)
        return text[: len(text) - len(text.lstrip(" \t"))]

    def apply(self, edits: tuple[Edit, ...]) -> bytes:
        """The file with these edits, which do not overlap."""
        content = self.data
        for edit in sorted(edits, key=lambda edit: (edit.start, edit.stop), reverse=True):
            content = content[: edit.start] + edit.text.encode() + content[edit.stop :]
        return content
