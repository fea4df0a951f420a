"""Who set what, where, and over what."""

from __future__ import annotations

from templates_app.documents import parse
from templates_app.nodes import How
from templates_app.resolve import resolve
from tests.templates_app.writing import together

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
