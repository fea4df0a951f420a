"""The result as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from agents.engines.protocol import EngineKind
from resources.sandboxes.protocol import Tier
from templates_app.faults import TemplateAbstract, TemplateFault, TemplateNotFound
from templates_app.resolve import resolve
from templates_app.schema import spec_schema, template_schema
from tests.templates_app.writing import codes_of, errors_of, layer, spawn


def test_layers_are_recorded_in_order_with_their_digests() -> None:
    documents = {"a": layer("a"), "b": layer("b"), "t": layer("t", extends=["a", "b"], version="3.2.1")}
    result = resolve("t", documents)
    assert [(one.name, one.version) for one in result.layers] == [
        ("a", "1.0.0"),
        ("b", "1.0.0"),
        ("t", "3.2.1"),
    ]
    assert [one.digest for one in result.layers] == [documents[name].digest for name in "abt"]
    assert (result.name, result.version) == ("t", "3.2.1")


def test_the_digest_changes_with_the_result_only() -> None:
    documents = {"a": layer("a", {"size": {"pids": 9}}), "t": layer("t", extends=["a"])}
    digest = resolve("t", documents).digest
    assert resolve("t", {**documents, "t": layer("t", extends=["a"], description="words")}).digest == digest
    assert resolve("t", {**documents, "a": layer("a", {"size": {"pids": 10}})}).digest != digest


def test_an_incomplete_template_is_refused_unless_abstract() -> None:
    incomplete = layer("t", {"size": {"pids": 9}}, abstract=False)
    errors = errors_of(resolve, "t", {"t": incomplete})
    assert {error.code for error in errors} == {"missing_field"}
    assert errors[0].hint == "extend a template that has it, such as `base`"
    assert resolve("t", {"t": layer("t", {"size": {"pids": 9}})}).abstract is True


def test_an_abstract_template_is_not_spawned() -> None:
    with pytest.raises(TemplateAbstract):
        resolve("t", {"t": layer("t")}, variables={})


def test_errors_that_only_the_result_shows_are_placed_where_the_value_was_written() -> None:
    errors = errors_of(spawn, {"size": {"pids": "${P}"}, "idle_timeout_s": "${P}"}, given={"P": 3})
    assert [(error.code, error.path, error.file, error.line) for error in errors] == [
        ("bad_value", "spec.idle_timeout_s", "mine.yaml", 1),
        ("bad_value", "spec.size.pids", "mine.yaml", 1),
    ]


def test_deleting_a_required_field_is_noticed() -> None:
    assert codes_of(spawn, {"packages": {"$delete": True}}) == ["missing_field"]


def test_a_union_that_grows_beyond_the_limit_is_refused() -> None:
    documents = {
        "a": layer("a", {"hooks": {"setup": [["x"]] * 100}}),
        "b": layer("b", {"hooks": {"setup": [["x"]] * 100}}, extends=["a"]),
    }
    assert codes_of(resolve, "b", documents) == ["bad_value"]


def test_faults_are_typed_for_interfaces() -> None:
    with pytest.raises(TemplateNotFound) as missing:
        resolve("nothing", {})
    assert missing.value.http_status == 404
    with pytest.raises(TemplateFault) as wrong:
        resolve("t", {"t": layer("t", extends=["nothing"])})
    document = wrong.value.as_dict()
    assert (document["code"], document["class"]) == ("template.invalid", "configuration")
    assert document["facts"]["errors"][0]["code"] == "parent_not_found"


def test_a_fault_carries_a_bounded_number_of_errors_to_screens_and_counts_all() -> None:
    with pytest.raises(TemplateFault) as caught:
        layer("t", {f"field{n}": n for n in range(5000)})
    facts = caught.value.as_dict()["facts"]
    assert (len(facts["errors"]), facts["count"], len(caught.value.errors)) == (100, 5000, 5000)


def schemas(schema: Mapping[str, Any], path: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += schemas(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += schemas(schema[key], f"{path}.{key}")
    return found


def test_every_field_of_the_schema_is_described_and_closed() -> None:
    for path, schema in schemas(spec_schema()):
        assert schema.get("description"), path
        if schema.get("type") == "object":
            assert "additionalProperties" in schema, path
    for name, schema in template_schema()["properties"].items():
        assert schema.get("description"), name


def test_the_schema_names_the_tiers_and_engines_that_exist() -> None:
    properties = spec_schema()["properties"]
    assert properties["isolation"]["properties"]["min"]["enum"] == [tier.value for tier in Tier]
    assert properties["engine"]["properties"]["kind"]["enum"] == [kind.value for kind in EngineKind]
