"""``${…}`` in templates: what it may do, and what it may never do."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates_app.library import load
from templates_app.resolve import resolve
from templates_app.substitution import syntax_problem
from templates_app.variables import MASK
from tests.templates_app.writing import codes_of, errors_of, layer, options, spawn, together


def text(template: object, *, variables: Any = None, **given: object) -> Any:
    """What a template's value becomes in ``engine.options``, where every kind of value is allowed."""
    flat = {name.replace("__", "."): value for name, value in given.items()}
    spec = {"engine": {"options": {"v": template}}}
    return spawn(spec, given=flat, variables=variables or {}).spec["engine"]["options"]["v"]  # type: ignore


@pytest.mark.parametrize(
    ("template", "unset", "empty", "full"),
    [
        ("<${X:-d}>", "<d>", "<d>", "<f>"),
        ("<${X-d}>", "<d>", "<>", "<f>"),
        ("<${X:+a}>", "<>", "<>", "<a>"),
        ("<${X+a}>", "<>", "<a>", "<a>"),
        ("<${X:-}>", "<>", "<>", "<f>"),
        ("<${X:-${Y:-${Z-z}}}>", "<z>", "<z>", "<f>"),
        ("<${X:-a${Y-b}c}>", "<abc>", "<abc>", "<f>"),
        ("<${X:-${Y}}>", None, None, "<f>"),
        ("<${X:?say it}>", None, None, "<f>"),
        ("<${X?say it}>", None, "<>", "<f>"),
        ("<${X:-{a}}>", "<{a}>", "<{a}>", "<f}>"),
        ("$$ $${X} $X $ ${X-d}$$", "$ ${X} $X $ d$", "$ ${X} $X $ $", "$ ${X} $X $ f$"),
    ],
)
def test_the_operators_are_those_of_the_shell(template: str, unset: Any, empty: Any, full: Any) -> None:
    for expected, given_values in ((unset, {}), (empty, {"X": ""}), (full, {"X": "f"})):
        if expected is None:
            assert codes_of(text, template, **given_values) == ["undefined_variable"]
        else:
            assert text(template, **given_values) == expected


@pytest.mark.parametrize("value", [5, 1.5, True, None, "x", [1, {"a": 2}], {"a": [1]}])
def test_a_whole_string_reference_keeps_its_type(value: object) -> None:
    assert text("${X}", X=value) == value
    assert type(text("${X}", X=value)) is type(value)


def test_embedded_scalars_become_text_and_collections_are_refused() -> None:
    assert text("a${X}b", X=True) == "atrueb"
    assert text("a${X}b", X=1.5) == "a1.5b"
    assert text("a${X}b", X=None) == "ab"
    assert codes_of(text, "a${X}", X={"a": 1}) == ["embedded_collection"]


def test_a_number_in_a_text_field_becomes_text() -> None:
    result = spawn({"environment": {"P": "${port.web}"}}, given={"port.web": 80})
    assert result.explain("environment.P")[0].value == "80"


def test_an_inline_default_takes_the_declared_type() -> None:
    spec = {"size": {"memory_mb": "${MB:-512}"}}
    declared = {"MB": {"type": "integer"}}
    assert spawn(spec, variables=declared).spec["size"]["memory_mb"] == 512  # type: ignore
    assert codes_of(spawn, spec) == ["type_mismatch"]


@settings(deadline=None)
@given(st.text(st.sampled_from("${}ax:-?+ "), max_size=30))
def test_run_time_values_are_never_scanned_again(value: str) -> None:
    assert text("${X}", X=value) == value
    assert text("<${X}>", X=value) == f"<{value}>"
    assert text("${Y:-${X}}", X=value) == value


@settings(deadline=None)
@given(st.text(st.sampled_from("${}ax:-?+ ."), max_size=40))
def test_any_text_either_reads_or_is_refused_in_words(template: str) -> None:
    if syntax_problem(template):
        assert codes_of(text, template) == ["bad_substitution"]
    else:
        assert isinstance(text(template, a="1", x="2", ax="3", xa="4"), str) or codes_of(text, template)


def test_a_value_that_looks_like_a_directive_stays_data() -> None:
    assert text("${X}", X={"$delete": True, "a": "${HOME}"}) == {"$delete": True, "a": "${HOME}"}


def test_the_process_environment_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", "secret")
    assert codes_of(text, "${HARBOUR}") == ["undefined_variable"]


def test_all_undefined_names_come_in_one_error_with_place_and_suggestion() -> None:
    spec = {"environment": {"A": "${agent.nam}", "B": "${nothing}", "C": "${agent.name}"}}
    errors = errors_of(spawn, spec, given={"agent.name": "x"})
    assert [(error.code, error.path, error.template) for error in errors] == [
        ("undefined_variable", "spec.environment.A", "mine"),
        ("undefined_variable", "spec.environment.B", "mine"),
    ]
    assert errors[0].hint == "Did you mean 'agent.name'?"
    assert errors[0].line == 1


def test_a_message_of_the_template_explains_what_is_missing() -> None:
    assert "REGION: name a region" in errors_of(text, "${REGION:?name a region}")[0].message


def test_a_cycle_of_defaults_is_named() -> None:
    variables = {"A": {"default": "${B}"}, "B": {"default": "x${C}"}, "C": {"default": "${A}"}}
    error = errors_of(text, "${B}", variables=variables)[0]
    assert error.code == "variable_cycle"
    assert "B → C → A → B" in error.message
    assert text("${B}", variables=variables, A="a") == "xa"


def test_defaults_are_computed_and_the_nearest_wins() -> None:
    below = layer("below", {}, variables={"A": {"default": "far", "type": "string"}, "B": {"default": "<${A}>"}})
    above = layer("above", {"environment": {"X": "${B}"}}, extends=["below"], variables={"A": {"default": "near"}})
    documents = {"below": below, "above": above}
    assert resolve("above", documents).spec == {"environment": {"X": "<near>"}}


@pytest.mark.parametrize(
    ("declaration", "value", "accepted"),
    [
        ({"type": "integer"}, 5, True),
        ({"type": "integer"}, "5", False),
        ({"type": "integer"}, True, False),
        ({"type": "string", "pattern": "[a-z]+"}, "abc", True),
        ({"type": "string", "pattern": "[a-z]+"}, "abc\n", False),
        ({"enum": ["a", 1]}, 1, True),
        ({"enum": ["a", 1]}, True, False),
        ({"type": "list"}, [1], True),
        ({"type": "map"}, [1], False),
    ],
)
def test_what_is_given_must_fit_the_declaration(declaration: object, value: object, accepted: bool) -> None:
    if accepted:
        assert text("${X}", variables={"X": declaration}, X=value) == value
    else:
        assert codes_of(text, "${X}", variables={"X": declaration}, X=value) == ["bad_variable"]


def test_a_required_variable_must_be_given_even_when_unused() -> None:
    variables = {"X": {"required": True, "description": "the region"}}
    error = errors_of(text, "y", variables=variables)[0]
    assert (error.code, error.path) == ("required_variable", "variables.X")
    assert "the region" in error.message
    assert text("y", variables=variables, X="1") == "y"


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {"\ud800": 1}, [[]] * 30_000])
def test_unsound_values_are_refused(value: object) -> None:
    assert codes_of(text, "${X}", X=value) == ["bad_variable"]


def test_a_value_nested_too_deep_is_refused() -> None:
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    assert codes_of(text, "${X}", X=deep) == ["bad_variable"]


def test_nul_cannot_enter_through_a_value() -> None:
    assert codes_of(text, "a${X}", X="\0") == ["bad_character"]


def test_values_cannot_smuggle_what_the_schema_forbids() -> None:
    spec = {"isolation": {"min": "${T}"}, "packages": ["${P}"]}
    errors = errors_of(spawn, spec, given={"T": "none", "P": "--index-url=http://x"})
    assert [(error.code, error.path) for error in errors] == [
        ("bad_value", "spec.isolation.min"),
        ("bad_value", "spec.packages[0]"),
    ]


def test_defaults_that_double_each_other_are_stopped() -> None:
    texts = {f"V{n}": {"default": f"${{V{n - 1}}}${{V{n - 1}}}" if n else "x" * 1000} for n in range(40)}
    assert codes_of(text, "${V39}", variables=texts) == ["too_large"]
    lists = {f"V{n}": {"type": "list", "default": [f"${{V{n - 1}}}"] * 10 if n else ["x"]} for n in range(40)}
    assert codes_of(text, "${V39}", variables=lists) == ["too_large"]


def test_long_chains_and_deep_nests_of_defaults_are_stopped() -> None:
    chain = {f"V{n}": {"default": f"${{V{n - 1}}}" if n else "x"} for n in range(256)}
    assert codes_of(text, "${V255}", variables=chain) == ["too_deep"]
    assert text("${V30}", variables=chain) == "x"
    nest: dict[str, object] = {"N0": {"type": "list", "default": ["x"]}}
    for n in range(1, 20):
        nest[f"N{n}"] = {"type": "list", "default": [[[[[f"${{N{n - 1}}}"]]]]]}
    assert codes_of(text, "${N19}", variables=nest) == ["too_deep"]


SECRET = "hunter2-hunter2"
TOKEN = {"TOKEN": {"secret": True, "description": "the token"}, "URL": {"default": "https://x/${TOKEN}"}}


def test_a_secret_reaches_the_spec_and_nothing_that_is_shown() -> None:
    spec = {
        "environment": {"A": "${TOKEN}", "B": "Bearer ${TOKEN}", "C": "${URL}", "D": "${TOKEN:+set}"},
        "engine": {"options": {"deep": ["${NONE:-${URL}}"]}},
    }
    result = spawn(spec, given={"TOKEN": SECRET}, variables=TOKEN)
    assert result.spec["environment"]["C"] == f"https://x/{SECRET}"  # type: ignore
    assert type(result.spec["environment"]["A"]) is str  # type: ignore
    assert result.preview["environment"]["B"] == MASK  # type: ignore
    assert result.preview["environment"]["D"] == "set"  # type: ignore
    shown = [
        repr(result),
        str(result.preview),
        str(result.provenance),
        result.digest,
        str(result.explain("")),
    ]
    assert not any("hunter2" in one for one in shown)
    assert b"hunter2" not in pickle.dumps((result.preview, result.provenance, result.warnings))


def test_the_digest_says_nothing_about_a_secret() -> None:
    digests = {spawn({"environment": {"A": "${TOKEN}"}}, given={"TOKEN": one}, variables=TOKEN).digest for one in "ab"}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("spec", "declaration"),
    [
        ({"size": {"pids": "${TOKEN}"}}, {}),
        ({"packages": ["${TOKEN} "]}, {}),
        ({"isolation": {"min": "${TOKEN}"}}, {}),
        ({"environment": {"A": "${X:?${TOKEN}}"}}, {}),
        ({"environment": {"A": "${TOKEN}"}}, {"pattern": "[0-9]+"}),
        ({"environment": {"A": "${TOKEN}"}}, {"enum": ["a"]}),
    ],
)
def test_no_error_shows_a_secret(spec: object, declaration: dict[str, object]) -> None:
    variables = {"TOKEN": {"secret": True, **declaration}}
    errors = errors_of(spawn, spec, given={"TOKEN": SECRET}, variables=variables)
    assert "hunter2" not in str(errors)


def test_a_secret_stays_one_in_all_that_extend_its_template() -> None:
    below = layer("below", {"environment": {"A": "${TOKEN}"}}, variables={"TOKEN": {"secret": True}})
    above = layer("above", variables={"TOKEN": {"secret": False}}, extends=["base", "below"], abstract=False)
    result = resolve("above", {**load(), "below": below, "above": above}, variables={"TOKEN": SECRET})
    assert result.preview["environment"]["A"] == MASK  # type: ignore
    assert "hunter2" not in str(result.provenance)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"TOKEN": {"secret": True, "default": SECRET}}, "variables.TOKEN.default"),
        ({"TOKEN": {"secret": True, "default": "${OTHER:-hunter2}"}, "OTHER": {}}, "variables.TOKEN.default"),
    ],
)
def test_a_secret_that_stands_in_a_template_is_refused_without_being_shown(variables: Any, place: str) -> None:
    documents = {"t": layer("t", variables=variables)}
    error = errors_of(resolve, "t", documents)[0]
    assert (error.code, error.path) == ("secret_in_template", place)
    assert "hunter2" not in str(error)
    assert error.hint


def test_a_secret_may_be_taken_from_another_variable() -> None:
    variables = {"TOKEN": {"secret": True, "default": "${OTHER}"}, "OTHER": {"secret": True}}
    spec = {"environment": {"A": "${TOKEN}"}}
    assert spawn(spec, given={"OTHER": SECRET}, variables=variables).preview["environment"]["A"] == MASK  # type: ignore


def test_before_run_time_only_what_needs_run_time_stays_as_written() -> None:
    spec = {
        "environment": {"A": "${agent.name:-x}", "B": "${GIVEN}", "C": "${MINE}-$$", "D": "${typo}"},
        "size": {"memory_mb": "${host.memory_mb}"},
    }
    one = layer("t", spec, variables={"MINE": {"default": "m"}, "GIVEN": {"required": True}})
    result = resolve("t", {"t": one})
    assert result.spec == {
        "environment": {"A": "${agent.name:-x}", "B": "${GIVEN}", "C": "m-$", "D": "${typo}"},
        "size": {"memory_mb": "${host.memory_mb}"},
    }
    assert [(one.code, one.path) for one in result.warnings] == [("undefined_variable", "spec.environment.D")]


def test_before_run_time_a_cycle_is_an_error_all_the_same() -> None:
    variables = {"A": {"default": "${A}"}}
    assert codes_of(resolve, "t", {"t": layer("t", {"environment": {"X": "${A}"}}, variables=variables)}) == [
        "variable_cycle"
    ]


def test_provenance_of_a_substituted_value_shows_the_text_beneath() -> None:
    entry = spawn({"environment": {"A": "<${X}>"}}, given={"X": "1"}).explain("environment.A")[0]
    assert (entry.value, entry.how, entry.template) == ("<1>", "variable", "mine")
    assert entry.shadowed[0].value == "<${X}>"


def test_dollars_without_braces_are_left_alone() -> None:
    assert options({"a": "$HOME $(id) `id` $1"}) == {"a": "$HOME $(id) `id` $1"}
    assert together({"environment": {"A": "$${X}"}}).spec == {"environment": {"A": "${X}"}}


def test_every_undefined_name_of_one_text_is_reported_and_cycles_and_defaults_too() -> None:
    variables = {"D": {"default": "${deep.er}-${other}"}}
    errors = errors_of(spawn, {"labels": {"v": "${agent.nam}/${D}/${agent.nam}"}}, variables=variables)
    assert [(error.code, error.path) for error in errors] == [("undefined_variable", "spec.labels.v")] * 3
    assert [error.message.split()[-1] for error in errors] == ["agent.nam", "deep.er", "other"]


def test_a_secret_spelled_out_in_a_text_is_refused_as_it_would_show_in_an_explanation() -> None:
    for given_values in (None, {}, {"TOKEN": "x"}):
        one = layer("t", {"environment": {"A": "${X:-${TOKEN:-hunter2}}"}}, variables={"TOKEN": {"secret": True}},
                    extends=["base"], abstract=False)  # fmt: skip
        errors = errors_of(resolve, "t", {**load(), "t": one}, variables=given_values)
        assert ("secret_in_template", "spec.environment.A") in [(error.code, error.path) for error in errors]
        assert "hunter2" not in str(errors)


def test_errors_of_locks_variables_and_the_result_come_together() -> None:
    low = layer("low", {"size": {"pids": 9}}, extends=["base"], final=["size.pids"])
    top = layer("top", {"size": {"pids": 10}, "labels": {"a": "${nope}"}, "tests": {"$delete": True}},
                extends=["low"], abstract=False)  # fmt: skip
    assert sorted(codes_of(resolve, "top", {**load(), "low": low, "top": top}, variables={})) == [
        "locked", "missing_field", "undefined_variable",
    ]  # fmt: skip
