"""Files as they should not be, and what is told of the others; written from the semantics alone."""

from __future__ import annotations

import pytest

from templates_app.documents import parse
from templates_app.faults import TemplateAbstract, TemplateFault
from templates_app.resolve import resolve
from tests.templates_app.examining import (
    A,
    B,
    diamond,
    last,
    tower,
    written,
)
from tests.templates_app.writing import codes_of, errors_of, layer

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: t\nversion: 1.0.0\nabstract: true\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(8)
)
FILES: list[tuple[str, str | bytes, str]] = [
    ("nothing", "", "empty"),
    ("only a comment", "# x", "empty"),
    ("a list", "[1]", "type_mismatch"),
    ("null", "~", "type_mismatch"),
    ("duplicate key", HEAD + "spec:\n  size: {pids: 9, pids: 9}", "duplicate_key"),
    ("duplicate key, one in quotes", HEAD + 'spec:\n  size: {pids: 9, "pids": 9}', "duplicate_key"),
    ("NUL as an escape", HEAD + 'description: "a\\0b"', "bad_character"),
    ("NUL as such", HEAD + "description: a\0b", "bad_character"),
    ("half a surrogate", HEAD + 'description: "\\ud800"', "bad_character"),
    ("not UTF-8", HEAD.encode() + b"description: \xff", "bad_encoding"),
    (
        "alias bomb",
        HEAD + "spec:\n engine:\n  options:\n" + "".join(f"   {line}\n" for line in BOMB.splitlines()),
        "too_large",
    ),
    ("alias to itself", HEAD + "spec: &a {engine: {options: *a}}", "bad_alias"),
    ("unknown alias", HEAD + "spec: *a", "bad_alias"),
    ("over-deep", HEAD + "spec: {engine: {options: {a: " + "[" * 200 + "]" * 200 + "}}}", "too_deep"),
    ("abyss", "[" * 100_000, "too_deep"),
    ("oversized", HEAD + "description: " + "x" * 300_000, "too_large"),
    ("two documents", HEAD + "---\n" + HEAD, "bad_yaml"),
    ("python tag", HEAD + "description: !!python/object/apply:os.system [id]", "bad_tag"),
    ("binary tag", HEAD + "description: !!binary aGk=", "bad_tag"),
    ("set tag", HEAD + "labels: !!set {a}", "bad_tag"),
    ("local tag", HEAD + "description: !secret x", "bad_tag"),
    ("merge key", HEAD + "spec:\n  <<: {size: {pids: 9}}", "bad_key"),
    ("a number as key", HEAD + "labels: {1: x}", "bad_key"),
    ("a map as key", HEAD + "labels: {{a: 1}: x}", "bad_key"),
    ("null as key", HEAD + "labels: {~: x}", "bad_key"),
    ("YAML 1.1", "%YAML 1.1\n---\n" + HEAD, "bad_yaml"),
    ("not a number", HEAD + "spec: {engine: {options: {a: .nan}}}", "bad_number"),
    ("too large a number", HEAD + "spec: {engine: {options: {a: 1e999}}}", "bad_number"),
    ("thousand digits", HEAD + "spec: {engine: {options: {a: " + "9" * 5000 + "}}}", "bad_number"),
    ("tab", HEAD + "spec:\n\tsize: 1", "bad_yaml"),
    ("a path as name", HEAD.replace("name: t", "name: ../t"), "bad_value"),
    ("a slash in the name", HEAD.replace("name: t", "name: a/t"), "bad_value"),
    ("a name with a new line", HEAD.replace("name: t", 'name: "t\\n"'), "bad_value"),
    ("a dot as name", HEAD.replace("name: t", "name: ."), "bad_value"),
    ("no name", HEAD.replace("name: t\n", ""), "missing_field"),
    ("nothing of the envelope", "spec: {}", "missing_field"),
    ("a parent that is a path", HEAD + "extends: ../../etc/passwd", "bad_value"),
    ("a version that is none", HEAD.replace("1.0.0", "v1.0"), "bad_value"),
    ("a version with leading zeros", HEAD.replace("1.0.0", "01.0.0"), "bad_value"),
    ("a version that is a number", HEAD.replace("1.0.0", "1.0"), "type_mismatch"),
    ("an unknown field", HEAD + "extnds: base", "unknown_field"),
    ("another kind", HEAD.replace("Template", "Pod"), "bad_value"),
    ("NO is text", HEAD.replace("abstract: true", "abstract: NO"), "type_mismatch"),
    ("a constraint that does not read", HEAD + 'extends: ["a@>>1"]', "bad_constraint"),
    ("a lock on nothing known", HEAD + "final: [sizee.pids]", "unknown_field"),
    ("spec is a list", HEAD + "spec: []", "type_mismatch"),
    ("spec is null", HEAD + "spec:", "type_mismatch"),
    ("adapt is a map", HEAD + "adapt: {}", "type_mismatch"),
    ("a rule that is a text", HEAD + "adapt: [x]", "type_mismatch"),
    ("a rule without a condition", HEAD + "adapt: [{set: {}}]", "missing_field"),
    ("variables are a list", HEAD + "variables: []", "type_mismatch"),
    ("a declaration that is null", HEAD + "variables: {A: }", "type_mismatch"),
    ("an attribute as a variable", HEAD + "variables: {__class__.__init__: {}, 'a b': {}}", "bad_value"),
    ("a reserved variable", HEAD + "variables: {host.cpus: {}}", "reserved_variable"),
    ("a pattern that does not read", HEAD + "variables: {A: {pattern: '('}}", "bad_variable"),
    ("a wrong default", HEAD + "variables: {A: {type: integer, default: x}}", "bad_variable"),
    ("a default out of its enum", HEAD + "variables: {A: {enum: [a], default: b}}", "bad_variable"),
]


@pytest.mark.parametrize(("text", "code"), [case[1:] for case in FILES], ids=[case[0] for case in FILES])
def test_a_bad_file_is_refused_with_code_and_place(text: str | bytes, code: str) -> None:
    def published() -> None:
        document = parse(text, file="t.yaml")
        resolve(document.name, {document.name: document})

    errors = errors_of(published)
    assert {error.code for error in errors} == {code}
    assert all(error.file == "t.yaml" and error.message for error in errors)
    assert all(error.line > 0 and error.column > 0 for error in errors)
    assert len(set(errors)) == len(errors)


def test_yaml_1_2_reads_as_written() -> None:
    text = "no: NO\non: on\nyes: y\noctal: 0o17\nold: 017\nsix: 1:30\nhex: 0x1F\nunder: 1_000\nnull: x\n'~': ~\n"
    text = text.replace("null: x\n", "")
    body = "".join(f"      {line}\n" for line in text.splitlines())
    found = parse(HEAD + "spec:\n  engine:\n    options:\n" + body, file="t.yaml")
    assert resolve("t", {"t": found}).spec["engine"]["options"] == {  # type: ignore[index, call-overload]
        "no": "NO",
        "on": "on",
        "yes": "y",
        "octal": 15,
        "old": 17,
        "six": "1:30",
        "hex": 31,
        "under": "1_000",
        "~": None,
    }


def test_every_error_of_a_layer_and_of_a_result_is_collected() -> None:
    spec = {"packges": [], "size": {"pids": "x"}, "ports": [A, A], "labels": {"a": "${"}}
    assert sorted(codes_of(layer, "bad", spec)) == sorted(
        ["unknown_field", "type_mismatch", "duplicate_item", "bad_substitution"]
    )
    with pytest.raises(TemplateAbstract):
        resolve("t", written(t=([], {})), variables={})
    lonely = layer("t", {"size": {"pids": 9}}, abstract=False)
    assert {error.code for error in errors_of(resolve, "t", {"t": lonely})} == {"missing_field"}


def test_provenance_tells_who_set_each_leaf_and_what_it_hides() -> None:
    layers = diamond(
        {"size": {"pids": 9}, "packages": ["a"], "ports": [{**A, "description": "base"}]},
        {"size": {"pids": 10}, "packages": ["b"], "ports": [{**A, "description": "left"}]},
        {"size": {"pids": 11}, "packages": {"$prepend": ["c"]}, "ports": [B]},
    )
    found = last(**layers)
    (pids,) = found.explain("size.pids")
    assert (pids.template, pids.how, pids.line) == ("right", "set", 1)
    assert [(one.template, one.value) for one in pids.shadowed] == [("left", 10), ("base", 9)]
    assert [(one.value, one.template, one.how) for one in found.explain("packages")] == [
        ("c", "right", "prepend"),
        ("a", "base", "set"),
        ("b", "left", "append"),
    ]
    (description,) = found.explain("ports[0].description")
    assert [one.value for one in description.shadowed] == ["base"]
    assert [str(entry) for entry in found.explain("ports[1]")] == [str(found.provenance[-1])]


def test_a_template_fault_is_always_located() -> None:
    with pytest.raises(TemplateFault) as caught:
        last(**tower({"size": {"pids": 9}}, {"size": {"pids": "${X}"}}, {"size": {"pids": "${Y:-z}"}}))
    assert all(error.code and error.template and error.file and error.line for error in caught.value.errors)
