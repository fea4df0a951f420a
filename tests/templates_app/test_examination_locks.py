"""Locks attacked and rules at the margins; written from the semantics alone, without a look at the resolver."""

from __future__ import annotations

from typing import Any

import pytest

from templates_app.sizes import SizeNotFree
from tests.templates_app.examining import (
    Written,
    at,
    last,
    opts,
    spawned,
)
from tests.templates_app.writing import codes_of, errors_of, layer

LOCKED: dict[str, Any] = {
    "size": {"memory_mb": {"request": 400, "min": 100}, "pids": 9},
    "ports": [{"name": "web", "description": "w"}],
    "services": [{"name": "db", "command": ["pg"], "environment": {"A": "1"}}],
    "engine": {"options": {"n": None, "one": 1, "zero": 0, "list": [1, [0]], "map": {"x": {"y": 1}}, "empty": {}}},
    "hooks": {"setup": [["a"], ["b"]]},
}
ATTACKS: list[tuple[str, str, Any]] = [
    ("null is deleted", "engine.options.n", opts({"n": {"$delete": True}})),
    ("null is set", "engine.options.n", opts({"n": 0})),
    ("1 becomes true", "engine.options.one", opts({"one": True})),
    ("1 becomes 1.0", "engine.options.one", opts({"one": 1.0})),
    ("0 becomes false", "engine.options.zero", opts({"zero": False})),
    ("1 becomes text", "engine.options.one", opts({"one": "1"})),
    ("true deep inside a list", "engine.options.list", opts({"list": [True, [0]]})),
    ("false deeper inside a list", "engine.options", opts({"list": [1, [False]]})),
    ("an empty map gets a field", "engine.options.empty", opts({"empty": {"x": 1}})),
    ("an empty map becomes a list", "engine.options.empty", opts({"empty": {"$replace": []}})),
    ("a locked empty map is deleted", "engine.options.empty", opts({"empty": {"$delete": True}})),
    ("the root section is deleted", "engine.options.map.x.y", {"engine": {"$delete": True}}),
    ("an ancestor is replaced", "engine.options.map.x.y", opts({"map": {"$replace": {"x": {}}}})),
    ("an ancestor becomes null", "engine.options.map.x.y", opts({"map": None})),
    ("an ancestor becomes a list", "engine.options.map.x.y", opts({"map": {"$replace": [1]}})),
    ("a keyed item's field", "services.db.environment.A", {"services": [{"name": "db", "environment": {"A": "2"}}]}),
    ("a keyed item gets a field", "services.db", {"services": [{"name": "db", "environment": {"B": "2"}}]}),
    ("the list of keyed items is deleted", "services.db", {"services": {"$delete": True}}),
    ("an element", "hooks.setup[1]", {"hooks": {"setup": {"$replace": [["a"], ["c"]]}}}),
    ("elements change places", "hooks.setup[1]", {"hooks": {"setup": {"$replace": [["b"], ["a"]]}}}),
    ("an element goes", "hooks.setup[1]", {"hooks": {"setup": {"$remove": [["a"]]}}}),
    ("the least is taken away", "size.memory_mb", {"size": {"memory_mb": {"$replace": {"request": 400}}}}),
    ("a text to be known later", "engine.options.one", opts({"one": "${P:-1}"})),
    ("an absent field appears", "size.disk_mb", {"size": {"disk_mb": 64}}),
    ("an absent section appears", "budgets", {"budgets": {}}),
]


@pytest.mark.parametrize(("final", "attack"), [case[1:] for case in ATTACKS], ids=[case[0] for case in ATTACKS])
def test_a_lock_holds_against_a_child_a_sibling_and_a_rule(final: str, attack: Any) -> None:
    low: Written = ([], LOCKED, {"final": [final]})
    assert codes_of(last, low=low, top=(["low"], attack)) == ["locked"]
    assert codes_of(last, low=low, root=([], attack), top=(["low", "root"], {}))[0] in ("locked", "type_conflict")
    assert codes_of(
        last, low=low, mid=(["low"], {}), top=(["mid"], {}, {"adapt": [{"when": "true", "set": attack}]})
    ) == ["locked"]


def test_a_lock_names_who_locked_and_who_attacked() -> None:
    low: Written = ([], {"size": {"pids": 9}}, {"final": ["size.pids"]})
    (error,) = errors_of(last, low=low, side=([], {"size": {"pids": 8}}), top=(["low", "side"], {}))
    assert (error.code, error.template, error.path) == ("locked", "side", "spec.size.pids")
    assert "low" in error.message
    below = last(side=([], {"size": {"pids": 8}}), low=low, top=(["side", "low"], {}))
    assert below.spec == {"size": {"pids": 9}}


def test_a_change_that_a_later_layer_would_undo_is_refused_all_the_same() -> None:
    low: Written = ([], {"size": {"pids": 9}}, {"final": ["size.pids"]})
    attack = {"size": {"$delete": True}}
    layers: dict[str, Written] = {"low": low, "mid": (["low"], attack), "top": (["mid"], {"size": {"pids": 9}})}
    errors = errors_of(last, **layers)
    assert {(error.code, error.template) for error in errors} == {("locked", "mid")}


@pytest.mark.parametrize(
    ("spec", "final"),
    [
        ({"size": {"pids": "${P}"}}, "size.pids"),
        ({"size": {"pids": "${P}"}}, "size"),
        (opts({"a": {"b": ["x", {"c": "${P:-1}"}]}}), "engine"),
        ({"ports": [{"name": "web", "description": "${P}"}]}, "ports.web"),
    ],
)
def test_what_is_locked_may_not_depend_on_a_variable(spec: Any, final: str) -> None:
    variables = {"P": {"type": "integer", "default": 9}}
    assert codes_of(last, low=([], spec, {"final": [final], "variables": variables})) == ["final_variable"]
    below: Written = ([], spec, {"variables": variables})
    assert codes_of(last, low=below, top=(["low"], {}, {"final": [final]})) == ["final_variable"]


def test_a_lighter_size_does_not_undercut_a_locked_one() -> None:
    lower = {"spec": {"size": {"memory_mb": {"request": 400, "min": 200}}}, "final": ["size.memory_mb"]}
    lighter = {"size": {"lighter": {"memory_mb": 64}}}
    full: dict[str, object] = {"host.free_memory_mb": 100}
    with pytest.raises(SizeNotFree):
        spawned(lighter, full, lower=lower)
    assert spawned(lighter, full).spec["size"]["memory_mb"] == 64  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("free", "granted"), [(401, 400), (400, 400), (399, 399), (101, 101), (100, 100), (99, None), (0, None), (-5, None)]
)
def test_a_request_is_cut_to_what_is_free_and_not_below_its_least(free: int, granted: int | None) -> None:
    spec = {"size": {"memory_mb": {"request": 400, "min": 100}}}
    if granted is None:
        with pytest.raises(SizeNotFree) as caught:
            spawned(spec, {"host.free_memory_mb": free})
        assert (caught.value.fault_class.value, "100" in str(caught.value)) == ("resource", True)
    else:
        found = spawned(spec, {"host.free_memory_mb": free})
        assert found.spec["size"]["memory_mb"] == granted  # type: ignore[index, call-overload]
        assert found.explain("size.memory_mb")[0].value == granted


@pytest.mark.parametrize("free", [True, "400", float("nan"), [1]])
def test_a_fact_that_is_no_number_is_an_error_and_no_grant(free: object) -> None:
    spec = {"size": {"memory_mb": {"request": 400, "min": 100}}}
    assert codes_of(spawned, spec, {"host.free_memory_mb": free})[0] in ("bad_fact", "bad_variable")


def test_a_least_above_the_request_is_refused() -> None:
    assert codes_of(spawned, {"size": {"memory_mb": {"request": 100, "min": 400}}}) == ["bad_range"]


@pytest.mark.parametrize(
    "when",
    [
        "host.gpu > 0",
        "host.cpus / 0 > 1",
        "host.cpus % 0 == 1",
        "host.cpus",
        "host.cpus > 'a'",
        "host.cpus * 9223372036854775807 > 0",
        "host.name.cpus > 1",
        "host.tiers[9] == 'x'",
        "host",
        "null",
        "int(host.name) > 1",
        "int(double('inf')) > 1",
        "int(host.cpus * 1e308 * 1e308) > 1",
        "9999999999999999999999 > 1",
        "host.cpus.all(x, true)",
        "host.tiers.exists(x, x / 0 == 1)",
    ],
)
def test_a_condition_that_has_no_answer_on_this_host_is_an_error(when: str) -> None:
    facts: dict[str, object] = {"host.cpus": 4, "host.name": "h", "host.tiers": ["bare"]}
    errors = errors_of(spawned, {}, facts, adapt=[{"when": when}])
    assert [(error.code, error.path) for error in errors] == [("bad_condition", "adapt[0].when")]


@pytest.mark.parametrize(
    "when",
    [
        "host.cpus <",
        "agent.id == 'x'",
        "TOKEN == 'x'",
        "host.tiers.all(x, host.tiers.all(y, host.tiers.all(z, true)))",
        "host.name.matches('(a+)+$')",
        "timestamp(host.name) > timestamp(host.name)",
        "!" * 900 + "true",
        "(" * 300 + "true" + ")" * 300,
        "[" * 300,
        "\\",
        "'\\xff",
        "duration('1s') > duration('1s')",
        "host.tiers.map(x, x) == []",
        "1 +" * 200 + " 1 > 0",
        "'" + "a" * 200,
        "0x > 1",
        "host.tiers.all()",
        "host.tiers.all(x)",
        "host.tiers.all(x, true, true)",
        "host.tiers.exists(1, true)",
        "host.tiers.exists(.x, true)",
        "(host.tiers + host.tiers).all(x, true)",
        "string(host.name).all(x, true)",
        "host.tiers.all(x, " + " && ".join(["x != 'b'"] * 20) + ")",
        "type(host) == map",
        "dyn(host.cpus) > 1",
        ".host.cpus.x.y.z()",
        "{'a': 1}.a == 1 && nothing",
    ],
)
def test_a_condition_that_cannot_be_bounded_or_read_is_refused_when_it_is_read(when: str) -> None:
    assert codes_of(layer, "bad", {}, adapt=[{"when": when}]) == ["bad_condition"]


def test_rules_apply_in_order_over_all_templates_and_set_no_locks() -> None:
    lower = {"adapt": [{"when": "host.cpus < 8", "set": {"size": {"pids": 11}, "packages": ["low"]}}]}
    own = [
        {"when": "host.cpus < 8", "set": {"size": {"pids": 12}}},
        {"when": "host.cpus > 8", "set": {"size": {"pids": 13}}},
        {"when": "has(host.gpu) && host.gpu > 0", "set": {"size": {"pids": 14}}},
    ]
    found = spawned({"size": {"pids": 10}, "packages": ["own"]}, {"host.cpus": 4}, lower=lower, adapt=own)
    assert found.spec["size"]["pids"] == 12  # type: ignore[index, call-overload]
    assert found.spec["packages"] == ["own", "low"]
    assert [rule.holds for rule in found.adapted] == [True, True, False, False]
    (entry,) = found.explain("size.pids")
    assert (entry.template, entry.how) == ("own", "adapt")
    assert [(one.value, one.template) for one in entry.shadowed[:2]] == [(11, "low"), (10, "own")]
    for rule in ({"when": "true", "final": ["size"]}, {"when": "true", "set": {"final": ["size"]}}):
        assert codes_of(layer, "bad", {}, adapt=[rule]) == ["unknown_field"]


@pytest.mark.parametrize(
    "facts",
    [
        {"host.tiers": ["x"] * 300},
        {"host.disks": {"list": ["x"] * 300}},
        {"host.name": "x" * 300},
        {f"host.f{one}": one for one in range(300)},
        {"host." + ".".join("a" * 3000): 1},
        {"host.a": 1, "host.a.b": 2},
    ],
    ids=["a list", "a list in a map", "a text", "many", "deep", "a value and a map"],
)
def test_facts_over_which_a_condition_would_run_long_are_refused(facts: dict[str, object]) -> None:
    assert codes_of(spawned, {}, facts, adapt=[{"when": "true"}]) == ["bad_fact"]


def test_an_enum_knows_a_map_in_any_order() -> None:
    declaration = {"type": "map", "enum": [{"a": 1, "b": 2}]}
    found = spawned(opts({"v": "${V}"}), {"V": {"b": 2, "a": 1}}, variables={"V": declaration})
    assert at(found.spec, "engine.options.v") == {"a": 1, "b": 2}
