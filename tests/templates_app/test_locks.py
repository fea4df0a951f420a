"""``final``, attacked from every side."""

from __future__ import annotations

from typing import Any

import pytest

from templates_app.faults import TemplateFault
from templates_app.library import load
from templates_app.resolve import resolve
from tests.templates_app.writing import codes_of, errors_of, layer

BASE: dict[str, Any] = {
    "ports": [{"name": "web", "description": "w"}, {"name": "db"}],
    "packages": ["a", "b"],
    "labels": {"a.b/c": "1", "team": "x"},
    "size": {"memory_mb": {"request": 200, "min": 100}, "pids": 9},
    "hooks": {"setup": [["a"], ["b"]]},
    "engine": {"options": {"deep": {"x": [1, {"y": 2}]}}},
}


def refused(final: str, over: Any, **envelope: Any) -> list[str]:
    """The codes of laying ``over`` on a layer that locks ``final``."""
    documents = {"low": layer("low", BASE, final=[final]), "top": layer("top", over, extends=["low"], **envelope)}
    try:
        resolve("top", documents)
    except TemplateFault as fault:
        return list(fault.codes)
    return []


@pytest.mark.parametrize(
    ("final", "over"),
    [
        ("ports.web", {"ports": [{"name": "web", "description": "other"}]}),
        ("ports.web", {"ports": [{"name": "web", "$delete": True}]}),
        ("ports.web", {"ports": {"$remove": ["web"]}}),
        ("ports.web", {"ports": {"$replace": [{"name": "web"}]}}),
        ("ports.web", {"ports": {"$delete": True}}),
        ("ports.web.description", {"ports": [{"name": "web", "description": "${X}"}]}),
        ("ports", {"ports": [{"name": "more"}]}),
        ("ports", {"ports": {"$prepend": [{"name": "more"}]}}),
        ("packages", {"packages": ["c"]}),
        ("packages", {"packages": {"$remove": ["a"]}}),
        ("hooks.setup[0]", {"hooks": {"setup": {"$prepend": [["evil"]]}}}),
        ("hooks.setup", {"hooks": {"setup": [["evil"]]}}),
        ("hooks", {"hooks": {"$replace": {"setup": []}}}),
        ('labels["a.b/c"]', {"labels": {"a.b/c": "2"}}),
        ("labels", {"labels": {"new": "1"}}),
        ("labels.absent", {"labels": {"absent": "now there"}}),
        ("size.memory_mb", {"size": {"memory_mb": {"min": 50}}}),
        ("size.memory_mb", {"size": {"memory_mb": 200}}),
        ("size.memory_mb.min", {"size": {"memory_mb": {"min": 50}}}),
        ("size", {"size": {"lighter": {"memory_mb": 16}}}),
        ("engine.options.deep.x", {"engine": {"options": {"deep": {"x": {"$append": [3]}}}}}),
        ("engine.options.deep.x[1].y", {"engine": {"options": {"deep": {"x": [1, {"y": 3}]}}}}),
        ("engine.options", {"engine": {"options": {"more": 1}}}),
        ("size.pids", {"size": {"$replace": {"memory_mb": 99}}}),
    ],
)
def test_every_way_of_changing_a_final_value_is_refused(final: str, over: Any) -> None:
    assert refused(final, over) == ["locked"]
    rule = [{"when": "true", "set": over}]
    assert refused(final, {}, adapt=rule) == ["locked"]


@pytest.mark.parametrize(
    ("final", "over"),
    [
        ("ports.web", {"ports": [{"name": "web"}, {"name": "more"}]}),
        ("ports.web", {"ports": {"$prepend": [{"name": "first"}]}}),
        ("labels.team", {"labels": {"team": "x", "other": "y"}}),
        ("labels", {"labels": {"$replace": {"team": "x", "a.b/c": "1"}}}),
        ("packages", {"packages": ["b", "a"]}),
        ("size.memory_mb", {"size": {"memory_mb": {"request": 200}, "pids": 10}}),
    ],
)
def test_saying_the_same_again_and_changing_what_is_beside_is_allowed(final: str, over: Any) -> None:
    assert refused(final, over) == []


def test_breaking_and_mending_within_the_stack_is_still_refused_at_the_layer_that_broke_it() -> None:
    documents = {
        "low": layer("low", {"size": {"pids": 9}}, final=["size.pids"]),
        "mid": layer("mid", {"size": {"pids": 10}}, extends=["low"]),
        "top": layer("top", {"size": {"pids": 9}}, extends=["mid"]),
    }
    errors = errors_of(resolve, "top", documents)
    assert [(error.code, error.template, error.path) for error in errors] == [("locked", "mid", "spec.size.pids")]
    assert errors[0].hint


def test_a_sibling_applied_later_is_held_and_one_applied_earlier_is_overridden() -> None:
    lock = layer("lock", {"size": {"pids": 9}}, final=["size.pids"])
    other = layer("other", {"size": {"pids": 10}})
    after = {"lock": lock, "other": other, "t": layer("t", extends=["lock", "other"])}
    before = {"lock": lock, "other": other, "t": layer("t", extends=["other", "lock"])}
    assert codes_of(resolve, "t", after) == ["locked"]
    assert resolve("t", before).spec == {"size": {"pids": 9}}


def test_a_locked_value_with_a_variable_is_refused_even_without_anyone_on_top() -> None:
    for final in ("labels.v", "labels"):
        document = layer("t", {"labels": {"v": "${X:-1}"}}, final=[final], variables={"X": {}})
        assert codes_of(resolve, "t", {"t": document}) == ["final_variable"]


def test_a_declaration_on_top_cannot_reach_a_locked_value() -> None:
    low = layer("low", {"isolation": {"min": "container"}}, extends=["base"], final=["isolation.min"])
    top = layer("top", extends=["low"], variables={"isolation.min": {"default": "bare"}}, abstract=False)
    documents = {**load(), "low": low, "top": top}
    spec: Any = resolve("top", documents, variables={"isolation.min": "bare", "spec.isolation.min": "bare"}).spec
    assert spec["isolation"]["min"] == "container"


@pytest.mark.parametrize(
    "path", ["", ".", "size.", "size..pids", "ports[", "nothing", "size.pids.more", "packages.a", "[0]"]
)
def test_a_path_that_the_schema_does_not_know_is_refused(path: str) -> None:
    document = layer("t", BASE, final=[path]) if path else None
    if document is None:
        assert codes_of(layer, "t", BASE, final=[path]) == ["bad_value"]
    else:
        errors = errors_of(resolve, "t", {"t": document})
        assert [(error.code, error.path) for error in errors] == [("unknown_field", "final[0]")]


def test_all_broken_locks_are_reported_at_once() -> None:
    documents = {
        "low": layer("low", {"size": {"pids": 9}, "packages": ["a"]}, final=["size.pids", "packages"]),
        "top": layer("top", {"size": {"pids": 10}, "packages": ["b"], "labels": {}}, extends=["low"]),
    }
    assert codes_of(resolve, "top", documents) == ["locked", "locked"]
