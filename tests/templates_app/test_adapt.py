"""Rules for the host at hand, and sizes cut to what is free there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.faults import FaultClass
from templates_app.faults import TemplateFault
from templates_app.library import load
from templates_app.nodes import How
from templates_app.resolve import Resolved, resolve
from templates_app.sizes import SizeNotFree
from tests.templates_app.writing import codes_of, errors_of, layer, spawn

FREE = {"host.free_memory_mb": 4000, "host.free_cpu_millis": 4000, "host.free_disk_mb": 4000}


def rule(when: str, **what: Any) -> dict[str, Any]:
    return {"when": when, **what}


def sized(*specs: dict[str, Any], **free: int) -> Resolved:
    """Layers of ``size`` over base, on a host where that much is free."""
    documents = dict(load())
    for index, size in enumerate(specs):
        name = f"s{index}"
        documents[name] = layer(name, {"size": size}, extends=[f"s{index - 1}" if index else "base"], abstract=False)
    facts = {**FREE, **{f"host.free_{field}": value for field, value in free.items()}}
    return resolve(f"s{len(specs) - 1}", documents, variables=facts)


def test_a_rule_applies_where_its_condition_holds_and_is_named_in_the_provenance() -> None:
    adapt = [rule("host.cpus < 4", set={"size": {"pids": 99}}), rule("host.cpus >= 4", set={"size": {"pids": 999}})]
    result = spawn({"size": {"pids": 500}}, given={"host.cpus": 2}, adapt=adapt)
    entry = result.explain("size.pids")[0]
    assert (entry.value, entry.how, entry.template) == (99, How.ADAPT, "mine")
    assert [one.value for one in entry.shadowed] == [500, 256]
    assert [(one.index, one.holds) for one in result.adapted] == [(0, True), (1, False)]


def test_rules_are_layers_later_over_earlier_and_over_every_template() -> None:
    below = layer("below", {"packages": ["a"]}, adapt=[rule("true", set={"packages": ["x"], "size": {"pids": 50}})])
    above = layer(
        "above",
        {"packages": ["b"], "size": {"pids": 60}},
        extends=["base", "below"],
        adapt=[rule("true", set={"packages": {"$remove": ["a"]}}), rule("true", set={"size": {"pids": 70}})],
        abstract=False,
    )
    spec: Any = resolve("above", {**load(), "below": below, "above": above}, variables={}).spec
    assert spec["packages"] == ["b", "x"]
    assert spec["size"]["pids"] == 70
    alone: Any = resolve("low", {**load(), "below": below, "low": layer("low", {"size": {"pids": 60}},
                         extends=["base", "below"], abstract=False)}, variables={}).spec  # fmt: skip
    assert alone["size"]["pids"] == 50  # adaptation of a farther template is over the nearest template


def test_before_the_host_is_known_no_rule_applies_and_each_is_tried() -> None:
    good = layer("t", {"packages": ["a"]}, adapt=[rule("host.cpus < 4", set={"packages": ["b"]})])
    result = resolve("t", {"t": good})
    assert (result.spec, [one.holds for one in result.adapted]) == ({"packages": ["a"]}, [None])
    options = {"engine": {"options": {"a": [1]}}}
    clash = layer("t", options, adapt=[rule("host.cpus > 99", set={"engine": {"options": {"a": {"b": 1}}}})])
    assert codes_of(resolve, "t", {"t": clash}) == ["type_conflict"]


@pytest.mark.parametrize(
    ("when", "facts", "expected"),
    [
        ("host.cpus < 4 && 'container' in host.tiers", {"host.cpus": 2, "host.tiers": ["container"]}, True),
        ("host.free.memory_mb > 100", {"host.free.memory_mb": 100}, False),
        ("has(host.gpu)", {"host.cpus": 1}, False),
        ("has(host.gpu) && host.gpu", {"host.gpu": True}, True),
        ("host.tiers.exists(t, t == 'process')", {"host.tiers": ["process"]}, True),
        ("!(host.name.startsWith('big'))", {"host.name": "small-1"}, True),
        ("size(host.tiers) == 0", {"host.tiers": []}, True),
        ("host.load > 0.5 ? true : false", {"host.load": 0.75}, True),
    ],
)
def test_conditions_are_cel_over_the_facts_of_the_host(when: str, facts: dict[str, object], expected: bool) -> None:
    assert spawn({}, given=facts, adapt=[rule(when)]).adapted[0].holds is expected


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("host.cpus <", "does not read"),
        ("agent.id == 'x'", "knows only host"),
        ("TOKEN == 'x'", "knows only host"),
        ("host.name.matches('(a+)+$')", "no function matches()"),
        ("timestamp('2026-01-01T00:00:00Z') < timestamp('2027-01-01T00:00:00Z')", "no function timestamp()"),
        ("[1].all(a, [1].all(b, a == b))", "inside another"),
        ("[1].map(a, a) == [1]", "no function map()"),
        ("(" * 300 + "true" + ")" * 300, "nested deeper"),
        ("!" * 900 + "true", "too many parts"),
        ("&&".join(["true"] * 160), "too many parts"),
        ("${agent.id} == 1", "does not read"),
    ],
)
def test_a_condition_that_cannot_be_read_or_could_run_long_is_refused_when_written(when: str, words: str) -> None:
    error = errors_of(layer, "t", adapt=[rule(when)])[0]
    assert (error.code, error.path) == ("bad_condition", "adapt[0].when")
    assert words in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("host.cpu < 4", "there is no fact host.cpu. Did you mean 'cpus'?"),
        ("host.gpu", "Ask has(host.gpu) first."),
        ("host.cpus", "neither true nor false"),
        ("host.cpus < 'a'", "different kinds"),
        ("1 / (host.cpus - 2) == 1", "zero"),
    ],
)
def test_a_condition_that_fails_on_a_host_is_an_error_with_its_place(when: str, words: str) -> None:
    error = errors_of(spawn, {}, given={"host.cpus": 2}, adapt=[rule(when)])[0]
    assert (error.code, error.path, error.template) == ("bad_condition", "adapt[0].when", "mine")
    assert words in error.message


@settings(deadline=None)
@given(st.text(st.sampled_from("host.cpus<4&|!()[]{}'\" ?:+-*/%,aintrue\\\n"), max_size=40))
def test_any_condition_reads_or_is_refused_by_a_typed_fault(when: str) -> None:
    codes: tuple[str, ...] = ()
    try:
        one = layer("mine", extends=["base"], abstract=False, adapt=[rule(when)])
        assert resolve("mine", {**load(), "mine": one}, variables={"host.cpus": 2}).adapted[0].holds in (True, False)
    except TemplateFault as fault:
        codes = fault.codes
    assert set(codes) <= {"bad_condition", "bad_value"}


def test_the_facts_are_all_that_a_condition_can_reach() -> None:
    facts = {"host.cpus": 2, "agent.id": "x", "TOKEN": "hunter2"}
    error = errors_of(spawn, {}, given=facts, variables={"TOKEN": {"secret": True}}, adapt=[rule("host.TOKEN == 'x'")])
    assert "no fact host.TOKEN" in error[0].message
    assert "hunter2" not in str(error)


def test_a_rule_may_not_change_what_is_final_by_any_means() -> None:
    for change in ({"min": "bare"}, {"$delete": True}, {"$replace": {"image": "x"}}, {"min": "${X:-bare}"}):
        locked = layer("t", {"isolation": {"min": "container"}}, extends=["base"], final=["isolation.min"],
                       adapt=[rule("true", set={"isolation": change})], abstract=False)  # fmt: skip
        for given_values in (None, {"host.cpus": 1}):
            errors = errors_of(resolve, "t", {**load(), "t": locked}, variables=given_values)
            assert "locked" in [error.code for error in errors]
            assert errors[0].path.startswith("adapt[0].set")


def test_a_rule_is_checked_like_any_layer() -> None:
    wrong = [
        rule("true", set={"packges": []}),
        rule("true", set={"size": {"pids": "many"}}),
        rule("true", set={"ports": [{"name": "a"}, {"name": "a"}]}),
        rule("true", set={"packages": {"$append": ["x"], "more": 1}}),
    ]
    codes = ["unknown_field", "type_mismatch", "duplicate_item", "bad_directive"]
    assert codes_of(layer, "t", adapt=wrong) == codes
    assert codes_of(layer, "t", adapt=[{"set": {}}]) == ["missing_field"]
    assert codes_of(layer, "t", adapt=[rule("true", sets={})]) == ["unknown_field"]
    assert codes_of(layer, "t", adapt=[rule("true", variables={"agent.id": "x"})]) == ["reserved_variable"]


def test_precedence_is_given_then_adaptation_then_nearest_then_farther() -> None:
    far = layer("far", {"labels": {"v": "${V}"}}, variables={"V": {"default": "far"}},
                adapt=[rule("host.cpus == 1", variables={"V": "adapted"})])  # fmt: skip
    near = layer("near", extends=["base", "far"], variables={"V": {"default": "near"}}, abstract=False)
    documents = {**load(), "far": far, "near": near}

    def value(**facts: object) -> object:
        spec: Any = resolve(
            "near", documents, variables={name.replace("__", "."): one for name, one in facts.items()}
        ).spec
        return spec["labels"]["v"]

    assert value(host__cpus=2) == "near"
    assert value(host__cpus=1) == "adapted"
    assert value(host__cpus=1, V="given") == "given"


def test_a_rule_can_only_give_a_variable_that_is_declared_and_not_a_secret() -> None:
    assert codes_of(spawn, {}, adapt=[rule("true", variables={"NOPE": 1})]) == ["undeclared_variable"]
    secret = {"S": {"secret": True}}
    errors = errors_of(spawn, {}, adapt=[rule("true", variables={"S": "hunter2"})], variables=secret)
    assert [error.code for error in errors] == ["secret_in_template"]
    assert "hunter2" not in str(errors)


@pytest.mark.parametrize(("free", "granted"), [(5000, 2000), (2000, 2000), (1999, 1999), (501, 501), (500, 500)])
def test_a_range_is_cut_to_what_is_free_down_to_its_least(free: int, granted: int) -> None:
    result = sized({"memory_mb": {"request": 2000, "min": 500}}, memory_mb=free)
    assert result.spec["size"]["memory_mb"] == granted  # type: ignore
    grant = next(one for one in result.sizes if one.field == "memory_mb")
    assert (grant.request, grant.least, grant.granted) == (2000, 500, granted)
    assert result.explain("size.memory_mb")[0].how is (How.SET if granted == 2000 else How.ADAPT)
    assert [str(entry.path[-1]) for entry in result.explain("size")] == ["memory_mb", "cpu_millis", "disk_mb", "pids"]


@pytest.mark.parametrize("free", [499, 0, -5])
def test_below_the_least_is_a_resource_fault_with_the_figures(free: int) -> None:
    with pytest.raises(SizeNotFree, match=f"memory_mb needs 500, {free} is free") as caught:
        sized({"memory_mb": {"request": 2000, "min": 500}}, memory_mb=free)
    assert caught.value.fault_class is FaultClass.RESOURCE
    assert caught.value.as_dict()["facts"]["needs"] == {"memory_mb": {"request": 2000, "min": 500, "free": free}}


def test_a_plain_number_is_a_range_of_one() -> None:
    assert sized({"memory_mb": 700}, memory_mb=700).spec["size"]["memory_mb"] == 700  # type: ignore
    with pytest.raises(SizeNotFree):
        sized({"memory_mb": 700}, memory_mb=699)


def test_without_facts_the_request_is_granted() -> None:
    spec = {"size": {"memory_mb": {"request": 2000, "min": 500}}}
    assert spawn(spec).spec["size"]["memory_mb"] == 2000  # type: ignore
    assert resolve("t", {"t": layer("t", spec)}).spec["size"] == {"memory_mb": 2000}


def test_ranges_merge_and_a_number_takes_the_place_of_a_whole_range() -> None:
    wide = {"memory_mb": {"request": 2000, "min": 500}}
    assert sized(wide, {"memory_mb": {"min": 100}}, memory_mb=100).spec["size"]["memory_mb"] == 100  # type: ignore
    assert sized(wide, {"memory_mb": {"request": 900}}).spec["size"]["memory_mb"] == 900  # type: ignore
    assert sized({"memory_mb": 900}, {"memory_mb": {"min": 100}}, memory_mb=200).spec["size"]["memory_mb"] == 200  # type: ignore
    with pytest.raises(SizeNotFree):
        sized(wide, {"memory_mb": 900}, memory_mb=899)


def test_a_range_that_is_upside_down_or_incomplete_is_refused() -> None:
    errors = errors_of(sized, {"memory_mb": {"request": 500, "min": 501}})
    assert [(error.code, error.path) for error in errors] == [("bad_range", "spec.size.memory_mb.min")]
    lonely = layer("t", {"size": {"memory_mb": {"min": 20}}}, abstract=False)
    assert "missing_field" in codes_of(resolve, "t", {"t": lonely})
    assert codes_of(layer, "t", {"size": {"memory_mb": {"request": 20, "most": 30}}}) == ["unknown_field"]
    assert codes_of(layer, "t", {"size": {"memory_mb": [20]}}) == ["type_mismatch"]
    assert codes_of(spawn, {}, given={"host.free_memory_mb": "much"}) == ["bad_fact"]


def test_the_lighter_size_is_taken_where_not_even_the_least_is_free_and_it_fits() -> None:
    size = {"memory_mb": {"request": 2000, "min": 1000}, "lighter": {"memory_mb": 300, "cpu_millis": 100}}
    result = sized(size, memory_mb=300)
    assert result.spec["size"]["memory_mb"] == 300  # type: ignore
    assert result.spec["size"]["cpu_millis"] == 100  # type: ignore
    assert [one.field for one in result.sizes if one.lighter] == ["memory_mb", "cpu_millis"]
    assert result.explain("size.memory_mb")[0].shadowed[0].value == 2000
    assert sized(size, memory_mb=1000).spec["size"]["cpu_millis"] == 500  # type: ignore
    with pytest.raises(SizeNotFree):
        sized(size, memory_mb=299)


def test_a_lighter_size_does_not_undercut_a_final_one() -> None:
    locked = layer("locked", {"size": {"memory_mb": 1000}}, extends=["base"], final=["size.memory_mb"])
    light = layer("light", {"size": {"lighter": {"memory_mb": 100}}}, extends=["locked"], abstract=False)
    documents = {**load(), "locked": locked, "light": light}
    assert resolve("light", documents, variables=FREE).spec["size"]["memory_mb"] == 1000  # type: ignore
    with pytest.raises(SizeNotFree):
        resolve("light", documents, variables={**FREE, "host.free_memory_mb": 999})


def test_sizes_may_come_from_variables() -> None:
    spec = {"size": {"memory_mb": {"request": "${MB}", "min": "${LEAST:-64}"}}}
    variables = {"MB": {"type": "integer", "default": 800}, "LEAST": {"type": "integer"}}
    given_values = {**FREE, "host.free_memory_mb": 70}
    assert spawn(spec, variables=variables, given=given_values).spec["size"]["memory_mb"] == 70  # type: ignore
    assert codes_of(spawn, spec, given={"MB": "x", "LEAST": 1}) == ["bad_value", "type_mismatch"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"host.free": 1, "host.free.memory_mb": 2}, "bad_fact"),
        ({"host.list": list(range(257))}, "bad_fact"),
        ({"host.big": 2**70}, "bad_condition"),
    ],
)
def test_facts_that_cannot_be_compared_are_a_typed_fault(facts: dict[str, object], code: str) -> None:
    assert codes_of(spawn, {}, given=facts, adapt=[rule("true")]) == [code]
