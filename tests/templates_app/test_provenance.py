"""Who set what, where, and over what."""

from __future__ import annotations

from typing import Any

from templates_app.documents import parse
from templates_app.nodes import How
from templates_app.resolve import resolve
from tests.templates_app.writing import layer, spawn, together

LOWER = """apiVersion: moorage/v1
kind: Template
name: lower
version: 1.2.3
abstract: true
spec:
  size:
    pids: 100
  packages: [git]
  services:
    - name: db
      command: [postgres]
"""
UPPER = """apiVersion: moorage/v1
kind: Template
name: upper
version: 2.0.0
abstract: true
extends: lower
spec:
  size: {pids: 200}
  packages:
    - curl
  services:
    - name: db
      port: db
"""


def test_each_value_names_its_layer_version_line_and_what_it_shadowed() -> None:
    documents = {"lower": parse(LOWER, file="lower.yaml"), "upper": parse(UPPER, file="upper.yaml")}
    result = resolve("upper", documents)
    pids = result.explain("size.pids")[0]
    assert (pids.value, pids.template, pids.version, pids.file, pids.line) == (
        200,
        "upper",
        "2.0.0",
        "upper.yaml",
        8,
    )
    assert [(one.value, one.template, one.version, one.line) for one in pids.shadowed] == [(100, "lower", "1.2.3", 8)]
    packages = [(one.value, one.template, one.how, one.line) for one in result.explain("packages")]
    assert packages == [("git", "lower", How.SET, 9), ("curl", "upper", How.APPEND, 10)]
    services = {".".join(map(str, one.path)): (one.template, one.line) for one in result.explain("services[0]")}
    assert services == {
        "services.0.name": ("upper", 12),
        "services.0.command.0": ("lower", 12),
        "services.0.port": ("upper", 13),
    }


def test_explain_does_not_confuse_names_that_begin_alike() -> None:
    result = together({"environment": {"A": "1", "AB": "2"}})
    assert [entry.value for entry in result.explain("environment.A")] == ["1"]
    assert len(result.explain("")) == 2


def test_explain_knows_elements_of_keyed_lists_by_name_and_by_number() -> None:
    result = together(
        {"ports": [{"name": "web"}, {"name": "web2", "description": "other"}], "packages": ["web"]},
        {
            "services": [{"name": "db", "command": ["a", "b"], "environment": {"A": "1"}}],
            "volumes": [{"target": "/srv/a.b", "size_mb": 5}],
        },
    )
    for by_number, by_name in (
        ("ports[0]", "ports.web"),
        ("ports[1].description", "ports.web2.description"),
        ("services[0].command[1]", "services.db.command[1]"),
        ("services[0].environment", "services.db.environment"),
        ("volumes[0].size_mb", "volumes./srv/a.b.size_mb"),
    ):
        assert result.explain(by_number) == result.explain(by_name) != ()
    assert [entry.value for entry in result.explain("ports.web")] == ["web"]  # not web2
    assert result.explain("packages.web") == ()  # a list without a key has numbers only
    assert result.explain("ports.wbe") == ()


def test_an_emptied_list_is_explained_by_the_layer_that_emptied_it() -> None:
    entry = together({"packages": ["a"]}, {"packages": {"$remove": ["a"]}}).explain("packages")[0]
    assert (entry.value, entry.template, entry.how) == ([], "l1", How.REMOVE)
    assert [(one.value, one.template) for one in entry.shadowed] == [(["a"], "l0")]


def test_a_replaced_list_shows_the_list_it_shadowed() -> None:
    entry = together({"tests": {"command": ["a", "b"]}}, {"tests": {"command": ["c"]}}).explain("tests.command")[0]
    assert [one.value for one in entry.shadowed] == [["a", "b"]]


def test_a_value_overridden_three_times_shows_all_below_nearest_first() -> None:
    entry = together(*({"size": {"pids": 10 + n}} for n in range(4))).provenance[0]
    assert [one.value for one in entry.shadowed] == [12, 11, 10]


def values(result: Any) -> dict[str, tuple[object, str, list[object]]]:
    return {
        ".".join(map(str, entry.path)): (entry.value, str(entry.how), [one.value for one in entry.shadowed])
        for entry in result.provenance
    }


def test_what_was_deleted_and_set_again_shadows_nothing_and_comes_last() -> None:
    result = together({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": {"$delete": True}}}, {"labels": {"a": "3"}})
    assert values(result) == {"labels.b": ("2", "set", []), "labels.a": ("3", "set", [])}
    assert list(result.spec["labels"]) == ["b", "a"]  # type: ignore


def test_a_replaced_map_shadows_field_by_field_and_does_not_bring_back_the_rest() -> None:
    result = together({"labels": {"a": "1", "b": "2"}}, {"labels": {"$replace": {"a": "9"}}}, {"labels": {"b": "3"}})
    assert values(result) == {"labels.a": ("9", "replace", ["1"]), "labels.b": ("3", "set", [])}


def test_null_over_a_map_and_a_map_over_null() -> None:
    layers = [{"engine": {"options": {"a": value}}} for value in ({"x": 1}, None, {"y": 2}, {"y": 3})]
    assert values(together(*layers[:2])) == {"engine.options.a": (None, "set", [{"x": 1}])}
    assert values(together(*layers)) == {"engine.options.a.y": (3, "set", [2])}


def test_both_arms_of_a_diamond_and_the_order_between_them() -> None:
    documents = {
        "o": layer("o", {"ports": [{"name": "a", "description": "o"}, {"name": "b"}], "labels": {"x": "1"}}),
        "l": layer("l", {"ports": [{"name": "a", "$delete": True}], "labels": {"x": {"$delete": True}}}, extends=["o"]),
        "r": layer("r", {"ports": [{"name": "a"}], "labels": {"y": "2"}}, extends=["o"]),
        "lr": layer("lr", extends=["l", "r"]),
        "rl": layer("rl", extends=["r", "l"]),
    }
    assert resolve("lr", documents).spec == {"ports": [{"name": "b"}, {"name": "a"}], "labels": {"y": "2"}}
    assert resolve("rl", documents).spec == {"ports": [{"name": "b"}], "labels": {"y": "2"}}


def test_a_list_that_a_variable_gave_shows_the_text_once() -> None:
    entries = spawn({"tests": {"command": "${L}"}}, given={"L": ["a", "b"]}).explain("tests.command")
    assert [(entry.value, entry.how, [one.value for one in entry.shadowed]) for entry in entries] == [
        ("a", How.VARIABLE, ["${L}"]),
        ("b", How.VARIABLE, ["${L}"]),
    ]
