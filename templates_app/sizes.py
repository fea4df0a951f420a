"""Sizes with ``request`` and ``min``: cut to what is free on the host, or the lighter ones, or a resource fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from events.faults import Fault, FaultClass
from templates_app.documents import Document
from templates_app.faults import Located, TemplateFault
from templates_app.locks import Locks
from templates_app.nodes import How, Leaf, MapNode, Node, Written
from templates_app.schema import child, range_fact, spec_schema
from templates_app.yaml_text import Json

FIELD = "size"


class SizeNotFree(Fault):
    """Not even the least that a template asks for is free on the host."""

    fault_class = FaultClass.RESOURCE
    code = "template.size_not_free"
    http_status = 409
    remedy = "Wait until the host has room, choose another host, or lower `min` or `lighter` in the template."


@dataclass(frozen=True, slots=True)
class Grant:
    """One size: what is asked for, the least that will do, and what the template gets."""

    field: str
    request: int
    least: int
    granted: int
    lighter: bool = False


@dataclass(frozen=True, slots=True)
class _Range:
    """A ``{request, min}`` as merged."""

    field: str
    request: Leaf
    least: Leaf | None
    free: int | None  # None: nobody knows


def granted(
    spec: Node, *, facts: Mapping[str, object], locks: Locks, layers: tuple[Document, ...]
) -> tuple[Node, tuple[Grant, ...]]:
    """The spec with a number for each range, and how each number came about.

    Without facts a request is granted as it is. Raises :class:`SizeNotFree`, or :class:`TemplateFault` for a range
    or a fact that makes no sense.
    """
    size = spec.items.get(FIELD) if isinstance(spec, MapNode) else None
    if not isinstance(spec, MapNode) or not isinstance(size, MapNode):
        return spec, ()
    size = _without_locked_choices(size, locks)
    ranges = [found for field, node in size.items.items() if (found := _range(field, node, facts, layers))]
    by_name = {document.name: document for document in layers}
    if errors := [error for one in ranges if (error := _upside_down(one, by_name))]:
        raise TemplateFault(errors)
    short = [one for one in ranges if one.free is not None and _least(one) is not None and _least(one) > one.free]  # type: ignore[operator]
    lighter = _lighter(size, ranges, short, locks)
    items, grants = dict(size.items), []
    for one in ranges:
        leaf, grant = _granted(one, lighter.get(one.field))
        items[one.field] = leaf
        grants += [grant] if grant else []
    fitted = MapNode(items, size.written, size.below, size.previous)
    return MapNode({**spec.items, FIELD: fitted}, spec.written, spec.below, spec.previous), tuple(grants)


def _without_locked_choices(size: MapNode, locks: Locks) -> MapNode:
    """A request may not choose what a template has made final, unless how far it may choose is final too."""
    said = size.items.get("at_most")
    if not isinstance(said, MapNode):
        return size
    free = {
        field: leaf
        for field, leaf in said.items.items()
        if not locks.holds(FIELD, field) or locks.holds(FIELD, "at_most", field)
    }
    items = {**size.items, "at_most": MapNode(free, said.written, said.below, said.previous)}
    return MapNode(items, size.written, size.below, size.previous)


def _range(field: str, node: Node, facts: Mapping[str, object], layers: tuple[Document, ...]) -> _Range | None:
    fact = range_fact(child(child(spec_schema(), FIELD) or {}, field) or {})
    if not fact or not isinstance(node, MapNode):
        return None
    request, least = node.items.get("request"), node.items.get("min")
    if not isinstance(request, tuple) or isinstance(least, MapNode):
        return None  # incomplete: the schema says so
    free = facts.get(fact)
    if free is not None and (not isinstance(free, int | float) or isinstance(free, bool) or free != free):
        raise TemplateFault([layers[-1].located("bad_fact", f"{fact} is no number", (), hint="the host reports it")])
    return _Range(field, request, least if isinstance(least, tuple) else None, None if free is None else int(free))


def _number(leaf: Leaf | None) -> int | None:
    value: Json = leaf[0].value if leaf is not None else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _least(one: _Range) -> int | None:
    return _number(one.least if one.least is not None else one.request)


def _upside_down(one: _Range, by_name: Mapping[str, Document]) -> Located | None:
    request, least = _number(one.request), _least(one)
    if request is None or least is None or least <= request or one.least is None:
        return None
    place: Written = one.least[0]
    message = f"spec.{FIELD}.{one.field}: min {least} is more than request {request}"
    return by_name[place.template].located("bad_range", message, place.path, hint="min is the least that will do")


def _lighter(size: MapNode, ranges: list[_Range], short: list[_Range], locks: Locks) -> dict[str, Leaf]:
    """The lighter sizes, where they are needed and enough. Raises :class:`SizeNotFree` where they are not."""
    if not short:
        return {}
    said = size.items.get("lighter")
    offered = said.items if isinstance(said, MapNode) else {}
    lighter: dict[str, Leaf] = {}
    for one in ranges:
        leaf = offered.get(one.field)
        number = _number(leaf) if isinstance(leaf, tuple) else None
        locked = locks.holds(FIELD, one.field) and not locks.holds(FIELD, "lighter", one.field)
        if number is not None and isinstance(leaf, tuple) and not locked:
            lighter[one.field] = leaf
    missing = [one for one in short if not _enough(lighter.get(one.field), one)]
    missing += [
        one for one in ranges if one not in short and one.field in lighter and not _enough(lighter[one.field], one)
    ]
    if missing:
        needs = {one.field: {"request": _number(one.request), "min": _least(one), "free": one.free} for one in missing}
        words = "; ".join(f"{one.field} needs {_least(one)}, {one.free} is free" for one in missing)
        raise SizeNotFree(f"The host is too full: {words}.", needs=needs)
    return lighter


def _enough(leaf: Leaf | None, one: _Range) -> bool:
    number = _number(leaf)
    return number is not None and (one.free is None or number <= one.free)


def _granted(one: _Range, lighter: Leaf | None) -> tuple[Leaf, Grant | None]:
    request, least = _number(one.request), _least(one)
    if request is None or least is None:
        return one.request, None  # a text that only run time can read
    if lighter is not None:
        number = _number(lighter) or 0
        written = replace(lighter[0], how=How.ADAPT)
        return (written, one.request), Grant(one.field, request, least, number, lighter=True)
    if one.free is None or one.free >= request:
        return one.request, Grant(one.field, request, least, request)
    written = replace(one.request[0], value=one.free, how=How.ADAPT)
    return (written, one.request), Grant(one.field, request, least, one.free)
