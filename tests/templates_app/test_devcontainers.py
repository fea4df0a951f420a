"""A devcontainer.json as a parent: what comes along, and that the rest is listed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from templates_app import library
from templates_app.devcontainers import BadDevcontainer, Imported, convert
from templates_app.documents import parse
from templates_app.resolve import resolve

RUN_TIME = {
    "agent.id": "1", "agent.name": "a", "workspace.dir": "/w", "host.name": "h", "host.cpus": 1, "host.memory_mb": 1,
}  # fmt: skip


def made(given: dict[str, Any] | str, **more: str) -> tuple[Imported, Any]:
    imported = convert(given if isinstance(given, str) else json.dumps(given), **more)
    document = parse(imported.text, file="x.yaml")
    documents = {**library.load(), document.name: document}
    ports = {f"port.{port['name']}": 4000 for port in document.spec.get("ports", [])}  # type: ignore[union-attr,index,call-overload]
    return imported, resolve(document.name, documents, variables={**RUN_TIME, **ports}).spec


def left_out(imported: Imported) -> dict[str, str]:
    return {one.field: one.reason for one in imported.left_out}


def test_image_environment_ports_and_commands_come_along() -> None:
    imported, spec = made(
        {
            "name": "My App", "image": "python:3.11", "forwardPorts": [3000, 3000],
            "portsAttributes": {"3000": {"label": "Web"}},
            "containerEnv": {"A": "x$$y$HOME", "W": "${containerWorkspaceFolder}/b"},
            "postCreateCommand": {"one": "echo $HOME", "two": ["npm", "ci"]},
        }
    )  # fmt: skip
    assert imported.name == "my-app"
    assert spec["isolation"]["image"] == "python:3.11"
    assert spec["isolation"]["min"] == "container"
    assert (spec["environment"]["A"], spec["environment"]["W"]) == ("x$$y$HOME", "/w/b")
    assert spec["ports"] == [{"name": "port_3000", "description": "Web (3000)"}]
    assert spec["hooks"]["setup"] == [["sh", "-c", "echo $HOME"], ["npm", "ci"]]


def test_what_does_not_come_along_is_listed_with_its_reason() -> None:
    imported, spec = made(
        {
            "features": {"ghcr.io/x": {}}, "mounts": ["source=/,target=/host"], "customizations": {"vscode": {}},
            "runArgs": ["--privileged"], "forwardPorts": ["db:5432", 0, True], "unheard": 1,
            "remoteEnv": {"H": "${localEnv:HOME}", "B": "${something}", "bad name": "x", "N": 1},
        }
    )  # fmt: skip
    reasons = left_out(imported)
    assert "not supported" in reasons["features"]
    assert all("refused" in reasons[field] for field in ("mounts", "runArgs", "remoteEnv.H"))
    assert "ignored" in reasons["customizations"]
    assert {"unheard", "remoteEnv.B", "remoteEnv.bad name", "remoteEnv.N", "forwardPorts db:5432"} <= set(reasons)
    assert not {"H", "B", "N"} & set(spec["environment"])
    assert "mounts" in imported.text  # said in the text too


def test_comments_and_trailing_commas_are_fine_and_texts_keep_theirs() -> None:
    imported, spec = made('// c\n{"containerEnv": {"U": "http://x/*y*/,}",}, /* d */ "name": "a//b",}')
    assert spec["environment"]["U"] == "http://x/*y*/,}"
    assert imported.name == "a-b"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"a": 1, "a": 2}', '{"image": NaN}', "[" * 100_000, '{"a": "\\ud800"}', '{"a": "\\u0000"}',
     "x" * 300_000],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadDevcontainer):
        convert(text)


def test_foreign_text_cannot_leave_its_place() -> None:
    imported, spec = made({"bad\nspec: {size: {pids: 9}}": 1, "name": "x\nversion: 9", "image": "i\nj"})
    assert parse(imported.text, file="x").version == "1.0.0"
    assert spec["size"]["pids"] == 256


def test_a_name_that_no_template_can_have_is_refused() -> None:
    with pytest.raises(BadDevcontainer):
        convert("{}", name="../x")
    assert convert('{"name": "€"}').name == "devcontainer"
