"""Statements that are missing: a value not kept, an element not added, a step not counted, a result not returned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from agents.engines.repair.function import UNKNOWN, Function, compatible
from agents.engines.repair.operators.statements import SIMPLE, first_line, own_lines
from agents.engines.repair.proposals import Proposal

BEGINNINGS = {
    "int": ("0", "1"), "str": ('""',), "list": ("[]",), "set": ("set()",), "dict": ("{}",), "bool": ("False", "True"),
    "NoneType": ("None",),
}  # fmt: skip
ADDERS = {"list": "append", "set": "add", "deque": "append"}
MOST_NAMES = 12


def propose(function: Function) -> Iterator[Proposal]:
    """Every place between statements, and what could stand there."""
    if isinstance(function.node, ast.Module):
        return
    existing = _existing(function)
    for block in function.blocks:
        if not all(own_lines(function, one) for one in block):
            continue
        for node in block:
            for text, prior in _new(function, node, existing):
                yield put(function, node, text, prior, before=True)
        last = block[-1]
        if not isinstance(last, ast.Return | ast.Break | ast.Continue | ast.Raise):
            for text, prior in _new(function, last, existing):
                yield put(function, last, text, prior * 0.95, before=False)
            yield from _endings(function, last)
        yield from _else_branches(function, block, existing)


def put(
    function: Function, node: ast.stmt, text: str, prior: float, *, before: bool, operator: str = "statement added"
) -> Proposal:
    """The proposal that adds a statement in a line of its own, before the node or after it."""
    line = first_line(node) if before else (node.end_lineno or node.lineno) + 1
    blanks = function.source.indentation(node.lineno)
    made = function.rewrite(line, line - 1, f"{blanks}{text}\n", prior, operator, f"add `{text}`")
    return Proposal(made.edits, prior, made.operator, node.lineno, made.words)


def _existing(function: Function) -> list[str]:
    found = [
        function.text(node)
        for node in function.statements
        if isinstance(node, SIMPLE) and node.lineno == node.end_lineno and not isinstance(node, ast.Raise)
    ]
    return list(dict.fromkeys(text for text in found if len(text) < 100))[:14]


def _new(function: Function, node: ast.stmt, existing: list[str]) -> Iterator[tuple[str, float]]:
    names = function.names_at(node)[:MOST_NAMES]
    own = function.text(node)
    looping = bool(list(function.loops_around(node)))
    kinds = {name: function.seen.get(name, UNKNOWN) for name in names}
    for container in names:
        adder = next((ADDERS[kind] for kind in sorted(kinds[container]) if kind in ADDERS), None)
        for name in names if adder else ():
            if name != container:
                held = function.seen.get(f"{container}[]", UNKNOWN)
                fits = compatible(held, kinds[name]) and not kinds[name] & {"function"}
                yield f"{container}.{adder}({name})", 0.3 if fits else 0.08
        held = function.seen.get(f"{container}[]", UNKNOWN) if adder else UNKNOWN
        for kind in sorted(held):
            yield from ((f"{container}.{adder}({value})", 0.18) for value in BEGINNINGS.get(kind, ()))
    yield from _looked_up(function, kinds)
    yield from _assignments(function, names, looping)
    for text in existing:
        if not text.startswith(("return", "yield")) and text != own:
            yield text, 0.12 if not re.match(r"(break|continue)\b", text) else 0.05
        if not text.startswith("return"):
            yield from _varied(function, text, names)
            yield from _with_siblings(function, text)
    for name in names:
        if kinds[name] & {"int"} and looping:
            yield f"{name} += 1", 0.2
            yield f"{name} -= 1", 0.12
        if kinds[name] & {"list"}:
            yield f"{name}.sort()", 0.1
            yield f"{name}.reverse()", 0.08
            yield f"{name}.pop()", 0.12
        if kinds[name] & {"set", "dict", "list"}:
            yield f"{name}.clear()", 0.03


def _looked_up(function: Function, kinds: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, float]]:
    """What is looked up in a collection was perhaps to be put there: ``(row, column) not in seen``."""
    for node in function.nodes:
        match node:
            case ast.Compare(
                left=ast.Tuple() | ast.Subscript() | ast.Attribute() as sought, comparators=[ast.Name(id=name)]
            ):
                for kind in sorted(kinds.get(name, UNKNOWN) & ADDERS.keys()):
                    text = function.text(sought)
                    yield f"{name}.{ADDERS[kind]}({text})", 0.3


def _assignments(function: Function, names: list[str], looping: bool) -> Iterator[tuple[str, float]]:
    stored = {
        target.id
        for node in function.statements
        for target in _targets(node)
        if isinstance(target, ast.Name)
    }  # fmt: skip
    for name in names:
        if name not in stored and name not in function.parameters:
            continue
        for kind in sorted(function.seen.get(name, UNKNOWN)) if looping and name in stored else ():
            yield from ((f"{name} = {value}", 0.16) for value in BEGINNINGS.get(kind, ()))
        for other in names:
            if other != name and compatible(function.seen.get(name, UNKNOWN), function.seen.get(other, UNKNOWN)):
                both = function.seen.get(name, UNKNOWN) and function.seen.get(other, UNKNOWN)
                weight = 0.22 if both and name in stored else 0.1
                yield f"{name} = {other}", weight if looping else weight * 0.6


def _targets(node: ast.stmt) -> list[ast.expr]:
    found = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
    return [one for target in found for one in (target.elts if isinstance(target, ast.Tuple) else [target])]


def _varied(function: Function, text: str, names: list[str]) -> Iterator[tuple[str, float]]:
    """A statement that exists, with one name exchanged for another."""
    used = [name for name in names if re.search(rf"\b{re.escape(name)}\b", text)]
    for name in used:
        for other in names[:8]:
            if other != name and compatible(function.seen.get(name, UNKNOWN), function.seen.get(other, UNKNOWN)):
                yield re.sub(rf"\b{re.escape(name)}\b", other, text), 0.05


def _with_siblings(function: Function, text: str) -> Iterator[tuple[str, float]]:
    """A statement that exists, for another attribute of the same objects: ``visit(tree.left)`` for ``tree.right``."""
    for attribute in dict.fromkeys(re.findall(r"\.([A-Za-z_]\w*)\b(?!\()", text)):
        for held in function.attributes.values():
            for other in sorted(held)[:12] if attribute in held else ():
                if other != attribute and compatible(frozenset({held[other]}), frozenset({held[attribute]})):
                    yield re.sub(rf"\.{attribute}\b(?!\()", f".{other}", text), 0.22


def _endings(function: Function, node: ast.stmt) -> Iterator[Proposal]:
    looping = bool(list(function.loops_around(node)))
    if looping:
        yield put(function, node, "break", 0.15, before=False, operator="loop left")
        yield put(function, node, "continue", 0.12, before=False, operator="loop left")
    for name in [*function.names_at(node)[:8], "True", "False", "None", "0"]:
        kinds = function.seen.get(name, UNKNOWN)
        fits = compatible(kinds, function.returns())
        yield put(function, node, f"return {name}", 0.2 if fits else 0.06, before=False)
    if "generator" in function.returns():
        for name in function.names_at(node)[:8]:
            yield put(function, node, f"yield {name}", 0.2, before=False)


def _else_branches(function: Function, block: list[ast.stmt], existing: list[str]) -> Iterator[Proposal]:
    for node in block:
        if not isinstance(node, ast.If) or node.orelse or not own_lines(function, node):
            continue
        blanks, inner = (function.source.indentation(line) for line in (node.lineno, node.body[0].lineno))
        line = (node.end_lineno or node.lineno) + 1
        choices = [(text, 0.1) for text in existing]
        choices += [(text, prior * 0.4) for text, prior in _new(function, node, []) if prior >= 0.2]
        choices += [("break", 0.1), ("continue", 0.06)] if list(function.loops_around(node)) else []
        for text, prior in choices:
            made = function.rewrite(line, line - 1, f"{blanks}else:\n{inner}{text}\n", prior, "statement added",
                                    f"otherwise `{text}`")  # fmt: skip
            yield Proposal(made.edits, prior, made.operator, node.lineno, made.words)
