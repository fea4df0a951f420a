"""Constants: numbers next to the one that is there, truth values, texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.engines.repair.function import Function
from agents.engines.repair.proposals import Proposal


def propose(function: Function) -> Iterator[Proposal]:
    """All constants but docstrings."""
    texts = sorted(
        {node.value for node in function.nodes if isinstance(node, ast.Constant) and type(node.value) is str}
    )
    numbers = sorted(
        {node.value for node in function.nodes if isinstance(node, ast.Constant) and type(node.value) is int}
    )
    for node in function.nodes:
        if isinstance(node, ast.Constant) and not isinstance(function.parent(node), ast.Expr | ast.JoinedStr):
            for text, prior in _others(node.value, texts, numbers):
                yield function.swap(node, text, prior, "constant")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            yield function.swap(node, f"-{function.text(node)}", 0.3, "constant")


def _others(value: object, texts: list[str], numbers: list[int]) -> Iterator[tuple[str, float]]:
    if value is True or value is False:
        yield str(not value), 0.7
    elif isinstance(value, int):
        yield from _integers(value, numbers)
    elif isinstance(value, float):
        for other in (value + 1, value - 1, -value, value * 2, value / 2, value * 10, value / 10, 1 - value):
            yield repr(other), 0.25
        yield repr(int(value)) if abs(value) < 1e9 else "0", 0.2
    elif isinstance(value, str):
        yield from _strings(value, texts)
    elif value is None:
        yield from (("0", 0.15), ("[]", 0.15), ("False", 0.1), ("True", 0.1), ("''", 0.1))


def _integers(value: int, numbers: list[int]) -> Iterator[tuple[str, float]]:
    yield str(value + 1), 0.65
    if value != 0:
        yield str(value - 1), 0.65
        yield str(-value), 0.3
    else:
        yield "-1", 0.4
    for other, prior in (
        (0, 0.25),
        (1, 0.25),
        (2, 0.2),
        (10, 0.06),
        (value * 2, 0.08),
        (value // 2, 0.08),
        (value * 10, 0.05),
        (value // 10, 0.05),
    ):
        if other not in {value, value + 1, value - 1}:
            yield str(other), prior
    for other in numbers:
        if abs(other - value) > 1:
            yield str(other), 0.18
    if value in {0, 1}:
        yield from ((str(bool(value)), 0.08), ("float('inf')", 0.08), ("float('-inf')", 0.12), ("None", 0.06))


def _strings(value: str, texts: list[str]) -> Iterator[tuple[str, float]]:
    for other in texts[:20]:
        if other != value:
            yield repr(other), 0.2
    if value in {"inf", "-inf"}:
        yield repr("-inf" if value == "inf" else "inf"), 0.5
    if value:
        yield "''", 0.2
        for other in {value.lower(), value.upper(), value.strip(), f"{value} ", f" {value}"} - {value, *texts}:
            yield repr(other), 0.12
        if len(value) > 1:
            yield repr(value[1:]), 0.06
            yield repr(value[:-1]), 0.06
    for other in (" ", "", "0", "1", ",", "\n"):
        if len(value) <= 1 and other != value and other not in texts:
            yield repr(other), 0.12
