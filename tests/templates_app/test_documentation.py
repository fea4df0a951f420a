"""Every example of docs/templates.md is run, and its table of fields is that of the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from templates_app.documents import Document, parse
from templates_app.faults import TemplateFault
from templates_app.library import load
from templates_app.resolve import resolve
from templates_app.schema import spec_schema

PAGE = Path(__file__).parents[2] / "docs" / "templates.md"
BLOCK = re.compile(r"^```(yaml|json|text) (.+)\n((?:.*\n)*?)```$", re.MULTILINE)
BLOCKS = [(kind, head.split(), body) for kind, head, body in BLOCK.findall(PAGE.read_text("utf-8"))]
TEMPLATES = {head[0]: body for kind, head, body in BLOCKS if kind == "yaml"}


def given(words: list[str]) -> dict[str, object] | None:
    pairs = [word.split("=", 1) for word in words]
    return {name: int(value) if value.isdecimal() else value for name, value in pairs} or None


def outcome(name: str, words: list[str]) -> Any:
    """The spec of a template of the page, or the lines of its errors."""
    documents: dict[str, Document] = dict(load())
    try:
        for file, text in TEMPLATES.items():
            if file in (f"{name}.yaml",) or not file.startswith("wrong"):
                documents[file.removesuffix(".yaml")] = parse(text, file=file)
        return resolve(name, documents, variables=given(words)).spec
    except TemplateFault as fault:
        return [str(error) for error in fault.errors]


@pytest.mark.parametrize(("head", "body"), [(head, body) for kind, head, body in BLOCKS if kind == "json"])
def test_an_example_resolves_to_what_the_page_says(head: list[str], body: str) -> None:
    spec = outcome(head[0], head[1:])
    expected = json.loads(body)
    assert {key: spec[key] for key in expected} == expected


@pytest.mark.parametrize(("head", "body"), [(head, body) for kind, head, body in BLOCKS if kind == "text"])
def test_an_example_is_refused_with_the_lines_of_the_page(head: list[str], body: str) -> None:
    assert outcome(head[0], head[1:]) == body.splitlines()


def test_no_template_of_the_page_is_left_without_being_run() -> None:
    named = {head[0] for kind, head, _ in BLOCKS if kind != "yaml"}
    used = {parent.name for name in TEMPLATES if name != "wrong.yaml" for parent in parse(TEMPLATES[name]).extends}
    assert {name.removesuffix(".yaml") for name in TEMPLATES} <= named | used
    assert PAGE.read_text("utf-8").count("```") == 2 * len(BLOCKS)


def kind_in_words(schema: Mapping[str, Any], *, live: bool) -> str:
    if "enum" in schema:
        words = " \\| ".join(f"`{one}`" if one else "empty" for one in schema["enum"])
    else:
        words = "integer or range" if "x-range" in schema else str(schema["type"])
    return f"{words}, live" if live else words


def fields(schema: Mapping[str, Any], path: str = "", *, live: bool = False) -> list[str]:
    lines = []
    for name, inner in schema.get("properties", {}).items():
        here, lives = f"{path}.{name}" if path else name, live or bool(inner.get("x-live"))
        if inner.get("type") == "object" and "properties" in inner:
            lines += fields(inner, here, live=lives)
        else:
            lines.append(f"| `{here}` | {kind_in_words(inner, live=lives)} | {inner['description']} |")
        lines += fields(inner.get("items", {}), f"{here}[]", live=lives)
    return lines


def shipped() -> list[str]:
    return [f"| `{name}` | {one.description} |" for name, one in sorted(load().documents.items())]


def test_the_table_of_shipped_templates_is_made_of_their_descriptions() -> None:
    written = PAGE.read_text("utf-8").split("<!-- shipped -->\n")[1].split("<!-- /shipped -->")[0]
    assert written.strip() == "\n".join(["| template | what it is |", "|---|---|", *shipped()])


def test_the_table_of_fields_is_that_of_the_schema() -> None:
    written = PAGE.read_text("utf-8").split("<!-- fields -->\n")[1].split("<!-- /fields -->")[0]
    expected = "\n".join(["| field | kind | meaning |", "|---|---|---|", *fields(spec_schema())])
    assert written.strip() == expected
