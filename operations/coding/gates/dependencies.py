"""The gate on what a project newly depends on, by name; a new version of an old dependency is none."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from operations.coding.gates.subject import Subject, matches
from operations.coding.gates.verdicts import GateResult, verdict

Document = Mapping[str, Any]
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_SCRIPTS = ("preinstall", "install", "postinstall", "prepare", "prepublish")


def dependencies(subject: Subject) -> GateResult:
    """No package that the project did not need before, no new source of packages, no new script at install time."""
    found = []
    for path, source in subject.sources.items():
        for pattern, read in _READERS:
            if matches(path.rsplit("/", 1)[-1], (pattern,)) or matches(path, (pattern, f"*/{pattern}")):
                new = _names(read, source.after) - _names(read, source.before)
                found += [f"{path} asks for {name}" for name in sorted(new)]
                break
    elsewhere = _everywhere(subject)
    found = [words for words in found if words.split(" asks for ", 1)[1] not in elsewhere]
    return verdict("dependencies", found, "none new")


def _everywhere(subject: Subject) -> set[str]:
    """What any changed file asked for before: it may have moved between them."""
    known: set[str] = set()
    for path, source in subject.sources.items():
        for pattern, read in _READERS:
            if matches(path.rsplit("/", 1)[-1], (pattern,)) or matches(path, (pattern, f"*/{pattern}")):
                known |= _names(read, source.before)
                break
    return known


def _names(read: Callable[[str], Iterable[str]], text: str | None) -> set[str]:
    """What a file asks for; nothing for one that cannot be read: then whoever uses it fails."""
    if text is None:
        return set()
    try:
        return set(read(text))
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, AttributeError, TypeError, RecursionError):
        return set()


def _requirement(words: str) -> str:
    """The name of a requirement as Python compares it; a requirement by URL keeps it."""
    match = _NAME.match(words)
    name = re.sub(r"[-_.]+", "-", match[1]).lower() if match else words.strip()
    return f"{name} from an address" if " @ " in words or words.startswith(("git+", "http")) else name


def _requirements(text: str) -> Iterable[str]:
    for raw in text.splitlines():
        line = raw.split(" #")[0].strip()
        if line.startswith(("--index-url", "--extra-index-url", "-i ", "--find-links", "-e ", "--trusted-host")):
            yield line
        elif line and line[0] not in "#-":
            yield _requirement(line)


def _pyproject(text: str) -> Iterable[str]:
    document = tomllib.loads(text)
    project, tool = document.get("project", {}), document.get("tool", {})
    groups = [
        project.get("dependencies", []), *project.get("optional-dependencies", {}).values(),
        *document.get("dependency-groups", {}).values(), document.get("build-system", {}).get("requires", []),
    ]  # fmt: skip
    yield from (_requirement(words) for group in groups for words in group if isinstance(words, str))
    poetry = tool.get("poetry", {})
    tables = [poetry.get("dependencies", {}), poetry.get("dev-dependencies", {})]
    tables += [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    yield from (_requirement(name) for table in tables for name in table if name != "python")


def _setup_cfg(text: str) -> Iterable[str]:
    inside = False
    for line in text.splitlines():
        if line[:1] in {"[", ""} or not line[0].isspace():
            key, _, rest = line.partition("=")
            inside = key.strip() in {"install_requires", "setup_requires", "tests_require"}
            line = rest if inside else ""
        if inside and line.strip() and not line.strip().startswith("#"):
            yield _requirement(line.strip())


def _package_json(text: str) -> Iterable[str]:
    document = json.loads(text)
    for table in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies"):
        yield from document.get(table, {})
    for name in _SCRIPTS:
        if name in document.get("scripts", {}):
            yield f"the {name} script {document['scripts'][name]!r}"


def _pipfile(text: str) -> Iterable[str]:
    document = tomllib.loads(text)
    yield from (_requirement(name) for table in ("packages", "dev-packages") for name in document.get(table, {}))
    yield from (source.get("url", "") for source in document.get("source", []))


def _cargo(text: str) -> Iterable[str]:
    document = tomllib.loads(text)
    for table in ("dependencies", "dev-dependencies", "build-dependencies"):
        yield from document.get(table, {})


def _go_mod(text: str) -> Iterable[str]:
    yield from re.findall(r"^(?:require\s+|\t)([\w./-]+\.[\w./-]+) v\S+", text, re.MULTILINE)
    yield from (f"a replacement of {name}" for name in re.findall(r"^replace\s+(\S+)", text, re.MULTILINE))


def _gemfile(text: str) -> Iterable[str]:
    yield from re.findall(r"^\s*gem\s+[\"']([^\"']+)", text, re.MULTILINE)
    yield from re.findall(r"^\s*source\s+[\"']([^\"']+)", text, re.MULTILINE)


def _composer(text: str) -> Iterable[str]:
    document = json.loads(text)
    yield from (*document.get("require", {}), *document.get("require-dev", {}))


_READERS: tuple[tuple[str, Callable[[str], Iterable[str]]], ...] = (
    ("requirements*.txt", _requirements),
    ("requirements*.in", _requirements),
    ("requirements/*.txt", _requirements),
    ("requirements/*.in", _requirements),
    ("pyproject.toml", _pyproject),
    ("setup.cfg", _setup_cfg),
    ("package.json", _package_json),
    ("Pipfile", _pipfile),
    ("Cargo.toml", _cargo),
    ("go.mod", _go_mod),
    ("Gemfile", _gemfile),
    ("composer.json", _composer),
)
