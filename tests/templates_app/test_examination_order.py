"""Tricky cases of order, written from the semantics alone, without a look at the resolver."""

from __future__ import annotations

from typing import Any

import pytest

from templates_app.documents import Document
from templates_app.resolve import resolve
from tests.templates_app.examining import (
    Written,
    last,
    written,
)
from tests.templates_app.writing import codes_of, errors_of

ORDERS: list[tuple[str, dict[str, list[str]], list[str]]] = [
    ("diamond", {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, ["a", "b", "c", "d"]),
    ("diamond, the other way", {"a": [], "b": ["a"], "c": ["a"], "d": ["c", "b"]}, ["a", "c", "b", "d"]),
    ("two roots", {"a": [], "b": [], "c": ["b", "a"]}, ["b", "a", "c"]),
    ("ancestor listed first", {"a": [], "b": ["a"], "c": ["a", "b"]}, ["a", "b", "c"]),
    (
        "two diamonds on top of each other",
        {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d"], "f": ["d"], "g": ["f", "e"]},
        ["a", "b", "c", "d", "f", "e", "g"],
    ),
    (
        "long arm and short arm",
        {"a": [], "b": ["a"], "c": ["b"], "d": ["a"], "e": ["c", "d"]},
        ["a", "b", "c", "d", "e"],
    ),
    (
        "python's own example",
        {"o": [], "x": ["o"], "y": ["o"], "z": ["y", "x"], "w": ["z"], "v": ["w", "z"][::-1]},
        ["o", "y", "x", "z", "w", "v"],
    ),
]


@pytest.mark.parametrize(("graph", "order"), [case[1:] for case in ORDERS], ids=[case[0] for case in ORDERS])
def test_each_ancestor_is_applied_once_in_the_one_order(graph: dict[str, list[str]], order: list[str]) -> None:
    documents = written(**{name: (parents, {"hooks": {"setup": [[name]]}}) for name, parents in graph.items()})
    found = resolve(order[-1], documents)
    assert [one.name for one in found.layers] == order
    assert found.spec == {"hooks": {"setup": [[name] for name in order]}}
    backwards = resolve(order[-1], dict(reversed(documents.items())))
    assert (backwards.digest, backwards.provenance) == (found.digest, found.provenance)


ORDER_ERRORS: list[tuple[str, dict[str, Any], str, list[str]]] = [
    (
        "opposite local orders",
        {"a": [], "b": [], "one": ["a", "b"], "two": ["b", "a"], "t": ["one", "two"]},
        "inconsistent_order",
        ["a before b", "b before a", "one", "two"],
    ),
    (
        "a child listed before its own parent",
        {"a": [], "b": ["a"], "t": ["b", "a"]},
        "inconsistent_order",
        ["a before b", "b before a"],
    ),
    (
        "a conflict three levels down",
        {"a": [], "b": ["a"], "c": [], "l": ["b", "c"], "r": ["c", "a"], "t": ["l", "r"]},
        "inconsistent_order",
        ["before"],
    ),
    ("itself", {"t": ["t"]}, "cycle", ["t → t"]),
    ("a cycle of three", {"a": ["c"], "b": ["a"], "c": ["b"], "t": ["c"]}, "cycle", ["c → b → a → c"]),
    ("unknown", {"python-web": [], "t": ["pyhton-web"]}, "parent_not_found", ["python-web"]),
    ("unknown far away", {"common": [], "a": ["comon"], "t": ["a"]}, "parent_not_found", ["common"]),
    ("twice", {"a": [], "t": ["a", "a"]}, "duplicate_parent", ["a"]),
    ("twice, once with a version", {"a": [], "t": ["a@1", "a"]}, "duplicate_parent", ["a"]),
    (
        "two majors",
        {"a": [], "l": ["a@1"], "r": ["a@2"], "t": ["l", "r"]},
        "version_conflict",
        ["l", "r", "1", "2"],
    ),
    ("nothing fits", {"a": [], "t": ["a@7"]}, "version_not_found", ["a", "7", "1.0.0"]),
]


@pytest.mark.parametrize(
    ("graph", "code", "words"), [case[1:] for case in ORDER_ERRORS], ids=[case[0] for case in ORDER_ERRORS]
)
def test_an_impossible_order_says_why(graph: dict[str, Any], code: str, words: list[str]) -> None:
    documents = written(**{name: (parents, {}) for name, parents in graph.items()})
    errors = errors_of(resolve, "t", documents)
    assert {error.code for error in errors} == {code}
    text = " ".join(map(str, errors))
    assert [word for word in words if word not in text] == []
    assert all(error.file and error.line for error in errors)
    assert errors_of(resolve, "t", dict(reversed(documents.items()))) == errors


CONSTRAINTS = [
    ("1", "1.0.0", True),
    ("1.0", "1.0.0", True),
    (">=0.9,<2", "1.0.0", True),
    (">=0.9 <2", "1.0.0", True),
    (">= 0.9, < 1", "1.0.0", False),
    ("<1", "1.0.0", False),
    ("^0", "0.2.3", True),
    ("^0.0", "0.2.3", False),
    ("^0.2.1", "0.2.3", True),
    ("^0.2.1", "0.3.0", False),
    ("^0.0.3", "0.0.4", False),
    ("^1.0.0-rc.1", "1.0.0-rc.2", True),
    ("^1.0.0-rc.1", "1.4.0", True),
    ("^1.0.0-rc.1", "2.0.0-rc.1", False),
    ("^1", "1.0.0-rc.2", False),
    ("~1.4", "1.5.0", False),
]


@pytest.mark.parametrize(("constraint", "version", "fits"), CONSTRAINTS)
def test_a_constraint_is_held_against_the_version(constraint: str, version: str, fits: bool) -> None:
    documents = written(a=([], {}, {"version": version}), t=([f"a@{constraint}"], {}))
    if fits:
        assert resolve("t", documents).layers[0].name == "a"
    else:
        assert codes_of(resolve, "t", documents) == ["version_not_found"]


def chain(count: int) -> dict[str, Document]:
    return written(**{f"n{one}": ([f"n{one - 1}"] if one else [], {}) for one in range(count)})


def test_the_depth_and_the_number_of_ancestors_are_bounded() -> None:
    assert len(resolve("n31", chain(32)).layers) == 32
    assert codes_of(resolve, "n33", chain(34)) == ["too_deep"]
    tens: dict[str, Written] = {f"a{one}": ([], {}) for one in range(60)}
    for one in range(4):
        tens[f"m{one}"] = ([f"a{15 * one + step}" for step in range(15)], {})
    assert len(last(**tens, t=(["m0", "m1", "m2", "m3"], {})).layers) == 65
    assert codes_of(last, **tens, more=([], {}), t=(["m0", "m1", "m2", "m3", "more"], {})) == ["too_many"]
