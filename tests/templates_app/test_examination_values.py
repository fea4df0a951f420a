"""Tricky variables and secrets; written from the semantics alone, without a look at the resolver."""

from __future__ import annotations

import json
from typing import Any

import pytest

from events.faults import Fault
from templates_app.variables import MASK
from tests.templates_app.examining import (
    Written,
    at,
    canonical,
    last,
    opts,
    said,
    spawned,
)
from tests.templates_app.writing import codes_of, errors_of, layer

X: dict[str, object] = {"A": "a", "E": "", "N": 5, "F": False, "Z": 0, "L": [1, {"k": "${A}"}], "M": {"${A}": "$$"}}
TEXTS: list[tuple[str, Any]] = [
    ("${A}", "a"),
    ("${N}", 5),
    ("${F}", False),
    (" ${N}", " 5"),
    ("${N}${N}", "55"),
    ("${F}!", "false!"),
    ("${L}", [1, {"k": "${A}"}]),
    ("${M}", {"${A}": "$$"}),
    ("${U:-d}", "d"),
    ("${E:-d}", "d"),
    ("${E-d}", ""),
    ("${U-d}", "d"),
    ("${Z:-d}", 0),
    ("${F:-d}", False),
    ("${A:+alt}", "alt"),
    ("${E:+alt}", ""),
    ("${U:+alt}", ""),
    ("${E+alt}", "alt"),
    ("${Z:+alt}", "alt"),
    ("${U:+${V}}", ""),
    ("${A:-${V}}", "a"),
    ("${U:-${E:-${V-deep}}}", "deep"),
    ("${U:-${N}}", 5),
    ("${U:-<${N}>}", "<5>"),
    ("${U:-}}", "}"),
    ("${U:-a}b}", "ab}"),
    ("${U:-a b:c?d+e-f}", "a b:c?d+e-f"),
    ("${U:-$$}", "$"),
    ("$${A}", "${A}"),
    ("$$${A}", "$a"),
    ("$$$${A}", "$${A}"),
    ("${U:-$${A}}", "${A}"),
    ("${A:?needed}", "a"),
    ("${U:-{}}", "{}"),
    ("${A:+x${N}y${A}}", "x5ya"),
    ("{${A}}", "{a}"),
    ("$A ${A} $(A) `A`", "$A a $(A) `A`"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_the_grammar_is_that_of_the_shell(text: str, expected: Any) -> None:
    found = spawned(opts({"v": text}), X)
    assert canonical(at(found.spec, "engine.options.v")) == canonical(expected)


@pytest.mark.parametrize(
    "text",
    [
        "${}",
        "${A",
        "${ A }",
        "${1x}",
        "${A:}",
        "${A:=x}",
        "${A=x}",
        "${A!}",
        "${!A}",
        "${A[0]}",
        "${A.}",
        "${.A}",
        "${A:-${B}",
        "${A()}",
        "${#A}",
        "${A/x/y}",
        "x${",
        "${A\n}",
        "${A:-$",
        "${A%x}",
    ],
)
def test_what_the_grammar_does_not_know_is_refused_when_it_is_read(text: str) -> None:
    assert codes_of(layer, "bad", opts({"v": text})) == ["bad_substitution"]


@pytest.mark.parametrize("text", ["a${L}", "${M} ", "${U:-x${L}}", "${A:+${M}!}"])
def test_a_collection_inside_text_is_refused(text: str) -> None:
    assert codes_of(spawned, opts({"v": text}), X) == ["embedded_collection"]


def test_a_variable_is_bound_late_by_whoever_is_nearest() -> None:
    spec = {"labels": {"v": "${V}"}}
    low: Written = ([], spec, {"variables": {"V": {"default": "low-${W}"}, "W": {"default": "lw"}}})
    assert last(low=low).spec == {"labels": {"v": "low-lw"}}
    assert last(low=low, t=(["low"], {}, {"variables": {"W": {"default": "tw"}}})).spec == {"labels": {"v": "low-tw"}}
    side: Written = ([], {}, {"variables": {"V": {"default": "side"}}})
    assert last(low=low, side=side, t=(["low", "side"], {})).spec == {"labels": {"v": "side"}}
    assert last(low=low, side=side, t=(["side", "low"], {})).spec == {"labels": {"v": "low-lw"}}


@pytest.mark.parametrize(
    ("given", "rules", "nearest", "expected"),
    [
        ({"V": "given"}, True, True, "given"),
        ({}, True, True, "rule2"),
        ({}, False, True, "near"),
        ({}, False, False, "far"),
        ({"V": ""}, True, True, ""),
    ],
)
def test_precedence(given: dict[str, object], rules: bool, nearest: bool, expected: str) -> None:
    said = [{"when": "true", "variables": {"V": "rule1"}}, {"when": "true", "variables": {"V": "rule2"}}]
    lower = {"variables": {"V": {"default": "far"}}, "adapt": said if rules else []}
    own = {"variables": {"V": {"default": "near"}}} if nearest else {}
    assert spawned({"labels": {"v": "${V}"}}, given, lower=lower, **own).spec["labels"]["v"] == expected  # type: ignore


def test_a_cycle_names_its_path_and_all_undefined_names_come_at_once() -> None:
    cycle = {"A": {"default": "${B}"}, "B": {"default": "x${C:-1}"}, "C": {"default": "${A}"}}
    (error,) = errors_of(spawned, {"labels": {"v": "${B}"}}, variables=cycle)
    assert error.code == "variable_cycle"
    assert "B → C → A → B" in error.message or "A → B → C → A" in error.message
    lower = {"spec": {"labels": {"low": "${agent.nam}"}}}
    spec = {"labels": {"one": "${REGOIN}${agent.idd}", "two": "${U:?say where}"}}
    errors = errors_of(
        spawned, spec, {"agent.name": "a", "agent.id": "1"}, lower=lower, variables={"REGION": {"default": "x"}}
    )
    assert {error.code for error in errors} == {"undefined_variable"}
    assert [(error.template, error.path) for error in errors] == [
        ("low", "spec.labels.low"),
        ("own", "spec.labels.one"),
        ("own", "spec.labels.one"),
        ("own", "spec.labels.two"),
    ]
    text = " ".join(map(str, errors))
    assert [word for word in ("agent.name", "REGION", "agent.id", "say where") if word not in text] == []
    assert all(error.line == 1 and error.file for error in errors)


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ({"type": "integer"}, "5"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 5.0),
        ({"type": "number"}, False),
        ({"type": "boolean"}, 1),
        ({"type": "string"}, 5),
        ({"type": "list"}, {}),
        ({"type": "map"}, []),
        ({"enum": ["a"]}, "b"),
        ({"type": "integer", "enum": [1]}, True),
        ({"pattern": "a+"}, "ab"),
        ({"pattern": "a+"}, "a\n"),
        ({"pattern": "a|b"}, "ax"),
        ({}, float("nan")),
        ({"type": "list"}, [float("inf")]),
        ({"type": "list"}, ["\ud800"]),
    ],
)
def test_a_value_that_does_not_fit_its_declaration_is_refused(declaration: Any, value: Any) -> None:
    assert codes_of(spawned, {}, {"V": value}, variables={"V": declaration}) == ["bad_variable"]


def test_a_nearer_declaration_can_narrow_what_a_farther_default_must_fit() -> None:
    lower = {"variables": {"V": {"default": "a", "enum": ["a", "b"]}}, "spec": {"labels": {"v": "${V}"}}}
    assert codes_of(spawned, {}, lower=lower, variables={"V": {"enum": ["b"]}}) == ["bad_variable"]
    assert codes_of(spawned, {}, lower={"variables": {"V": {"required": True}}}) == ["required_variable"]


SECRET = "hunter2-s3cr3t"
SECRET_PLACES: list[tuple[str, Any, dict[str, Any]]] = [
    ("whole", "${TOKEN}", {}),
    ("embedded", "x${TOKEN}y", {}),
    ("in a default", "${U:-${TOKEN}}", {}),
    ("in an alternative", "${TOKEN:+${TOKEN}}", {}),
    ("through another variable", "${V}", {"V": {"default": "a${TOKEN}"}}),
    ("through two", "${W}!", {"V": {"default": "a${TOKEN}"}, "W": {"default": "${V}"}}),
    ("through a list", "${V}", {"V": {"type": "list", "default": ["a", "${TOKEN}"]}}),
    ("through a map", "${V}", {"V": {"type": "map", "default": {"a": {"b": "x${TOKEN}"}}}}),
]


@pytest.mark.parametrize(
    ("text", "variables"), [case[1:] for case in SECRET_PLACES], ids=[case[0] for case in SECRET_PLACES]
)
def test_a_secret_shows_nowhere_but_in_the_spec(text: str, variables: dict[str, Any]) -> None:
    lower = {"variables": {"TOKEN": {"secret": True}}}
    found = spawned(opts({"v": [text]}), {"TOKEN": SECRET}, lower=lower, variables={"TOKEN": {}, **variables})
    assert SECRET in json.dumps(found.spec)
    assert MASK in json.dumps(found.preview, ensure_ascii=False)
    shown = (
        f"{found!r} {found.preview} {found.provenance} {[str(entry) for entry in found.provenance]} {found.warnings}"
    )
    assert SECRET not in shown
    assert found.digest == spawned(opts({"v": [text]}), {"TOKEN": "o"}, lower=lower, variables=variables).digest


@pytest.mark.parametrize(
    ("spec", "variables"),
    [
        ({"size": {"pids": "${TOKEN}"}}, {}),
        ({"isolation": {"min": "${TOKEN}"}}, {}),
        ({"log_level": "x${TOKEN}"}, {}),
        ({"labels": {"v": "${U:?${TOKEN}}"}}, {}),
        ({"labels": {"v": "${U:?no ${V}}"}}, {"V": {"default": "<${TOKEN}>"}}),
        ({"labels": {"v": "${V}"}}, {"V": {"type": "integer", "default": "${TOKEN}"}}),
        ({"labels": {"v": "${V}"}}, {"V": {"enum": ["a"], "default": "${TOKEN}"}}),
        ({"labels": {"v": "${V}"}}, {"V": {"pattern": "a", "default": "${TOKEN}"}}),
        ({"labels": {"v": "x${V}"}}, {"V": {"type": "list", "default": ["${TOKEN}"]}}),
        ({}, {"TOKEN": {"secret": True, "enum": ["a"]}}),
        ({}, {"TOKEN": {"secret": True, "pattern": "a"}}),
        ({"size": "${V}"}, {"V": {"type": "map", "default": {"pids": "${TOKEN}", "x": 1}}}),
        ({"packages": ["${TOKEN}", "${TOKEN}\n;"]}, {}),
        ({"tests": {"command": "${TOKEN}"}}, {}),
    ],
)
def test_no_error_shows_a_secret(spec: Any, variables: dict[str, Any]) -> None:
    with pytest.raises(Fault) as caught:
        spawned(spec, {"TOKEN": SECRET}, variables={"TOKEN": {"secret": True}, **variables})
    assert SECRET not in said(caught.value)


def test_what_is_given_is_data_whatever_it_looks_like() -> None:
    value: dict[str, object] = {"$delete": True, "${A}": "${A}", "$$x": ["$${A}", {"$replace": 1}], "name": "x"}
    found = spawned(opts({"v": "${V}", "w": "${W}"}), {"V": value, "W": "${V}", "A": "boo"})
    assert at(found.spec, "engine.options") == {"v": value, "w": "${V}"}
    chained = spawned(opts({"v": "${B}"}), {"V": "${A}", "A": "boo"}, variables={"B": {"default": "<${V}>"}})
    assert at(chained.spec, "engine.options.v") == "<${A}>"
    keys = spawned({"labels": {"x": "1"}, **opts({"$${A}": "${A}"})}, {"A": "a"})
    assert at(keys.spec, "engine.options") == {"${A}": "a"}
