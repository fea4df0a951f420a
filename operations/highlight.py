"""Lines of code with the syntax marked by classes, for diffs. The code is hostile: lexers of a short list, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, String, _TokenType

# Lexers that were looked at: a pattern that backtracks without end would hold a thread of the web process.
LEXERS = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript", ".jsx": "javascript",
    ".ts": "typescript", ".tsx": "typescript", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml",
    ".ini": "ini", ".cfg": "ini", ".css": "css", ".sh": "bash", ".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp",
    ".java": "java", ".go": "go", ".rs": "rust", ".rb": "ruby",
}  # fmt: skip
NAMES = {"Makefile": "make", "Dockerfile": "docker"}
LONGEST = 60_000  # characters of one file's hunk side; longer ones stay without marks

_CLASSES: tuple[tuple[_TokenType, str], ...] = (
    (Comment, "hl-comment"), (Keyword, "hl-keyword"), (String, "hl-string"), (Number, "hl-number"),
    (Name.Decorator, "hl-keyword"), (Name.Function, "hl-name"), (Name.Class, "hl-name"), (Name.Tag, "hl-keyword"),
    (Name.Attribute, "hl-name"), (Name.Builtin, "hl-builtin"), (Name.Exception, "hl-builtin"),
)  # fmt: skip


def marked(path: str, lines: Sequence[str]) -> list[SafeString]:
    """The lines as HTML, as many as were given; only escaped where the language is not known or the text too long."""
    text = "\n".join(lines)
    lexer = _lexer(path)
    if lexer is None or len(text) > LONGEST:
        return [escape(line) for line in lines]
    rows: list[list[str]] = [[]]
    for kind, value in lexer.get_tokens(text):
        for number, piece in enumerate(value.split("\n")):
            if number:
                rows.append([])
            if piece:
                rows[-1].append(_piece(kind, piece))
    if len(rows) != len(lines):  # a lexer that took a line break for something else
        return [escape(line) for line in lines]
    return [mark_safe("".join(row)) for row in rows]  # noqa: S308 - every piece is escaped


def _piece(kind: _TokenType, text: str) -> str:
    for wanted, name in _CLASSES:
        if kind in wanted:
            return format_html('<span class="{}">{}</span>', name, text)
    return escape(text)


def _lexer(path: str) -> Lexer | None:
    name = PurePosixPath(path)
    alias = NAMES.get(name.name) or LEXERS.get(name.suffix.lower())
    return get_lexer_by_name(alias, stripnl=False, ensurenl=False) if alias else None
