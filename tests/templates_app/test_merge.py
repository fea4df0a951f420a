"""One layer over another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates_app.nodes import How
from templates_app.resolve import resolve
from tests.templates_app.writing import codes_of, errors_of, layer, options, stack, together


def spec(*specs: object) -> dict:
    return together(*specs).spec


def test_maps_merge_deep_and_scalars_replace() -> None:
    assert spec({"size": {"pids": 100, "disk_mb": 64}}, {"size": {"pids": 200}}) == {
        "size": {"pids": 200, "disk_mb": 64}
    }


def test_null_is_a_value_and_no_deletion() -> None:
    assert options({"a": 1, "b": 2}, {"a": None}) == {"a": None, "b": 2}
    assert options({"a": {"x": 1}}, {"a": None}, {"a": {"y": 2}}) == {"a": {"y": 2}}


def test_a_list_follows_the_strategy_of_its_field() -> None:
    below = {"tests": {"command": ["a", "b"]}, "packages": ["a", "b"], "hooks": {"setup": [["a"]]}}
    above = {"tests": {"command": ["c"]}, "packages": ["c", "a"], "hooks": {"setup": [["a"]]}}
    assert spec(below, above) == {
        "tests": {"command": ["c"]},
        "packages": ["a", "b", "c"],
        "hooks": {"setup": [["a"], ["a"]]},
    }


def test_a_keyed_list_merges_elements_in_their_place() -> None:
    below = {"services": [{"name": "db", "command": ["pg"]}, {"name": "web", "command": ["w"], "port": "web"}]}
    above = {"services": [{"name": "mail", "command": ["m"]}, {"name": "db", "command": ["pg", "-v"]}]}
    assert spec(below, above)["services"] == [
        {"name": "db", "command": ["pg", "-v"]},
        {"name": "web", "command": ["w"], "port": "web"},
        {"name": "mail", "command": ["m"]},
    ]


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ({"$replace": ["x"]}, ["x"]),
        ({"$append": ["x", "a"]}, ["a", "b", "x"]),
        ({"$prepend": ["x", "a"]}, ["x", "a", "b"]),
        ({"$remove": ["a"]}, ["b"]),
        ({"$replace": []}, []),
    ],
)
def test_directives_on_a_union(directive: object, expected: list[str]) -> None:
    assert spec({"packages": ["a", "b"]}, {"packages": directive})["packages"] == expected


def test_directives_on_keyed_lists_and_on_lists_that_replace() -> None:
    below = {"ports": [{"name": "a"}, {"name": "b"}]}
    assert spec(below, {"ports": {"$remove": ["a"]}})["ports"] == [{"name": "b"}]
    assert spec(below, {"ports": [{"name": "a", "$delete": True}]})["ports"] == [{"name": "b"}]
    prepended = spec(below, {"ports": {"$prepend": [{"name": "c"}, {"name": "b", "description": "x"}]}})["ports"]
    assert prepended == [{"name": "c"}, {"name": "a"}, {"name": "b", "description": "x"}]
    assert spec({"tests": {"command": ["a"]}}, {"tests": {"command": {"$append": ["-v"]}}}) == {
        "tests": {"command": ["a", "-v"]}
    }


def test_directives_work_where_nothing_lies_beneath() -> None:
    assert spec({"packages": {"$append": ["x"]}, "size": {"$replace": {"pids": 9}}}) == {
        "packages": ["x"],
        "size": {"pids": 9},
    }


def test_replace_of_a_map_drops_what_it_does_not_say() -> None:
    assert spec({"size": {"pids": 9, "disk_mb": 64}}, {"size": {"$replace": {"pids": 8}}}) == {"size": {"pids": 8}}


def test_what_was_deleted_does_not_come_back() -> None:
    below = {"services": [{"name": "a", "command": ["a"], "port": "p"}, {"name": "b", "command": ["b"]}]}
    deleted = {"services": [{"name": "a", "$delete": True}]}
    again = {"services": [{"name": "a", "command": ["new"]}]}
    assert spec(below, deleted, again)["services"] == [
        {"name": "b", "command": ["b"]},
        {"name": "a", "command": ["new"]},
    ]
    assert options({"m": {"x": 1}}, {"m": {"$delete": True}}, {"m": {"y": 2}}) == {"m": {"y": 2}}


def test_a_deletion_in_one_arm_of_a_diamond_holds_against_the_shared_ancestor() -> None:
    documents = {
        "o": layer("o", {"packages": ["x", "y"]}),
        "a": layer("a", {"packages": {"$remove": ["x"]}}, extends=["o"]),
        "b": layer("b", {"packages": ["z"]}, extends=["o"]),
        "t": layer("t", extends=["a", "b"]),
    }
    assert resolve("t", documents).spec["packages"] == ["y", "z"]


def test_deleting_what_is_absent_is_a_warning_with_its_place() -> None:
    result = together(
        {"packages": ["a"]},
        {
            "packages": {"$remove": ["b"]},
            "ports": [{"name": "c", "$delete": True}],
            "size": {"$delete": True},
        },
    )
    assert [(one.code, one.path) for one in result.warnings] == [
        ("nothing_to_delete", "spec.packages.$remove[0]"),
        ("nothing_to_delete", "spec.ports[0]"),
        ("nothing_to_delete", "spec.size.$delete"),
    ]
    assert result.spec == {"packages": ["a"], "ports": []}


def test_two_kinds_that_meet_are_a_conflict_naming_both_layers() -> None:
    errors = errors_of(options, {"a": [1], "b": {"x": 1}}, {"a": {"x": 1}, "b": 5})
    assert [error.code for error in errors] == ["type_conflict", "type_conflict"]
    assert "a map of l1 meets a list of l0 (l0.yaml:1)" in errors[0].message
    assert options({"a": [1]}, {"a": {"$replace": {"x": 1}}}) == {"a": {"x": 1}}


def test_a_whole_list_variable_is_not_silently_lost_in_a_union() -> None:
    assert codes_of(together, {"packages": "${LIST}"}, {"packages": ["x"]}) == ["type_conflict"]
    assert codes_of(together, {"packages": ["x"]}, {"packages": "${LIST}"}) == ["type_conflict"]
    assert codes_of(together, {"packages": "${LIST}"}, {"packages": {"$append": ["x"]}}) == ["type_conflict"]
    assert spec({"tests": {"command": ["x"]}}, {"tests": {"command": "${LIST}"}})["tests"]["command"] == "${LIST}"


def test_union_keeps_what_only_looks_equal() -> None:
    schema_free = options({"a": [1]}, {"a": {"$append": [1, True, "1", 1.5]}})
    assert schema_free == {"a": [1, 1, True, "1", 1.5]}  # a free list appends
    assert spec({"packages": ["1"]}, {"packages": ["1", "1.0"]})["packages"] == ["1", "1.0"]


def test_a_doubled_dollar_is_a_plain_key() -> None:
    assert options({"$$append": [1]}, {"$$append": [2]}) == {"$append": [2]}


def test_documents_are_not_changed_by_resolving() -> None:
    documents = stack({"packages": ["a"], "size": {"pids": 9}}, {"packages": ["b"], "size": {"pids": 8}})
    before = json.dumps([document.spec for document in documents.values()])
    result = resolve("l1", documents)
    size: Any = result.spec["size"]
    size["pids"] = 0
    assert json.dumps([document.spec for document in documents.values()]) == before
    assert resolve("l1", documents).spec["size"] == {"pids": 8}


@pytest.mark.parametrize(
    "override",
    [
        {"isolation": {"min": "bare"}},
        {"isolation": {"$delete": True}},
        {"isolation": {"$replace": {"image": "x"}}},
        {"isolation": {"min": "${TIER}"}},
        {"isolation": {"min": {"$delete": True}}},
    ],
)
def test_a_final_value_withstands_every_way_of_changing_it(override: object) -> None:
    locking = layer("l0", {"isolation": {"min": "container"}}, final=["isolation.min"])
    over = layer("l1", override, extends=["l0"])
    back = layer("l2", {"isolation": {"min": "container"}}, extends=["l1"])
    errors = errors_of(resolve, "l2", {"l0": locking, "l1": over, "l2": back})
    assert [(error.code, error.template) for error in errors] == [("locked", "l1")]


def test_a_final_value_withstands_a_sibling_and_may_be_said_again() -> None:
    documents = {
        "a": layer("a", {"ports": [{"name": "web"}]}, final=["ports.web", "packages"]),
        "b": layer("b", {"packages": ["x"]}),
        "c": layer("c", {"ports": [{"name": "web"}, {"name": "other"}]}),
        "t": layer("t", extends=["a", "b"]),
        "u": layer("u", extends=["a", "c"]),
    }
    assert codes_of(resolve, "t", documents) == ["locked"]
    assert [port["name"] for port in resolve("u", documents).spec["ports"]] == ["web", "other"]  # type: ignore


def test_a_lock_needs_a_known_path_and_a_value_without_variables() -> None:
    documents = {"t": layer("t", {"environment": {"A": "${X}"}}, final=["size.memory", "environment.A"])}
    assert codes_of(resolve, "t", documents) == ["unknown_field", "final_variable"]


names = st.sampled_from(["a", "b", "c", "d"])
scalars = st.integers(0, 3) | st.sampled_from(["x", "y"]) | st.booleans()


def _name(port: Any) -> str:
    return str(port["name"])


specs = st.fixed_dictionaries(
    {},
    optional={
        "size": st.fixed_dictionaries({}, optional={"pids": st.integers(8, 20), "disk_mb": st.integers(16, 20)}),
        "packages": st.lists(names, max_size=3),
        "hooks": st.fixed_dictionaries({"setup": st.lists(st.lists(names, min_size=1, max_size=2), max_size=2)}),
        "ports": st.lists(
            st.fixed_dictionaries({"name": names}, optional={"description": names}),
            max_size=3,
            unique_by=_name,
        ),
        "environment": st.dictionaries(names, names, max_size=3),
        "tests": st.fixed_dictionaries({}, optional={"command": st.lists(names, max_size=3)}),
        "engine": st.fixed_dictionaries(
            {"options": st.dictionaries(names, st.dictionaries(names, scalars, max_size=2), max_size=3)}
        ),
    },
)


@settings(deadline=None)
@given(specs, specs, specs)
def test_merging_is_associative_without_directives(a: object, b: object, c: object) -> None:
    assert spec(spec(a, b), c) == spec(a, spec(b, c)) == spec(a, b, c)


@settings(deadline=None)
@given(specs)
def test_a_result_laid_over_nothing_is_itself(a: object) -> None:
    once = spec(a)
    assert spec(once) == once


directives = st.one_of(
    specs,
    st.builds(lambda field: {field: {"$delete": True}}, st.sampled_from(["size", "ports", "packages", "hooks"])),
    st.builds(
        lambda how, what: {"packages": {how: what}},
        st.sampled_from(["$append", "$prepend", "$remove", "$replace"]),
        st.lists(names, max_size=3),
    ),
    st.builds(lambda what: {"ports": {"$remove": what}}, st.lists(names, max_size=2)),
)


def leaf_paths(value: object, path: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    if isinstance(value, dict) and value:
        return {leaf for key, item in value.items() for leaf in leaf_paths(item, (*path, key))}
    if isinstance(value, list) and value:
        return {leaf for index, item in enumerate(value) for leaf in leaf_paths(item, (*path, index))}
    return {path}


@settings(max_examples=200, deadline=None)
@given(st.lists(directives, min_size=1, max_size=5))
def test_provenance_covers_exactly_the_leaves_and_tells_the_truth(layers: list[object]) -> None:
    result = together(*layers)
    paths = [entry.path for entry in result.provenance]
    assert len(paths) == len(set(paths))
    assert set(paths) == leaf_paths(result.spec)
    assert resolve(result.name, stack(*layers)) == result
    for entry in result.provenance:
        value: object = result.spec
        for step in entry.path:
            value = value[step]  # type: ignore[index]
        assert entry.value == value
        number = int(entry.template[1:])
        if value not in ({}, []) and entry.how is not How.REMOVE:  # the layer named does say this value
            assert json.dumps(value) in json.dumps(layers[number])
        assert [int(one.template[1:]) for one in entry.shadowed] == sorted(
            (int(one.template[1:]) for one in entry.shadowed), reverse=True
        )
