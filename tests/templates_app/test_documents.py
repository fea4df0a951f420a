"""One layer alone: its envelope, and everything that is wrong with it at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates_app.documents import Parent, parse
from templates_app.faults import Located, TemplateFault
from templates_app.resolve import resolve
from tests.templates_app.writing import codes_of, errors_of, layer, stack

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: t\nversion: 1.0.0\n"


def test_all_errors_of_a_layer_are_collected_with_their_places() -> None:
    text = HEAD + "spec:\n  size:\n    memory: 5\n    pids: many\n"
    text += "  ports:\n    - name: a\n    - name: a\n  packages: x\n"
    found = [(error.code, error.path, error.line, error.column) for error in errors_of(parse, text, file="t.yaml")]
    assert found == [
        ("unknown_field", "spec.size.memory", 7, 5),
        ("type_mismatch", "spec.size.pids", 8, 5),
        ("duplicate_item", "spec.ports[1]", 11, 7),
        ("type_mismatch", "spec.packages", 12, 3),
    ]


def test_an_unknown_field_comes_with_a_suggestion() -> None:
    error = errors_of(parse, HEAD + "spec:\n  packges: [x]\n", file="t.yaml")[0]
    assert error.hint == "Did you mean 'packages'?"
    assert (error.template, error.version, error.file) == ("t", "1.0.0", "t.yaml")
    envelope = errors_of(parse, HEAD + "extend: base\n", file="t.yaml")[0]
    assert (envelope.code, envelope.hint, envelope.line) == ("unknown_field", "Did you mean 'extends'?", 5)


@pytest.mark.parametrize(
    "line", ["version: 1.0", "version: v1.0.0", "name: Big", 'name: "t\\n"', "kind: Pod", "apiVersion: v1"]
)
def test_a_wrong_envelope_is_refused(line: str) -> None:
    key = line.split(":")[0]
    head = "".join(one + "\n" for one in HEAD.splitlines() if not one.startswith(f"{key}:"))
    assert [error.path for error in errors_of(parse, head + line)] == [key]


def test_parents_may_ask_for_a_version() -> None:
    assert layer("t", extends=["a", "b@2", "c@1.2.3"]).extends == (
        Parent("a"),
        Parent("b", "2"),
        Parent("c", "1.2.3"),
    )
    assert parse(HEAD + "extends: base\n").extends == (Parent("base"),)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"packages": {"$apend": ["x"]}}, "bad_directive"),
        ({"packages": {"$append": ["x"], "$remove": ["y"]}}, "bad_directive"),
        ({"packages": {"$append": ["x"], "other": 1}}, "bad_directive"),
        ({"packages": {"$append": "x"}}, "bad_directive"),
        ({"packages": {"$delete": False}}, "bad_directive"),
        ({"size": {"$append": [1]}}, "bad_directive"),
        ({"size": {"memory_mb": {"$append": [1]}}}, "bad_directive"),
        ({"packages": {"$replace": {"$append": ["x"]}}}, "bad_directive"),
        ({"packages": [{"$delete": True}]}, "bad_directive"),
        ({"ports": [{"name": "a", "$delete": True, "description": "x"}]}, "bad_directive"),
        ({"ports": [{"description": "x"}]}, "missing_merge_key"),
        ({"ports": ["a"]}, "missing_merge_key"),
        ({"ports": [{"name": "${x}"}]}, "missing_merge_key"),
        ({"$delete": True}, "bad_directive"),
        ("${a}", "type_mismatch"),
        ({"size": {"pids": None}}, "type_mismatch"),
        ({"size": {"pids": True}}, "type_mismatch"),
        ({"size": {"pids": 64.0}}, "type_mismatch"),
        ({"size": {"pids": {}}}, "type_mismatch"),
        ({"size": 5}, "type_mismatch"),
        ({"size": {"pids": 1}}, "bad_value"),
        ({"isolation": {"min": "none"}}, "bad_value"),
        ({"environment": {"A-B": "x"}}, "bad_value"),
        ({"environment": {"A\n": "x"}}, "bad_value"),
        ({"packages": ["--index-url=x"]}, "bad_value"),
        ({"packages": ["x\n"]}, "bad_value"),
        ({"capabilities": ["flying"]}, "bad_value"),
        ({"environment": {"A": "${"}}, "bad_substitution"),
        ({"environment": {"A": "${a b}"}}, "bad_substitution"),
        ({"environment": {"A": "${a:=b}"}}, "bad_substitution"),
        ({"environment": {"A": "${a:-" * 30 + "}" * 30}}, "bad_substitution"),
        ({"engine": {"options": {"$$a": 1, "$a": 1}}}, "bad_directive"),
    ],
)
def test_a_wrong_layer_is_refused(spec: object, code: str) -> None:
    assert codes_of(layer, "t", spec) == [code]


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ({"agent.id": {}}, "reserved_variable"),
        ({"A": {"secret": True, "type": "integer"}}, "bad_variable"),
        ({"A": {"pattern": "("}}, "bad_variable"),
        ({"A": {"kind": "string"}}, "unknown_field"),
        ({"a-b": {}}, "bad_value"),
    ],
)
def test_a_wrong_declaration_is_refused(declaration: object, code: str) -> None:
    assert codes_of(layer, "t", variables=declaration) == [code]


def test_the_digest_is_of_the_content_not_of_its_layout() -> None:
    spaced = parse(HEAD + "\n# a comment\nspec:   {packages: [x]}\n")
    tight = parse("version: 1.0.0\nname: t\nkind: Template\napiVersion: moorage/v1\nspec:\n  packages:\n  - x\n")
    assert spaced.digest == tight.digest
    assert spaced.digest != parse(HEAD + "spec: {packages: [y]}\n").digest


yaml_like = st.text(st.sampled_from("ab:- \n{}[],&*!|>'\"#%@`?$0~.<\t\\/"), max_size=60)


@settings(max_examples=300, deadline=None)
@given(yaml_like | st.text(max_size=40) | st.binary(max_size=60))
def test_hostile_text_is_refused_by_a_typed_fault_and_nothing_else(text: str | bytes) -> None:
    head = HEAD + "spec:\n  engine:\n    options:\n      x: "
    for content in (text, head + text if isinstance(text, str) else head.encode() + text):
        document, errors = attempt(partial(parse, content, file="t.yaml"))
        assert errors or document is not None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "${", "${a}", "$delete", "name"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["$delete", "$append", "$remove", "$replace", "$$x", "name", "size", "ports", "pids", "setup"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
fields = st.sampled_from(["ports", "packages", "size", "hooks", "engine", "environment", "services", "tests", "labels"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(fields, json_like, max_size=3), min_size=1, max_size=3))
def test_hostile_layers_resolve_or_are_refused_by_a_typed_fault(specs: list[object]) -> None:
    _, errors = attempt(lambda: resolve(f"l{len(specs) - 1}", stack(*specs)))
    assert all(error.code and error.message and error.file for error in errors)


@settings(deadline=None)
@given(json_like, fields)
def test_hostile_envelopes_are_refused_by_a_typed_fault(value: object, field: str) -> None:
    keys = ("name", "version", "extends", "final", "variables", "labels", "abstract", "spec", "description", field)
    for key in keys:
        content = {"apiVersion": "moorage/v1", "kind": "Template", "name": "t", "version": "1.0.0", key: value}
        document, errors = attempt(partial(parse, json.dumps(content), file="t.yaml"))
        assert document is not None or errors[0].file == "t.yaml"


def attempt(action: Callable[[], object]) -> tuple[object, tuple[Located, ...]]:
    """What a call returns, or the located errors of its fault; any other exception is a failure of the test."""
    try:
        return action(), ()
    except TemplateFault as fault:
        return None, fault.errors
