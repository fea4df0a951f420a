"""The wrong variable, the wrong attribute, a variable for its part or the part for the whole."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import SequenceMatcher

from agents.engines.repair.function import COLLECTIONS, UNKNOWN, Function, compatible
from agents.engines.repair.proposals import Proposal


def propose(function: Function) -> Iterator[Proposal]:
    """All names, attributes and subscripts."""
    for node in function.nodes:
        if isinstance(node, ast.Name):
            yield from _names(function, node)
            yield from _parts(function, node)
            yield from _of_others(function, node)
        elif isinstance(node, ast.Attribute):
            yield from _attributes(function, node)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            yield function.swap(node, function.text(node.value), 0.18, "whole for part")
            yield from _held_at(function, node)


def _names(function: Function, node: ast.Name) -> Iterator[Proposal]:
    parent = function.parent(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        for name in function.callables:
            if name != node.id:
                recursive = node.id == function.name.rpartition(".")[2]
                yield function.swap(node, name, 0.06 if recursive else 0.25, "wrong function")
        return
    if isinstance(node.ctx, ast.Load):
        base = 0.46
    elif isinstance(node.ctx, ast.Store) and isinstance(parent, ast.Assign | ast.AugAssign):
        base = 0.22
    elif isinstance(node.ctx, ast.Store) and isinstance(parent, ast.Tuple | ast.For):
        base = 0.16
    else:
        return
    own = function.seen.get(node.id, UNKNOWN)
    for place, name in enumerate(_others(function, node)):
        kinds = function.seen.get(name, UNKNOWN)
        if compatible(own, kinds):
            known = 1.0 if own and kinds else 0.6
            near = 0.75 + 0.25 * SequenceMatcher(None, name, node.id).ratio()
            yield function.swap(node, name, base * known * near / (1 + 0.05 * place), "wrong variable")
        elif isinstance(node.ctx, ast.Load):
            yield function.swap(node, name, base * 0.22, "wrong variable")


def _others(function: Function, node: ast.Name) -> list[str]:
    names = function.names_at(node)[:24] + function.module_names[:6]
    return [name for name in dict.fromkeys(names) if name != node.id and name not in function.callables]


def _parts(function: Function, node: ast.Name) -> Iterator[Proposal]:
    if not isinstance(node.ctx, ast.Load) or isinstance(function.parent(node), ast.Attribute):
        return
    kinds = function.seen.get(node.id, UNKNOWN)
    parent = function.parent(node)
    if isinstance(parent, ast.Call) and parent.func is node:
        return
    for kind in sorted(kinds):
        for attribute in sorted(function.attributes.get(kind, {}))[:12]:
            yield function.swap(node, f"{node.id}.{attribute}", 0.16, "part for whole")
    if kinds & {"list", "tuple", "str"} and not isinstance(parent, ast.Subscript):
        yield function.swap(node, f"{node.id}[0]", 0.14, "part for whole")
        yield function.swap(node, f"{node.id}[-1]", 0.14, "part for whole")
    for container in function.names_at(node)[:10]:
        held = function.seen.get(container, UNKNOWN)
        if container != node.id and held & (COLLECTIONS - {"set", "frozenset"}):
            yield function.swap(node, f"{container}[{node.id}]", 0.08, "part for whole")


def _held_at(function: Function, node: ast.Subscript) -> Iterator[Proposal]:
    """What a place holds, where the place itself stands: ``values[waiting[-1]]`` for ``waiting[-1]``."""
    kinds = function.kinds(node)
    if not kinds & {"int", "str", "tuple"}:
        return
    for container in function.names_at(node)[:10]:
        held = function.seen.get(container, UNKNOWN)
        if held & ({"dict", "defaultdict"} | ({"list", "tuple", "str"} if "int" in kinds else UNKNOWN)):
            yield function.swap(node, f"{container}[{function.text(node)}]", 0.16, "part for whole")


def _of_others(function: Function, node: ast.Name) -> Iterator[Proposal]:
    """What another name holds: ``node.children`` where ``waiting`` stands."""
    own = function.seen.get(node.id, UNKNOWN)
    parent = function.parent(node)
    if not own or not isinstance(node.ctx, ast.Load) or isinstance(parent, ast.Attribute):
        return
    weight = 0.24 if isinstance(parent, ast.For) else 0.12
    for name in function.names_at(node)[:10]:
        for kind in sorted(function.seen.get(name, UNKNOWN)) if name != node.id else ():
            for attribute, held in sorted(function.attributes.get(kind, {}).items())[:12]:
                if compatible(own, frozenset({held})):
                    yield function.swap(node, f"{name}.{attribute}", weight, "part of another")


def _attributes(function: Function, node: ast.Attribute) -> Iterator[Proposal]:
    known: set[str] = set()
    for kind in function.kinds(node.value):
        known.update(function.attributes.get(kind, {}))
    used = {
        one.attr
        for one in ast.walk(function.source.tree)
        if isinstance(one, ast.Attribute) and function.kinds(one.value) <= function.kinds(node.value)
    }
    parent = function.parent(node)
    called = isinstance(parent, ast.Call) and parent.func is node
    own = function.kinds(node)
    for name in sorted(known | (set() if known else used)):
        if name == node.attr or called:
            continue
        held = {function.attributes.get(kind, {}).get(name, "") for kind in function.kinds(node.value)} - {""}
        near = 0.7 + 0.3 * SequenceMatcher(None, name, node.attr).ratio()
        weight = (0.5 if compatible(own, frozenset(held)) else 0.15) * near
        yield function.swap(node, f"{function.text(node.value)}.{name}", weight, "wrong attribute")
    if isinstance(node.ctx, ast.Load) and not called:
        yield function.swap(node, function.text(node.value), 0.2, "whole for part")
        for name in function.names_at(node)[:12]:
            if compatible(own, function.seen.get(name, UNKNOWN)):
                yield function.swap(node, name, 0.16, "wrong variable")
