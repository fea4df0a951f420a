"""Statements that undo, or do in the other direction, what one of the function does: one of such a pair is easily
forgotten.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from agents.engines.repair.function import MAPPINGS, NUMBERS, Function, Kinds, compatible
from agents.engines.repair.operators.insertions import put
from agents.engines.repair.operators.statements import SIMPLE, own_lines
from agents.engines.repair.proposals import Proposal

OPERATOR = "statement mirrored"
OPPOSITE = {"add": ("remove", "discard"), "append": ("pop",), "appendleft": ("popleft",), "remove": ("add",)}
REMOVERS = {"set": "discard", "list": "remove", "deque": "remove"}
SIGNS: dict[type[ast.operator], str] = {ast.Add: "-=", ast.Sub: "+="}
WRITTEN: dict[type[ast.operator], str] = {ast.Add: "+=", ast.Sub: "-="}


def propose(function: Function) -> Iterator[Proposal]:
    """Every place between statements."""
    if isinstance(function.node, ast.Module):
        return
    undone = list(dict.fromkeys(_undone(function)))
    for block in function.blocks:
        if not all(own_lines(function, one) for one in block):
            continue
        for node in block:
            found = [*undone, *_joined(function, node), *_removed(function.places(node)), *_turned(function, node)]
            for text, prior in found:
                yield put(function, node, text, prior, before=True, operator=OPERATOR)
            if node is block[-1] and isinstance(node, SIMPLE) and not isinstance(node, ast.Return | ast.Raise):
                for text, prior in found:
                    yield put(function, node, text, prior, before=False, operator=OPERATOR)


def _undone(function: Function) -> Iterator[tuple[str, float]]:
    for node in function.nodes:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr=method), args=[argument])):
                for other in OPPOSITE.get(method, ()):
                    inside = "" if other.startswith("pop") else function.text(argument)
                    yield f"{function.text(owner)}.{other}({inside})", 0.24
            case ast.AugAssign(target=ast.Subscript(value=ast.Subscript() as row, slice=last), op=op) if (
                type(op) in SIGNS
            ):
                base, first = function.text(row.value), function.text(row.slice)
                value = function.text(node.value)  # a flow: what leaves one end comes back at the other
                yield f"{base}[{function.text(last)}][{first}] {SIGNS[type(op)]} {value}", 0.3
                yield f"{base}[{function.text(last)}][{first}] {WRITTEN[type(op)]} {value}", 0.3
            case ast.AugAssign(op=op) if type(op) in SIGNS:
                yield f"{function.text(node.target)} {SIGNS[type(op)]} {function.text(node.value)}", 0.2
            case ast.Call(func=ast.Name() | ast.Attribute() as popped, args=[heap]) if function.text(popped).endswith(
                "heappop"
            ):
                push = function.text(popped).removesuffix("heappop") + "heappush"
                for name in function.names_at(node.args[0])[:8]:
                    if name != function.text(heap):
                        yield f"{push}({function.text(heap)}, {name})", 0.2


def _joined(function: Function, node: ast.stmt) -> Iterator[tuple[str, float]]:
    """``seen |= fresh``, ``found.extend(more)``, ``total += step``."""
    kinds = {name: function.seen.get(name, frozenset()) for name in function.names_at(node)[:12]}
    for one, held in kinds.items():
        for other, given in kinds.items():
            if one == other:
                continue
            if "set" in held and "set" in given:
                yield f"{one} |= {other}", 0.26
                yield f"{one} -= {other}", 0.1
            elif held & MAPPINGS and given & MAPPINGS:
                yield f"{one}.update({other})", 0.2
            elif "list" in held and given & {"list", "tuple", "generator", "set"} and compatible(held, given):
                yield f"{one}.extend({other})", 0.16
            elif held & NUMBERS and given & NUMBERS and one not in function.parameters:
                yield f"{one} += {other}", 0.14
                yield f"{one} -= {other}", 0.08


def _removed(places: Mapping[str, Kinds]) -> Iterator[tuple[str, float]]:
    """A key or an element is taken out, whether it is in or not."""
    names = [name for name in places if "." not in name][:8]
    for container, kinds in list(places.items())[:16]:
        for name in names if container not in names or kinds else ():
            if name == container:
                continue
            if kinds & MAPPINGS:
                yield f"{container}.pop({name}, None)", 0.14
            for kind in sorted(kinds & REMOVERS.keys()):
                yield f"{container}.{REMOVERS[kind]}({name})", 0.1


def _turned(function: Function, node: ast.stmt) -> Iterator[tuple[str, float]]:
    """What changes its sign, or its truth, from round to round; what steps by one."""
    for name in function.names_at(node)[:12]:
        kinds = function.seen.get(name, frozenset())
        if kinds == {"bool"}:
            yield f"{name} = not {name}", 0.3
        elif kinds & {"int", "float"}:
            yield f"{name} = -{name}", 0.16 if any(function.loops_around(node)) else 0.06
            if "int" in kinds and not any(function.loops_around(node)):
                yield f"{name} += 1", 0.07
                yield f"{name} -= 1", 0.07
