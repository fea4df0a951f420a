"""What holds for whatever templates there are."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from templates_app.changes import changes, diff, with_live
from templates_app.checker import compiled, spec_check
from templates_app.documents import canonical
from templates_app.faults import TemplateFault
from templates_app.provenance import Entry
from templates_app.resolve import Resolved, resolve
from templates_app.schema import problems_of, spec_schema
from tests.templates_app.writing import layer

names = st.sampled_from(["a", "b", "c"])
scalars = st.integers(0, 3) | st.sampled_from(["x", "y", ""]) | st.booleans() | st.none()


def _named(item: Any) -> str:
    return str(item["name"])


values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
fields: dict[str, st.SearchStrategy[Any]] = {
    "size": st.fixed_dictionaries(
        {},
        optional={
            "pids": st.integers(8, 12),
            "memory_mb": st.integers(16, 20) | st.fixed_dictionaries({"request": st.integers(16, 20)}),
        },
    ),
    "packages": st.lists(names, max_size=3),
    "hooks": st.fixed_dictionaries({"setup": st.lists(st.lists(names, min_size=1, max_size=2), max_size=2)}),
    "ports": st.lists(
        st.fixed_dictionaries({"name": names}, optional={"description": names}), max_size=3, unique_by=_named
    ),
    "environment": st.dictionaries(names, names, max_size=3),
    "labels": st.dictionaries(names, names, max_size=2),
    "tests": st.fixed_dictionaries({}, optional={"command": st.lists(names, max_size=3)}),
    "engine": st.fixed_dictionaries({"options": st.dictionaries(names, values, max_size=3)}),
    "idle_timeout_s": st.integers(10, 13),
}
directives = {
    "packages": st.builds(
        lambda how, what: {how: what},
        st.sampled_from(["$append", "$prepend", "$remove", "$replace"]),
        st.lists(names, max_size=3),
    ),
    "ports": st.builds(lambda what: {"$remove": what}, st.lists(names, max_size=2)),
    "labels": st.builds(lambda what: {"$replace": what}, st.dictionaries(names, names, max_size=2))
    | st.just({"$delete": True}),
}
plain_specs = st.fixed_dictionaries({}, optional=fields)
any_specs = st.fixed_dictionaries(
    {}, optional={name: one | directives[name] if name in directives else one for name, one in fields.items()}
)


@st.composite
def families(draw: st.DrawFn) -> dict[str, Any]:
    """Up to six templates, each on some of those before it."""
    documents = {}
    for index in range(draw(st.integers(1, 6))):
        parents = draw(st.lists(st.integers(0, index - 1), unique=True, max_size=3)) if index else []
        documents[f"n{index}"] = layer(f"n{index}", draw(any_specs), extends=[f"n{one}" for one in parents])
    return documents


def sound(name: str, documents: dict[str, Any]) -> Resolved | None:
    """What a template resolves to, where it does."""
    try:
        return resolve(name, documents)
    except TemplateFault:
        return None


def leaf_values(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {leaf: inner for key, item in items for leaf, inner in leaf_values(item, (*path, key)).items()}
    return found or {path: value}


@settings(max_examples=100, deadline=None)
@given(families())
def test_provenance_covers_exactly_the_leaves_with_their_values(documents: dict[str, Any]) -> None:
    if (result := sound(f"n{len(documents) - 1}", documents)) is None:
        return
    found = {entry.path: entry.value for entry in result.provenance}
    assert len(found) == len(result.provenance)
    assert canonical(sorted((str(path), value) for path, value in found.items())) == canonical(
        sorted((str(path), value) for path, value in leaf_values(result.spec).items())
    )


@settings(max_examples=100, deadline=None)
@given(families())
def test_a_leaf_names_a_layer_that_took_part_and_shadows_only_earlier_ones(documents: dict[str, Any]) -> None:
    if (result := sound(f"n{len(documents) - 1}", documents)) is None:
        return
    order = [one.name for one in result.layers]
    for entry in result.provenance:
        places = [order.index(name) for name in (entry.template, *(one.template for one in entry.shadowed))]
        assert places == sorted(places, reverse=True)


@settings(max_examples=100, deadline=None)
@given(families())
def test_resolving_what_was_resolved_changes_nothing(documents: dict[str, Any]) -> None:
    if (result := sound(f"n{len(documents) - 1}", documents)) is None:
        return
    again = resolve("again", {"again": layer("again", result.spec)})
    assert canonical(again.spec) == canonical(result.spec)
    assert again.digest == result.digest
    assert resolve(result.name, documents) == result


@settings(max_examples=100, deadline=None)
@given(st.lists(plain_specs, min_size=2, max_size=5), st.data())
def test_removing_a_layer_never_changes_leaves_that_it_does_not_own(specs: list[Any], data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(specs) - 1))
    documents = {f"n{index}": layer(f"n{index}", spec) for index, spec in enumerate(specs)}
    before = sound("t", {**documents, "t": layer("t", extends=list(documents))})
    rest = [name for name in documents if name != f"n{gone}"]
    after = sound("t", {**documents, "t": layer("t", extends=rest)})
    if before is None or after is None:
        return
    left = {entry.path: entry for entry in after.provenance if not _in_a_list(entry)}
    for entry in before.provenance:
        if entry.template != f"n{gone}" and not _in_a_list(entry) and entry.value not in ({}, []):
            assert left[entry.path].value == entry.value
            assert left[entry.path].template == entry.template


def _in_a_list(entry: Entry) -> bool:
    return any(isinstance(step, int) for step in entry.path)  # an element's number is not its own


@settings(max_examples=100, deadline=None)
@given(plain_specs, plain_specs, plain_specs)
def test_merging_is_associative_without_directives(a: Any, b: Any, c: Any) -> None:
    def merged(*specs: Any) -> Any:
        documents = {f"n{index}": layer(f"n{index}", spec) for index, spec in enumerate(specs)}
        found = sound("t", {**documents, "t": layer("t", extends=list(documents))})
        return found.spec if found else None

    whole, left = merged(a, b, c), merged(a, b)
    right = merged(b, c)
    if whole is not None and left is not None and right is not None:
        assert canonical(merged(left, c)) == canonical(whole)
        by_right = merged(a, right)
        assert by_right is None or canonical(by_right) == canonical(whole) or _null_or_range_stands(a, b, c)


def _null_or_range_stands(*specs: Any) -> bool:
    """Null over a map is a value and forgets the map; a number forgets a range: neither is associative to the right."""
    return any("null" in canonical(spec) or "memory_mb" in canonical(spec) for spec in specs)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({}, optional={**fields, "size": values, "ports": values, "labels": values}))
def test_the_quick_check_says_what_jsonschema_says(value: Any) -> None:
    assert spec_check(abstract=False)(value) == (not problems_of(value, spec_schema()))
    only_missing = all(code == "missing_field" for _, code, _ in problems_of(value, spec_schema()))
    assert spec_check(abstract=True)(value) == only_missing


def test_the_quick_check_refuses_a_rule_that_it_does_not_know() -> None:
    try:
        compiled({"type": "array", "uniqueItems": True})
    except ValueError as error:
        assert "uniqueItems" in str(error)  # noqa: PT017 # the message is what is checked
    else:
        raise AssertionError("a rule was passed over")


@settings(max_examples=100, deadline=None)
@given(plain_specs, plain_specs)
def test_changes_are_none_exactly_where_nothing_differs_and_live_ones_bring_the_old_to_the_new(a: Any, b: Any) -> None:
    assert not changes(a, a)
    found = changes(a, b)
    assert {one.path for one in (*found.live, *found.restart)} == {one.path for one in diff(a, b)}
    assert all(one.path.startswith(("labels", "idle_timeout_s", "tests")) for one in found.live)
    taken = with_live(a, b)
    assert not changes(taken, b).live
    assert {one.path for one in changes(taken, b).restart} == {one.path for one in found.restart}
    assert not changes(a, taken).restart
