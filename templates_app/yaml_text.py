"""Bounded YAML 1.2: text in, plain JSON values and the position of each one out.

The values are built from ruamel's event stream and not by its constructor, so that every bound is checked
before anything is built: nesting before recursion, alias expansion before copying. Scalars follow the YAML
1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema): ``NO`` is text, ``0o17`` is 15.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from templates_app.faults import Located, TemplateFault

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 50
MAX_KEY = 200  # keys go into paths and messages
MAX_VALUES = 20_000  # after alias expansion: 50 times the largest sensible template

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_STR_TAGS = frozenset({"!", "!!str", "tag:yaml.org,2002:str"})


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """What a file says: its value, and the position of each value by path."""

    value: Json
    positions: dict[Path, Position]


@dataclass(frozen=True, slots=True)
class _Node:
    """A value, its position, the positions beneath it and how many values it expands to."""

    value: Json
    position: Position
    size: int = 1
    height: int = 1  # levels of nesting; an alias may put a high node deep down
    inner: tuple[tuple[Path, Position], ...] = field(default=())


def read(text: str | bytes, *, file: str) -> Text:
    """The one document in ``text``.

    Raises :class:`TemplateFault` with a located error for anything out of bounds.
    """
    if len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise _fault("too_large", f"The file is larger than {MAX_BYTES // 1024} KiB.", file)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            here = _place_of(error.start, error.object.decode("latin-1"))
            raise _fault("bad_encoding", f"Byte {error.start} is not UTF-8.", file, here) from error
    if "\0" in text:
        here = _place_of(text.index("\0"), text)
        raise _fault("bad_character", "The file contains a NUL character.", file, here)
    try:
        return _Reader(text=text, file=file).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise _fault("bad_yaml", str(error.problem or error.context or "not YAML"), file, position) from error
    except ReaderError as error:
        words = f"The character U+{error.character:04X} cannot stand in a file."
        here = _place_of(error.position, text)
        raise _fault("bad_character", words, file, here, hint='write it as an escape in "…"') from error
    except (
        YAMLError,
        ValueError,
    ) as error:  # of chr() and int(), from ruamel's scanner
        raise _fault("bad_yaml", str(error).splitlines()[0] if str(error) else "not YAML", file) from error


class _Reader:
    """One pass over the events of one text."""

    def __init__(self, *, text: str, file: str) -> None:
        self._events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))
        self._file = file
        self._anchors: dict[str, _Node] = {}

    def document(self) -> Text:
        """The only document of the stream."""
        next(self._events)  # stream start
        start = next(self._events)
        if not isinstance(start, DocumentStartEvent):
            raise _fault("empty", "The file is empty.", self._file)
        if start.version is not None and tuple(start.version) != (1, 2):
            raise self._refuse("bad_yaml", "Only YAML 1.2 is read here.", start, hint="remove the %YAML directive")
        node = self._node(next(self._events), depth=1)
        next(self._events)  # document end
        following = next(self._events)
        if not isinstance(following, StreamEndEvent):
            raise self._refuse("bad_yaml", "A file holds one document.", following, hint="one file per template")
        return Text(value=node.value, positions={(): node.position, **dict(node.inner)})

    def _node(self, event: Event, *, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._refuse("too_deep", f"Nested deeper than {MAX_DEPTH} levels.", event)
        if isinstance(event, AliasEvent):
            return self._alias(event, depth=depth)
        if isinstance(event, ScalarEvent):
            node = _Node(value=self._scalar(event), position=_position(event))
        elif isinstance(event, SequenceStartEvent | MappingStartEvent) and event.tag is not None:
            raise self._refuse("bad_tag", f"The tag {event.tag} is not known here.", event, hint="remove it")
        elif isinstance(event, SequenceStartEvent):
            node = self._sequence(event, depth=depth)
        elif isinstance(event, MappingStartEvent):
            node = self._mapping(event, depth=depth)
        else:
            raise self._refuse("bad_yaml", "A value was expected.", event)
        if isinstance(event, NodeEvent) and event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: AliasEvent, *, depth: int) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:  # also an alias inside its own anchor: that value is not finished yet
            raise self._refuse("bad_alias", f"The alias *{event.anchor} names nothing finished before it.", event)
        if depth + node.height - 1 > MAX_DEPTH:
            raise self._refuse("too_deep", f"Nested deeper than {MAX_DEPTH} levels.", event)
        # Each use points at the line where it is used: that is the line a person would edit.
        here = _position(event)
        inner = tuple((path, here) for path, _ in node.inner)
        return _Node(value=node.value, position=here, size=node.size, height=node.height, inner=inner)

    def _sequence(self, start: Event, *, depth: int) -> _Node:
        values: list[Json] = []
        inner: list[tuple[Path, Position]] = []
        size, height = 1, 0
        while not isinstance(event := next(self._events), SequenceEndEvent):
            child = self._node(event, depth=depth + 1)
            size, height = self._grown(size, child, start), max(height, child.height)
            inner.append(((len(values),), child.position))
            inner.extend(((len(values), *path), position) for path, position in child.inner)
            values.append(child.value)
        return _Node(value=values, position=_position(start), size=size, height=height + 1, inner=tuple(inner))

    def _mapping(self, start: Event, *, depth: int) -> _Node:
        values: dict[str, Json] = {}
        inner: list[tuple[Path, Position]] = []
        size, height = 1, 0
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, depth=depth, present=values)
            child = self._node(next(self._events), depth=depth + 1)
            size, height = self._grown(size, child, start), max(height, child.height)
            inner.append(((key,), _position(event)))  # a person looks for the key, not for its value
            inner.extend(((key, *path), position) for path, position in child.inner)
            values[key] = child.value
        return _Node(value=values, position=_position(start), size=size, height=height + 1, inner=tuple(inner))

    def _key(self, event: Event, *, depth: int, present: dict[str, Json]) -> str:
        key = self._node(event, depth=depth + 1).value
        if not isinstance(key, str):
            raise self._refuse("bad_key", "A key must be text.", event, hint="put it in quotes")
        if len(key) > MAX_KEY:
            raise self._refuse("bad_key", f"A key has at most {MAX_KEY} characters.", event)
        if key == "<<":
            raise self._refuse("bad_key", "Merge keys are not part of YAML 1.2.", event, hint="use `extends`")
        if key in present:
            raise self._refuse("duplicate_key", f"The key {key!r} stands here twice.", event)
        return key

    def _grown(self, size: int, child: _Node, event: Event) -> int:
        if size + child.size > MAX_VALUES:
            raise self._refuse("too_large", f"Aliases expand this to more than {MAX_VALUES} values.", event)
        return size + child.size

    def _scalar(self, event: ScalarEvent) -> Json:
        tag, text = event.tag, str(event.value)
        if tag is not None and str(tag) not in _STR_TAGS:
            raise self._refuse("bad_tag", f"The tag {tag} is not known here.", event, hint="remove the tag")
        if tag is not None or event.style is not None:
            return self._string(text, event)
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if _INT.fullmatch(text):
            return self._integer(text, event)
        if _NOT_FINITE.fullmatch(text):
            raise self._refuse("bad_number", f"{text} is not a number in JSON.", event)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                raise self._refuse("bad_number", "The number is too large.", event)
            return number
        return self._string(text, event)

    def _integer(self, text: str, event: Event) -> int:
        if len(text) > 20:
            raise self._refuse("bad_number", "The number does not fit into 64 bits.", event)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        number = int(text, base)
        if not -(2**63) <= number < 2**63:
            raise self._refuse("bad_number", "The number does not fit into 64 bits.", event)
        return number

    def _string(self, text: str, event: Event) -> str:
        try:  # JSON writes characters beyond U+FFFF as two escapes; YAML reads them as two halves: join them
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError as error:
            raise self._refuse("bad_character", "Half of a surrogate pair is not a character.", event) from error
        if "\0" in text:
            raise self._refuse("bad_character", "Text cannot contain NUL.", event)
        return text

    def _refuse(self, code: str, message: str, event: Event, *, hint: str = "") -> TemplateFault:
        return _fault(code, message, self._file, _position(event), hint=hint)


def _position(event: Event) -> Position:
    mark = event.start_mark
    return Position(mark.line + 1, mark.column + 1)


def _place_of(index: int, text: str) -> Position:
    """Where the character of this index stands."""
    before = text[:index]
    return Position(before.count("\n") + 1, index - before.rfind("\n"))


def _fault(code: str, message: str, file: str, position: Position = Position(1, 1), *, hint: str = "") -> TemplateFault:
    error = Located(code=code, message=message, file=file, line=position.line, column=position.column, hint=hint)
    return TemplateFault([error])
