"""What differs between two specifications."""

from __future__ import annotations

from typing import Any

from templates_app.changes import ChangeKind, changes, diff, with_live


def test_live_fields_are_told_from_those_that_need_a_new_agent() -> None:
    old: dict[str, Any] = {"idle_timeout_s": 60, "size": {"pids": 9}, "engine": {"limits": {"steps": 5}, "kind": "llm"}}
    new: dict[str, Any] = {
        "idle_timeout_s": 90,
        "size": {"pids": 10},
        "engine": {"limits": {"steps": 6}, "kind": "auto"},
    }
    found = changes(old, new)
    assert [(one.path, one.old, one.new) for one in found.live] == [
        ("engine.limits.steps", 5, 6),
        ("idle_timeout_s", 60, 90),
    ]
    assert [one.path for one in found.restart] == ["size.pids", "engine.kind"]
    assert with_live(old, new) == {
        "idle_timeout_s": 90,
        "size": {"pids": 9},
        "engine": {"limits": {"steps": 6}, "kind": "llm"},
    }


def test_lists_are_compared_as_they_are_merged() -> None:
    old: dict[str, Any] = {
        "ports": [{"name": "a"}, {"name": "b", "description": "x"}],
        "packages": ["a", "b"],
        "tests": {"command": ["a"]},
    }
    new: dict[str, Any] = {
        "ports": [{"name": "b", "description": "y"}, {"name": "c"}],
        "packages": ["b", "c"],
        "tests": {"command": ["b"]},
    }
    assert [(one.path, one.kind) for one in diff(old, new)] == [
        ("ports.a", ChangeKind.REMOVED),
        ("ports.b.description", ChangeKind.CHANGED),
        ("ports.c", ChangeKind.ADDED),
        ("packages", ChangeKind.REMOVED),
        ("packages", ChangeKind.ADDED),
        ("tests.command", ChangeKind.CHANGED),
    ]
    assert diff({"packages": ["a", "b"]}, {"packages": ["b", "a"]}) == ()
    assert [
        one.path for one in diff({"ports": [{"name": "a"}, {"name": "b"}]}, {"ports": [{"name": "b"}, {"name": "a"}]})
    ] == ["ports"]


def test_values_that_only_look_equal_differ_and_null_is_a_value() -> None:
    def options(value: object) -> dict[str, Any]:
        return {"engine": {"options": {"v": value}}}

    for one, other in ((1, True), (1, 1.0), ([1], [True]), (None, ""), ({}, [])):
        assert len(diff(options(one), options(other))) == 1
    added = diff({"engine": {"options": {}}}, options(None))[0]
    assert (added.kind, added.new, str(added)) == (ChangeKind.ADDED, None, "engine.options.v: added None")
