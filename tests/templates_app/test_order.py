"""The order of layers."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from templates_app.documents import Document
from templates_app.faults import Located, TemplateFault, TemplateNotFound
from templates_app.order import MAX_ANCESTORS, MAX_DEPTH, linearise
from tests.templates_app.writing import codes_of, errors_of, layer


def family(**parents: str) -> dict[str, Document]:
    return {name: layer(name, extends=names.split()) for name, names in parents.items()}


def order(name: str, documents: dict[str, Document]) -> list[str]:
    return [document.name for document in linearise(name, documents)]


def test_parents_apply_in_the_order_listed_and_the_template_last() -> None:
    assert order("t", family(a="", b="", c="", t="a b c")) == ["a", "b", "c", "t"]


def test_a_diamond_applies_the_shared_ancestor_once_and_first() -> None:
    assert order("t", family(base="", a="base", b="base", t="a b")) == ["base", "a", "b", "t"]


def test_the_order_of_an_ancestor_is_kept_by_all_that_extend_it() -> None:
    documents = family(o="", a="o", b="o", c="o", x="a b", y="b c", t="x y")
    assert order("t", documents) == ["o", "a", "b", "x", "c", "y", "t"]


def test_conflicting_orders_name_both_constraints() -> None:
    error = errors_of(linearise, "t", family(a="", b="", x="a b", y="b a", t="x y"))[0]
    assert error.code == "inconsistent_order"
    assert "a before b (the order of x)" in error.message
    assert "b before a (the order of y)" in error.message


def test_a_parent_listed_after_its_own_child_is_a_conflict() -> None:
    error = errors_of(linearise, "t", family(a="", b="a", t="b a"))[0]
    assert error.code == "inconsistent_order"
    assert "a before b (the order of b)" in error.message
    assert "b before a (extends of t)" in error.message


def test_a_cycle_is_named_with_its_path() -> None:
    error = errors_of(linearise, "a", family(a="b", b="c", c="b"))[0]
    assert (error.code, error.template) == ("cycle", "c")
    assert "b → c → b" in error.message
    assert codes_of(linearise, "a", family(a="a")) == ["cycle"]


def test_missing_and_doubled_parents_are_reported_together() -> None:
    errors = errors_of(linearise, "t", family(python="", t="pythn python python"))
    assert [error.code for error in errors] == ["parent_not_found", "duplicate_parent"]
    assert errors[0].hint == "Did you mean 'python'?"
    assert errors[0].path == "extends[0]"


def test_an_unknown_template_is_not_found_with_a_suggestion() -> None:
    with pytest.raises(TemplateNotFound, match="Did you mean 'python'") as caught:
        linearise("pyhton", family(python="", web=""))
    assert caught.value.code == "template.not_found"


def test_two_majors_of_one_parent_are_named_with_both_paths() -> None:
    documents = family(base="", a="base@1", b="base@2", t="a b")
    errors = [error for error in errors_of(linearise, "t", documents) if error.code == "version_conflict"]
    assert "t → a wants base@1" in errors[0].message
    assert "t → b wants base@2" in errors[0].message


@pytest.mark.parametrize(
    ("asked", "fits"),
    [("1", True), ("1.0", True), ("1.0.0", True), ("1.1", False), ("2", False), ("0", False)],
)
def test_a_parent_must_have_the_version_asked_for(asked: str, fits: bool) -> None:
    documents = family(base="", t=f"base@{asked}")
    if fits:
        assert order("t", documents) == ["base", "t"]
    else:
        assert codes_of(linearise, "t", documents) == ["version_not_found"]


def test_depth_and_number_of_ancestors_are_bounded() -> None:
    chain = {f"n{i}": layer(f"n{i}", extends=[f"n{i - 1}"] if i else []) for i in range(2000)}
    assert len(linearise(f"n{MAX_DEPTH}", chain)) == MAX_DEPTH + 1
    assert codes_of(linearise, f"n{MAX_DEPTH + 1}", chain) == ["too_deep"]
    assert codes_of(linearise, "n1999", chain) == ["too_many"]
    wide = {f"p{i}": layer(f"p{i}") for i in range(MAX_ANCESTORS)}
    names = list(wide)
    wide["left"], wide["right"] = layer("left", extends=names[:32]), layer("right", extends=names[32:])
    wide["t"] = layer("t", extends=["left", "right"])
    assert codes_of(linearise, "t", wide) == ["too_many"]


@st.composite
def families(draw: st.DrawFn) -> dict[str, Document]:
    count = draw(st.integers(1, 8))
    documents = {}
    for index in range(count):
        parents = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        documents[f"n{index}"] = layer(f"n{index}", extends=[f"n{parent}" for parent in parents])
    return documents


@settings(deadline=None)
@given(families(), st.randoms())
def test_the_order_respects_every_list_of_parents_and_not_the_load_order(
    documents: dict[str, Document], random: Random
) -> None:
    name = f"n{len(documents) - 1}"
    shuffled = dict(random.sample(sorted(documents.items()), len(documents)))
    result = outcome(name, documents)
    assert outcome(name, shuffled) == result
    if isinstance(result, Located):
        assert result.code == "inconsistent_order"
        return
    assert result[-1] == name
    assert len(set(result)) == len(result)
    for child in result:
        wanted = [*(parent.name for parent in documents[child].extends), child]
        places = [result.index(one) for one in wanted]
        assert places == sorted(places)


def outcome(name: str, documents: dict[str, Document]) -> list[str] | Located:
    try:
        return order(name, documents)
    except TemplateFault as fault:
        return fault.errors[0]


@pytest.mark.parametrize(
    ("asked", "version", "fits"),
    [
        (">=1.2,<3", "2.9.9", True),
        (">=1.2,<3", "3.0.0", False),
        ("^1.2", "1.10.0", True),
        ("~1.2", "1.3.0", False),
        ("==1.2.3", "1.2.3", True),
        ("!=1.2.3", "1.2.3", False),
        ("*", "9.9.9", True),
        ("1.2", "1.10.0", True),
        ("0.1", "0.2.0", True),
        ("1", "2.0.0-rc.1", False),
        (">=1.0.0-rc.1,<2", "1.0.0-rc.2", True),
    ],
)
def test_constraints_are_those_of_semantic_versions(asked: str, version: str, fits: bool) -> None:
    documents = {"base": layer("base", version=version), "t": layer("t", extends=[f"base@{asked}"])}
    if fits:
        assert order("t", documents) == ["base", "t"]
    else:
        assert codes_of(linearise, "t", documents) == ["version_not_found"]


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("1", "2", True),
        ("^1.2", ">=2", True),
        ("<1.5", ">=1.4", False),
        ("==1.0.0", "==1.0.1", True),
        (">1.2.3", "<1.2.4", True),
        ("1", "==1.0.0", False),
    ],
)
def test_two_constraints_that_no_version_meets_are_a_conflict_with_both_paths(
    one: str, other: str, conflict: bool
) -> None:
    documents = {
        "base": layer("base"),
        "a": layer("a", extends=[f"base@{one}"]),
        "b": layer("b", extends=[f"base@{other}"]),
        "t": layer("t", extends=["a", "b"]),
    }
    try:
        found = errors_of(linearise, "t", documents)
    except pytest.fail.Exception:  # nothing was raised: both are met
        found = ()
    conflicts = [error for error in found if error.code == "version_conflict"]
    assert bool(conflicts) is conflict
    for error in conflicts:
        assert f"t → a wants base@{one} and t → b wants base@{other}" in error.message
        assert error.hint


@pytest.mark.parametrize("asked", ["", "x", ">=", "1..2", "1.2.3.4", ">=1,,<2"])
def test_a_constraint_that_does_not_read_is_refused_with_its_place(asked: str) -> None:
    error = errors_of(layer, "t", extends=["a", f"base@{asked}"])[0]
    assert error.code in ("bad_constraint", "bad_value")
    assert error.path == "extends[1]"
    assert error.hint
