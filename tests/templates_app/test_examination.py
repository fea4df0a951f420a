"""Tricky cases of merging, written from the semantics alone, without a look at the resolver."""

from __future__ import annotations

from typing import Any

import pytest

from templates_app.resolve import resolve
from tests.templates_app.examining import (
    ABSENT,
    A,
    B,
    C,
    Written,
    at,
    canonical,
    diamond,
    last,
    leaves,
    opts,
    tower,
    written,
)
from tests.templates_app.writing import codes_of, errors_of, layer

MERGES: list[tuple[str, dict[str, Written], str, Any]] = [
    ("null replaces a map", tower(opts({"a": {"x": 1}}), opts({"a": None})), "engine.options", {"a": None}),
    ("null is no deletion", tower(opts({"a": 1}), opts({"a": None})), "engine.options.a", None),
    ("a map over null", tower(opts({"a": None}), opts({"a": {"x": 1}})), "engine.options.a", {"x": 1}),
    ("a list over null", tower(opts({"a": None}), opts({"a": [1]})), "engine.options.a", [1]),
    (
        "null in the middle hides",
        tower(opts({"a": {"x": 1}}), opts({"a": None}), opts({"a": {"y": 2}})),
        "engine.options.a",
        {"y": 2},
    ),
    ("text over number", tower(opts({"a": 1}), opts({"a": "x"})), "engine.options.a", "x"),
    ("empty map over map", tower(opts({"a": {"x": 1}}), opts({"a": {}})), "engine.options.a", {"x": 1}),
    (
        "empty list over a replacing list",
        tower({"tests": {"command": ["a"]}}, {"tests": {"command": []}}),
        "tests.command",
        [],
    ),
    ("empty list over a uniting list", tower({"packages": ["a"]}, {"packages": []}), "packages", ["a"]),
    ("empty list over a keyed list", tower({"ports": [A]}, {"ports": []}), "ports", [A]),
    (
        "union keeps the first place",
        tower({"packages": ["a", "b"]}, {"packages": ["c", "a"]}),
        "packages",
        ["a", "b", "c"],
    ),
    ("union in one layer", tower({"packages": ["a", "a"]}), "packages", ["a"]),
    (
        "append keeps what is equal",
        tower({"hooks": {"setup": [["a"]]}}, {"hooks": {"setup": [["a"]]}}),
        "hooks.setup",
        [["a"], ["a"]],
    ),
    (
        "hooks replaced",
        tower({"hooks": {"setup": [["a"]]}}, {"hooks": {"setup": {"$replace": [["b"]]}}}),
        "hooks.setup",
        [["b"]],
    ),
    (
        "hooks removed",
        tower({"hooks": {"setup": [["a"], ["b"], ["a"]]}}, {"hooks": {"setup": {"$remove": [["a"]]}}}),
        "hooks.setup",
        [["b"]],
    ),
    (
        "volumes by target",
        tower({"volumes": [{"target": "/a", "size_mb": 1}]}, {"volumes": [{"target": "/a", "size_mb": 2}]}),
        "volumes",
        [{"target": "/a", "size_mb": 2}],
    ),
    ("prepend keeps its own order", tower({"ports": [A]}, {"ports": {"$prepend": [B, C]}}), "ports", [B, C, A]),
    (
        "$replace over another kind",
        tower(opts({"a": {"x": 1}}), opts({"a": {"$replace": [1]}})),
        "engine.options.a",
        [1],
    ),
    ("$replace with nothing beneath", tower(opts({"a": {"$replace": {"x": 1}}})), "engine.options.a", {"x": 1}),
    ("$replace by null", tower(opts({"a": {"x": 1}}), opts({"a": {"$replace": None}})), "engine.options.a", None),
    (
        "$replace forgets, later layers merge into it",
        tower(opts({"a": {"x": 1}}), opts({"a": {"$replace": {"y": 1}}}), opts({"a": {"z": 1}})),
        "engine.options.a",
        {"y": 1, "z": 1},
    ),
    (
        "a directive deep inside $replace",
        tower(opts({"a": {"x": 1}}), opts({"a": {"$replace": {"b": {"$append": [1]}}}})),
        "engine.options.a",
        {"b": [1]},
    ),
    ("$append over null", tower(opts({"a": None}), opts({"a": {"$append": [1]}})), "engine.options.a", [1]),
    ("$append to a free list", tower(opts({"a": [1]}), opts({"a": {"$append": [1]}})), "engine.options.a", [1, 1]),
    (
        "$remove tells 1, true and text apart",
        tower(opts({"a": [1, True, "1", 1.0]}), opts({"a": {"$remove": [1]}})),
        "engine.options.a",
        [True, "1", 1.0],
    ),
    (
        "$remove of a map",
        tower(opts({"a": [{"x": 1, "y": 2}, 3]}), opts({"a": {"$remove": [{"y": 2, "x": 1}]}})),
        "engine.options.a",
        [3],
    ),
    (
        "$delete of a map",
        tower(opts({"a": {"x": 1}, "b": 1}), opts({"a": {"$delete": True}})),
        "engine.options",
        {"b": 1},
    ),
    (
        "$delete of a whole section",
        tower({"size": {"pids": 9}, "packages": ["a"]}, {"size": {"$delete": True}}),
        "size",
        ABSENT,
    ),
    ("$$ key", tower(opts({"$$delete": True})), "engine.options", {"$delete": True}),
    ("$$$ key", tower(opts({"$$$x": True})), "engine.options", {"$$x": True}),
    (
        "$$ keys of two layers are one key",
        tower(opts({"$$a": {"x": 1}}), opts({"$$a": {"y": 1}})),
        "engine.options",
        {"$a": {"x": 1, "y": 1}},
    ),
    (
        "$$ key is deleted by its written name",
        tower(opts({"$$a": 1, "b": 1}), opts({"$$a": {"$delete": True}})),
        "engine.options",
        {"b": 1},
    ),
    ("a lone dollar inside a key", tower(opts({"a$b": 1, "a$": 2})), "engine.options", {"a$b": 1, "a$": 2}),
    (
        "keyed item deleted and set again goes to the end, from nothing",
        tower({"ports": [{**A, "description": "x"}, B]}, {"ports": [{**A, "$delete": True}]}, {"ports": [A]}),
        "ports",
        [B, A],
    ),
    (
        "value removed from a union and set again goes to the end",
        tower({"packages": ["a", "b"]}, {"packages": {"$remove": ["a"]}}, {"packages": ["a"]}),
        "packages",
        ["b", "a"],
    ),
    (
        "list deleted and set again",
        tower({"packages": ["a"]}, {"packages": {"$delete": True}}, {"packages": ["b"]}),
        "packages",
        ["b"],
    ),
    (
        "deleted list of the other kind",
        tower(opts({"a": [1]}), opts({"a": {"$delete": True}}), opts({"a": {"x": 1}})),
        "engine.options.a",
        {"x": 1},
    ),
    (
        "diamond: deletion is not undone by the branch that is silent",
        diamond(opts({"a": 1, "b": 2}), opts({"a": {"$delete": True}}), {}),
        "engine.options",
        {"b": 2},
    ),
    (
        "diamond: a branch that sets again starts from nothing",
        diamond(opts({"a": {"x": 1}}), opts({"a": {"$delete": True}}), opts({"a": {"y": 2}})),
        "engine.options.a",
        {"y": 2},
    ),
    (
        "diamond: the deletion comes last",
        diamond(opts({"a": {"x": 1}}), opts({"a": {"y": 2}}), opts({"a": {"$delete": True}})),
        "engine.options",
        {},
    ),
    (
        "diamond: a keyed item does not come back",
        diamond({"ports": [A, B]}, {"ports": [{**A, "$delete": True}]}, {"ports": [C]}),
        "ports",
        [B, C],
    ),
    (
        "diamond: a keyed item set again by the other branch",
        diamond({"ports": [{**A, "description": "x"}, B]}, {"ports": [{**A, "$delete": True}]}, {"ports": [A]}),
        "ports",
        [B, A],
    ),
    (
        "diamond: the section deleted, one field set again",
        diamond({"size": {"pids": 9, "disk_mb": 64}}, {"size": {"$delete": True}}, {"size": {"pids": 8}}),
        "size",
        {"pids": 8},
    ),
    (
        "diamond: base's appends count once",
        diamond({"hooks": {"setup": [["a"]]}}, {"hooks": {"setup": [["l"]]}}, {"hooks": {"setup": [["r"]]}}),
        "hooks.setup",
        [["a"], ["l"], ["r"]],
    ),
    (
        "diamond: base says it, left changes it, right is silent",
        diamond({"size": {"pids": 1 + 8}}, {"size": {"pids": 10}}, {"size": {"disk_mb": 64}}),
        "size.pids",
        10,
    ),
    (
        "inside a keyed item, a map merges and a list follows its own rule",
        tower(
            {"services": [{**A, "command": ["x"], "environment": {"P": "1"}}]},
            {"services": [{**A, "command": ["y"], "environment": {"Q": "2"}}]},
        ),
        "services",
        [{**A, "command": ["y"], "environment": {"P": "1", "Q": "2"}}],
    ),
    (
        "a directive inside a keyed item",
        tower({"services": [{**A, "command": ["x"]}]}, {"services": [{**A, "command": {"$append": ["y"]}}]}),
        "services",
        [{**A, "command": ["x", "y"]}],
    ),
    (
        "$replace of a keyed list",
        tower({"ports": [A, B]}, {"ports": {"$replace": [{**B, "description": "d"}]}}),
        "ports",
        [{**B, "description": "d"}],
    ),
    (
        "$remove by name of a keyed list, then append",
        tower({"ports": [A, B]}, {"ports": {"$remove": ["a"]}}, {"ports": {"$append": [A]}}),
        "ports",
        [B, A],
    ),
    (
        "a number over a range takes its place",
        tower({"size": {"memory_mb": {"request": 200, "min": 100}}}, {"size": {"memory_mb": 300}}),
        "size.memory_mb.min",
        ABSENT,
    ),
]


@pytest.mark.parametrize(
    ("layers", "path", "expected"), [case[1:] for case in MERGES], ids=[case[0] for case in MERGES]
)
def test_layers_merge_as_the_semantics_say(layers: dict[str, Written], path: str, expected: Any) -> None:
    found = last(**layers)
    value = at(found.spec, path)
    assert (value is expected) if expected is ABSENT else (canonical(value) == canonical(expected))
    assert not found.warnings
    assert {entry.path: canonical(entry.value) for entry in found.provenance} == {
        path: canonical(value) for path, value in leaves(found.spec)
    }
    again = written(**layers)
    assert resolve(found.name, dict(reversed(again.items()))) == found


CONFLICTS: list[tuple[str, Any, Any]] = [
    ("map, then list", opts({"a": {"x": 1}}), opts({"a": [1]})),
    ("map, then scalar", opts({"a": {"x": 1}}), opts({"a": 1})),
    ("list, then scalar", opts({"a": [1]}), opts({"a": False})),
    ("list, then map", opts({"a": [1]}), opts({"a": {"x": 1}})),
    ("scalar, then list", opts({"a": 0}), opts({"a": []})),
    ("scalar, then empty map", opts({"a": ""}), opts({"a": {}})),
    ("empty map, then empty list", opts({"a": {}}), opts({"a": []})),
    ("$append to a map", opts({"a": {"x": 1}}), opts({"a": {"$append": [1]}})),
    ("$prepend to a scalar", opts({"a": 1}), opts({"a": {"$prepend": [1]}})),
    ("$remove from a map", opts({"a": {"x": 1}}), opts({"a": {"$remove": [1]}})),
]


@pytest.mark.parametrize(("below", "above"), [case[1:] for case in CONFLICTS], ids=[case[0] for case in CONFLICTS])
def test_kinds_that_meet_are_refused_with_the_path_and_both_layers(below: Any, above: Any) -> None:
    errors = errors_of(last, **tower(below, {}, above))
    assert [error.code for error in errors] == ["type_conflict"]
    assert "engine.options.a" in str(errors[0])
    assert "l0" in str(errors[0])
    assert "l2" in str(errors[0])
    assert (errors[0].template, errors[0].file) == ("l2", "l2.yaml")
    assert errors[0].hint


NOT_THERE: list[tuple[str, Any]] = [
    ("a field", {"size": {"$delete": True}}),
    ("an option", opts({"x": {"$delete": True}})),
    ("a keyed item", {"ports": [{"name": "zz", "$delete": True}]}),
    ("a keyed item by $remove", {"ports": {"$remove": ["zz"]}}),
    ("a value of a union", {"packages": {"$remove": ["zz"]}}),
    ("a list that is not there", {"volumes": {"$remove": ["/zz"]}}),
    ("inside $replace", opts({"$replace": {"x": {"$delete": True}}})),
]


@pytest.mark.parametrize("above", [case[1] for case in NOT_THERE], ids=[case[0] for case in NOT_THERE])
def test_deleting_what_is_absent_is_a_warning_with_a_place(above: Any) -> None:
    found = last(**tower({"ports": [A], "packages": ["a"]}, above))
    assert found.spec["ports"] == [A]
    assert found.spec["packages"] == ["a"]
    assert [(one.code, one.template) for one in found.warnings] == [("nothing_to_delete", "l1")]
    assert found.warnings[0].line


BAD_LAYERS: list[tuple[str, Any, str]] = [
    ("beside another key", {"size": {"$delete": True, "pids": 9}}, "bad_directive"),
    ("two directives", {"packages": {"$append": ["a"], "$remove": ["b"]}}, "bad_directive"),
    ("unknown directive", {"packages": {"$apend": ["a"]}}, "bad_directive"),
    ("a lone dollar", opts({"a": {"$": 1}}), "bad_directive"),
    ("$delete: false", {"size": {"$delete": False}}, "bad_directive"),
    ("$delete: 1", {"size": {"$delete": 1}}, "bad_directive"),
    ("$append of a scalar", {"packages": {"$append": "a"}}, "bad_directive"),
    ("$append on a map", {"size": {"$append": []}}, "bad_directive"),
    ("$remove of a map from a keyed list", {"ports": {"$remove": [{"name": "a"}]}}, "bad_directive"),
    ("$delete of the whole spec", {"$delete": True}, "bad_directive"),
    ("$replace in $replace", {"size": {"$replace": {"$replace": {}}}}, "bad_directive"),
    ("a directive as an element", {"packages": [{"$delete": True}]}, "bad_directive"),
    ("a directive as an element of a free list", opts({"a": [{"$append": [1]}]}), "bad_directive"),
    (
        "a keyed deletion with more in it",
        {"ports": [{"name": "a", "$delete": True, "description": "x"}]},
        "bad_directive",
    ),
    ("a keyed item with another directive", {"ports": [{"name": "a", "$replace": {}}]}, "bad_directive"),
    ("the same key twice", {"ports": [A, B, A]}, "duplicate_item"),
    ("set and deleted in one layer", {"ports": [A, {**A, "$delete": True}]}, "duplicate_item"),
    ("twice inside $append", {"ports": {"$append": [A, A]}}, "duplicate_item"),
    ("twice inside $replace", {"ports": {"$replace": [A, A]}}, "duplicate_item"),
    ("a volume twice", {"volumes": [{"target": "/a"}, {"target": "/a"}]}, "duplicate_item"),
    ("no key", {"ports": [{"description": "x"}]}, "missing_merge_key"),
    ("null as key", {"ports": [{"name": None}]}, "missing_merge_key"),
    ("a number as key", {"ports": [{"name": 1}]}, "missing_merge_key"),
    ("no key in a deletion", {"ports": [{"$delete": True}]}, "missing_merge_key"),
    ("a scalar among keyed items", {"ports": ["a"]}, "missing_merge_key"),
    ("a variable as key", {"ports": [{"name": "${X}"}]}, "missing_merge_key"),
    ("a map written as $$ and plain", opts({"$$a": 1, "a": 1, "b": {"$$x": 1, "$x": 2}}), "bad_directive"),
    ("an unknown field", {"packges": []}, "unknown_field"),
    ("a map for a list", {"packages": {"a": 1}}, "type_mismatch"),
    ("null for a list", {"packages": None}, "type_mismatch"),
    ("null for a map", {"size": None}, "type_mismatch"),
    ("a list for a map", {"size": []}, "type_mismatch"),
    ("text for a number", {"size": {"pids": "9"}}, "type_mismatch"),
    ("a float for an integer", {"size": {"pids": 9.0}}, "type_mismatch"),
    ("true for an integer", {"size": {"pids": True}}, "type_mismatch"),
    ("a number in a list of texts", {"tests": {"command": ["a", 1]}}, "type_mismatch"),
    ("a wrong element inside $append", {"packages": {"$append": [1]}}, "type_mismatch"),
    ("a field that names a path of the host", {"volumes": [{"target": "../x"}]}, "bad_value"),
    ("a reference that does not close", {"labels": {"a": "${X"}}, "bad_substitution"),
]


@pytest.mark.parametrize(("spec", "code"), [case[1:] for case in BAD_LAYERS], ids=[case[0] for case in BAD_LAYERS])
def test_a_bad_layer_is_refused_when_it_is_read(spec: Any, code: str) -> None:
    errors = errors_of(layer, "bad", spec)
    assert [error.code for error in errors] == [code]
    assert (errors[0].template, errors[0].version, errors[0].file) == ("bad", "1.0.0", "bad.yaml")
    assert errors[0].line == 1
    assert errors[0].path.startswith("spec")
    rule = [{"when": "true", "set": spec}]
    assert codes_of(layer, "bad", {}, adapt=rule) == [code]
