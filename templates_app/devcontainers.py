"""``devcontainer.json`` as a template: the part of it that means something here, and a list of what was left out.

The format: https://containers.dev/implementors/json_reference/. It is JSON with comments and trailing commas.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from events.faults import Fault, FaultClass
from templates_app.schema import matches, template_schema
from templates_app.yaml_text import MAX_BYTES, Json

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)
_REFUSED = "refused: a berth does not get this from a repository"
_UNSUPPORTED = "not supported: put what it brings into the image, `packages` or `hooks.setup`"
_IGNORED = "ignored: it concerns an editor, not the berth"
_LEFT_OUT = {
    "features": _UNSUPPORTED,
    "overrideFeatureInstallOrder": _UNSUPPORTED,
    "build": "not supported: build the image beforehand and name it",
    "dockerFile": "not supported: build the image beforehand and name it",
    "dockerComposeFile": "not supported: side services are `services` here",
    "service": "not supported: side services are `services` here",
    "runServices": "not supported: side services are `services` here",
    "mounts": _REFUSED,
    "workspaceMount": _REFUSED,
    "runArgs": _REFUSED,
    "privileged": _REFUSED,
    "capAdd": _REFUSED,
    "securityOpt": _REFUSED,
    "initializeCommand": "refused: it would run on the host",
    "customizations": _IGNORED,
    "settings": _IGNORED,
    "extensions": _IGNORED,
    "otherPortsAttributes": _IGNORED,
    "shutdownAction": _IGNORED,
    "waitFor": _IGNORED,
}
_TAKEN = {
    "name",
    "image",
    "containerEnv",
    "remoteEnv",
    "forwardPorts",
    "portsAttributes",
    "postCreateCommand",
    "$schema",
}


class BadDevcontainer(Fault):
    """A text that is no devcontainer.json, or of which nothing could be used."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.bad_devcontainer"
    remedy = "Give a devcontainer.json: one JSON object; comments and trailing commas are fine."


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One field that did not come along, and why."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A template's text, to be looked at and published, and what of the original is not in it."""

    name: str
    text: str
    left_out: tuple[LeftOut, ...]


def convert(text: str, *, name: str = "", extends: str = "base") -> Imported:
    """The template that a devcontainer.json describes. Raises BadDevcontainer."""
    given = _read(text)
    named = name or _slug(given.get("name")) or "devcontainer"
    if not matches(template_schema()["properties"]["name"]["pattern"], named):
        raise BadDevcontainer(
            f"{named[:80]!r} cannot be the name of a template", pointer="/name", remedy="Give a name."
        )
    left_out = [LeftOut(key, _LEFT_OUT.get(key, "not known here")) for key in given if key not in _TAKEN]
    spec: dict[str, Json] = {}
    for take in (_image, _environment, _ports, _commands):
        take(given, spec, lambda field, reason: left_out.append(LeftOut(field, reason)))
    title = given.get("name")
    document: dict[str, Json] = {
        "apiVersion": "moorage/v1", "kind": "Template", "name": named, "version": "1.0.0", "extends": extends,
        "description": f"From a devcontainer.json{f': {title}' if isinstance(title, str) and title else ''}."[:2000],
        "spec": spec,
    }  # fmt: skip
    remarks = "".join(f"#   {_line(f'{one.field}: {one.reason}')}\n" for one in left_out)
    head = "# Imported from a devcontainer.json." + (" Left out:\n" + remarks if remarks else "\n")
    return Imported(named, head + _dumped(document), tuple(left_out))


def _line(text: str) -> str:
    """Foreign text as part of one comment: nothing in it ends the line."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]


def _dumped(value: Json) -> str:
    """A value as YAML, in the order of its keys."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment] # its annotation says None
    yaml.width, yaml.allow_unicode = 110, True
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _read(text: str) -> Mapping[str, Any]:
    if len(text) > MAX_BYTES:
        raise BadDevcontainer(f"longer than {MAX_BYTES} characters", pointer="/text")
    without = _TOKEN.sub(lambda found: found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0]), text)
    try:
        given = json.loads(without, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadDevcontainer(f"line {error.lineno}, column {error.colno}: {error.msg}", pointer="/text") from error
    except (ValueError, RecursionError) as error:
        words = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadDevcontainer(words, pointer="/text") from error
    if not isinstance(given, dict):
        raise BadDevcontainer("a devcontainer.json is one JSON object", pointer="/text")
    if re.search(r"[\ud800-\udfff\x00]", json.dumps(given, ensure_ascii=False)) or "\\u0000" in json.dumps(given):
        raise BadDevcontainer("it holds a NUL or half of a surrogate pair", pointer="/text")
    return given


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if doubled := next((key for key in keys if keys.count(key) > 1), None) if len(keys) < 2000 else "too many keys":
        raise ValueError(f"the key {doubled!r} stands there twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _slug(title: object) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") if isinstance(title, str) else ""
    return re.sub(r"^[^a-z]+", "", words)[:63].rstrip("-")


_Leave = Callable[[str, str], None]


def _literal(text: str) -> str:
    """The text with its dollars meant as such."""
    return text.replace("$", "$$")


def _image(given: Mapping[str, Any], spec: dict[str, Json], leave: _Leave) -> None:
    image = given.get("image")
    if image is None:
        return
    if not isinstance(image, str) or not image or "${" in image or len(image) > 300:
        leave("image", "not the plain name of an image")
        return
    spec["isolation"] = {"min": "container", "image": _literal(image)}


def _environment(given: Mapping[str, Any], spec: dict[str, Json], leave: _Leave) -> None:
    kept: dict[str, Json] = {}
    for field in ("containerEnv", "remoteEnv"):
        variables = given.get(field) or {}
        if not isinstance(variables, dict):
            leave(field, "not an object")
            continue
        for name, value in variables.items():
            if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                leave(f"{field}.{name}", "not a text under a name that an environment variable can have")
            elif "${localEnv:" in value or "${env:" in value:
                leave(f"{field}.{name}", "refused: it would take a value from the environment of the server")
            else:
                known = value.replace("${containerWorkspaceFolder}", "\0")
                if "${" in known:
                    leave(f"{field}.{name}", "uses a variable that means nothing here")
                else:
                    kept[name] = _literal(known).replace("\0", "${workspace.dir}")
    if kept:
        spec["environment"] = kept


def _ports(given: Mapping[str, Any], spec: dict[str, Json], leave: _Leave) -> None:
    forwarded = given.get("forwardPorts") or []
    attributes = given.get("portsAttributes")
    ports: list[Json] = []
    for port in forwarded if isinstance(forwarded, list) else [forwarded]:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            leave(f"forwardPorts {str(port)[:80]}", "not a port of the berth itself")
            continue
        if any(one["name"] == f"port_{port}" for one in ports if isinstance(one, dict)):
            continue
        said = attributes.get(str(port)) if isinstance(attributes, dict) else None
        label = said.get("label") if isinstance(said, dict) else None
        words = f"{label} ({port})" if isinstance(label, str) else f"Port {port} of the devcontainer"
        ports.append({"name": f"port_{port}", "description": _literal(words)[:300]})
        leave(f"forwardPorts {port}", f"another number: listen on the one in the environment variable PORT_PORT_{port}")
    if ports:
        spec["ports"] = ports


def _commands(given: Mapping[str, Any], spec: dict[str, Json], leave: _Leave) -> None:
    wanted = given.get("postCreateCommand")
    commands: list[Json] = []
    for label, command in _each(wanted):
        if isinstance(command, str) and command.strip():
            commands.append(["sh", "-c", _literal(command)])
        elif isinstance(command, list) and command and all(isinstance(part, str) for part in command):
            commands.append([_literal(part) for part in command])
        else:
            leave(label, "neither a text nor a list of texts")
    if commands:
        spec["hooks"] = {"setup": commands}


def _each(wanted: Any) -> Iterator[tuple[str, Any]]:
    """One command, or several by name, which there run side by side and here one after the other."""
    if isinstance(wanted, dict):
        yield from ((f"postCreateCommand.{name}", command) for name, command in wanted.items())
    elif wanted not in (None, "", []):
        yield "postCreateCommand", wanted
