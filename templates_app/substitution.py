"""The text form of ``${…}``: read once into parts, never evaluated here.

The grammar is that of parameter expansion in a shell
(https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_06_02) without its patterns
and commands: ``${NAME}``, and ``-``, ``+``, ``?`` with or without a colon, followed by text that may hold
references.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TypeAlias

MAX_NESTING = 20
_OPENING = re.compile(r"\$\$|\$\{")
_HEAD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)(:?[-+?])?")
_INSIDE = re.compile(r"\$\$|\$\{|\}")


@dataclass(frozen=True, slots=True)
class Reference:
    """``${name}`` or ``${name<operator><word>}``; ``operator`` is one of ``- + ? :- :+ :?`` or empty."""

    name: str
    operator: str = ""
    word: tuple[Part, ...] = ()


Part: TypeAlias = str | Reference


class BadSubstitution(ValueError):
    """A ``${`` that does not read as a reference."""


def has_reference(text: str) -> bool:
    """Whether ``text`` holds a ``${`` that is not written ``$${``."""
    return any(found.group() == "${" for found in _OPENING.finditer(text))


def needs_reading(text: str) -> bool:
    """Whether substitution would change ``text`` at all."""
    return _OPENING.search(text) is not None


def syntax_problem(text: str) -> str:
    """What is wrong with the references in ``text``, in words; empty when nothing is."""
    try:
        parts(text)
    except BadSubstitution as problem:
        return str(problem)
    return ""


@functools.lru_cache(maxsize=4096)
def parts(text: str) -> tuple[Part, ...]:
    """``text`` as literal strings and references. Raises :class:`BadSubstitution`."""
    found, _ = _parts(text, 0, depth=0)
    return found


def names_in(text: str) -> frozenset[str]:
    """Every name that ``text`` refers to, in defaults too."""
    return frozenset(_names(parts(text)))


def _names(found: tuple[Part, ...]) -> list[str]:
    names: list[str] = []
    for part in found:
        if isinstance(part, Reference):
            names += [part.name, *_names(part.word)]
    return names


def _parts(text: str, start: int, *, depth: int) -> tuple[tuple[Part, ...], int]:
    """Parts from ``start`` to the end, or inside a reference to its ``}``; and the index after it."""
    if depth > MAX_NESTING:
        raise BadSubstitution(f"references are nested deeper than {MAX_NESTING}")
    found: list[Part] = []
    literal: list[str] = []
    marker = _INSIDE if depth else _OPENING
    while True:
        match = marker.search(text, start)
        literal.append(text[start : match.start() if match else len(text)])
        if match is None:
            if depth:
                raise BadSubstitution("a ${ has no closing }")
            return _joined(found, literal), len(text)
        start = match.end()
        if match.group() == "$$":
            literal.append("$")
        elif match.group() == "}":
            return _joined(found, literal), start
        else:
            found = [*_joined(found, literal)]
            literal = []
            reference, start = _reference(text, start, depth=depth)
            found.append(reference)


def _reference(text: str, start: int, *, depth: int) -> tuple[Reference, int]:
    """The reference whose name begins at ``start``, and the index after its ``}``."""
    head = _HEAD.match(text, start)
    if head is None:
        raise BadSubstitution("after ${ a name is expected: letters, digits, _ and dots")
    name, operator = head.group(1), head.group(2) or ""
    if operator:
        word, end = _parts(text, head.end(), depth=depth + 1)
        return Reference(name, operator, word), end
    if text[head.end() : head.end() + 1] != "}":
        raise BadSubstitution(f"after ${{{name} one of }} - + ? :- :+ :? is expected")
    return Reference(name), head.end() + 1


def _joined(found: list[Part], literal: list[str]) -> tuple[Part, ...]:
    text = "".join(literal)
    return (*found, text) if text else tuple(found)
