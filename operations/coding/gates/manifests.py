"""What a project asks for, read from its manifests and lock files: names of packages, and where they come from.

A package from an address counts with its host; one that comes from there all along is not new, whatever its version.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

Read = Callable[[str], Iterable[str]]
UNREADABLE = (tomllib.TOMLDecodeError, ValueError, AttributeError, TypeError, RecursionError, SyntaxError, MemoryError)

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_SCRIPTS = ("preinstall", "install", "postinstall", "prepare", "prepublish", "prepublishOnly")
_OPTION = re.compile(
    r"(?:-[rfie]|--(?:index-url|extra-index-url|find-links|editable|requirement|trusted-host))[=\s]?\S"
)


def _host(address: str) -> str:
    """Where an address leads: its host, or the folder that it names here."""
    parts = urlsplit(address.removeprefix("git+"))
    return parts.hostname or address.split("@")[-1].split(":")[0].split("/")[0]


def _requirement(words: str) -> str:
    """The name of a requirement as Python compares it; one by address with its host."""
    match = _NAME.match(words)
    name = re.sub(r"[-_.]+", "-", match[1]).lower() if match else words.strip()
    if " @ " in words or words.startswith(("git+", "http", "file:", "./", "../")):
        address = words.split(" @ ")[-1].strip()
        return f"{name if ' @ ' in words else 'a package'} from {_host(address)}"
    return name


def _requirements(text: str) -> Iterator[str]:
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.split(" #")[0].strip()
        if _OPTION.match(line):
            yield line[:200]
        elif line and line[0] not in "#-":
            yield _requirement(line)


def _table(table: Any) -> Iterator[str]:
    """A table from names to versions; what comes from elsewhere is told with its host."""
    for name, wanted in dict(table or {}).items():
        found = wanted if isinstance(wanted, dict) else {"url": wanted} if _elsewhere(wanted) else {}
        address = next((str(found[key]) for key in ("git", "url", "path", "registry", "index") if found.get(key)), "")
        yield f"{_requirement(name)} from {_host(address)}" if address else _requirement(name)


def _elsewhere(wanted: object) -> bool:
    return isinstance(wanted, str) and (":" in wanted or "/" in wanted)


def _pyproject(text: str) -> Iterator[str]:
    document = tomllib.loads(text)
    project, tool, build = document.get("project", {}), document.get("tool", {}), document.get("build-system", {})
    uv, pdm, poetry = tool.get("uv", {}), tool.get("pdm", {}), tool.get("poetry", {})
    groups = [
        project.get("dependencies", []), *project.get("optional-dependencies", {}).values(),
        *document.get("dependency-groups", {}).values(), build.get("requires", []),
        uv.get("dev-dependencies", []), *pdm.get("dev-dependencies", {}).values(),
        *(env.get("dependencies", []) for env in tool.get("hatch", {}).get("envs", {}).values()),
    ]  # fmt: skip
    yield from (_requirement(words) for group in groups for words in group if isinstance(words, str))
    tables = [poetry.get("dependencies", {}), poetry.get("dev-dependencies", {})]
    tables += [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    yield from (name for table in tables for name in _table(table) if name != "python")
    yield from (f"the source of {name}" for name in _table(uv.get("sources")))
    for source in [*uv.get("index", []), *poetry.get("source", []), *pdm.get("source", [])]:
        yield f"the package source {source.get('url', '')}"
    yield from (
        f"the build backend {words}" for words in (build.get("build-backend"), *build.get("backend-path", [])) if words
    )


def _setup_cfg(text: str) -> Iterator[str]:
    inside, extras = False, False
    for line in text.splitlines():
        if line[:1] in {"[", ""} or not line[0].isspace():
            extras = line.startswith("[options.extras_require") if line[:1] == "[" else extras
            key, _, rest = line.partition("=")
            inside = extras or key.strip() in {"install_requires", "setup_requires", "tests_require"}
            line = rest if inside and line[:1] != "[" else ""
        if inside and line.strip() and not line.strip().startswith("#"):
            yield _requirement(line.strip())


def _setup_py(text: str) -> Iterator[str]:
    wanted = {"install_requires", "setup_requires", "tests_require", "extras_require", "dependency_links"}
    for node in ast.walk(ast.parse(text)):
        name = node.arg if isinstance(node, ast.keyword) else getattr(getattr(node, "targets", [None])[0], "id", None)
        value = getattr(node, "value", None)
        if name in wanted and isinstance(value, ast.AST):
            texts = (part.value for part in ast.walk(value) if isinstance(part, ast.Constant))
            yield from (_requirement(words) for words in texts if isinstance(words, str))


def _package_json(text: str) -> Iterator[str]:
    document = json.loads(text)
    for table in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies"):
        yield from _npm(document.get(table))
    for table in (document.get("overrides"), document.get("resolutions"), document.get("pnpm", {}).get("overrides")):
        yield from (f"another {name}" for name in _npm(table))
    for name in _SCRIPTS:
        if name in document.get("scripts", {}):
            yield f"the {name} script {document['scripts'][name]!r}"


def _npm(table: Any) -> Iterator[str]:
    for name, wanted in dict(table or {}).items():
        outside = (
            isinstance(wanted, str) and re.match(r"[\w+]+:|[\w-]+/", wanted) and not wanted.startswith("workspace:")
        )
        yield (
            f"{name} from {wanted.rsplit('@', 1)[0] if wanted.startswith('npm:') else _host(wanted)}"
            if outside
            else name
        )


def _package_lock(text: str) -> Iterator[str]:
    document = json.loads(text)
    for path, package in {**document.get("packages", {}), **document.get("dependencies", {})}.items():
        if path:
            address = str(package.get("resolved") or "")
            name = path.rsplit("node_modules/", 1)[-1]
            yield f"{name} from {_host(address)}" if "://" in address and "registry.npmjs.org" not in address else name


def _json_tables(*tables: str) -> Read:
    def read(text: str) -> Iterator[str]:
        document = json.loads(text)
        for table in tables:
            found = document.get(table, {})
            yield from (one["name"] for one in found) if isinstance(found, list) else found

    return read


def _toml_lock(text: str) -> Iterator[str]:
    for package in tomllib.loads(text).get("package", []):
        source = package.get("source")
        address = source if isinstance(source, str) else next(iter(source.values()), "") if source else ""
        usual = not address or "crates.io" in str(address) or "pypi.org" in str(address)
        yield package["name"] if usual else f"{package['name']} from {_host(str(address))}"


def _pipfile(text: str) -> Iterator[str]:
    document = tomllib.loads(text)
    yield from (name for table in ("packages", "dev-packages") for name in _table(document.get(table)))
    yield from (source.get("url", "") for source in document.get("source", []))


def _cargo(text: str) -> Iterator[str]:
    document = tomllib.loads(text)
    places: list[Mapping[str, Any]] = [document, document.get("workspace", {}), *document.get("target", {}).values()]
    for place in places:
        for table in ("dependencies", "dev-dependencies", "build-dependencies"):
            yield from _table(
                {name: wanted if isinstance(wanted, dict) else {} for name, wanted in place.get(table, {}).items()}
            )
    for table in (*document.get("patch", {}).values(), document.get("replace", {})):
        yield from (f"another {name}" for name in _table(table))


def _go_mod(text: str) -> Iterator[str]:
    yield from re.findall(r"^(?:require\s+|\t)([\w./-]+\.[\w./-]+) v\S+", text, re.MULTILINE)
    yield from (f"a replacement of {name}" for name in re.findall(r"^replace\s+(\S+)", text, re.MULTILINE))


def _lines(*patterns: str) -> Read:
    """Where nothing but the lines can be read: the first group of each match."""
    known = [re.compile(pattern, re.MULTILINE) for pattern in patterns]
    return lambda text: [found for pattern in known for found in pattern.findall(text)]


READERS: tuple[tuple[str, Read], ...] = (
    ("*requirements*.txt", _requirements), ("*requirements*.in", _requirements), ("*requirements*.lock", _requirements),
    ("requirements/*.txt", _requirements), ("requirements/*.in", _requirements), ("*constraints*.txt", _requirements),
    ("pyproject.toml", _pyproject), ("setup.cfg", _setup_cfg), ("setup.py", _setup_py), ("Pipfile", _pipfile),
    ("Pipfile.lock", _json_tables("default", "develop")),
    ("poetry.lock", _toml_lock), ("uv.lock", _toml_lock), ("pdm.lock", _toml_lock), ("Cargo.lock", _toml_lock),
    ("environment.y*ml", _lines(r"^\s*-\s*([A-Za-z][\w.-]*)")),
    ("package.json", _package_json), ("package-lock.json", _package_lock), ("npm-shrinkwrap.json", _package_lock),
    ("yarn.lock", _lines(r'^"?(@?[\w./-]+)@', r'^  resolved "https?://(?!registry\.(?:yarnpkg\.com|npmjs\.org))([^/"]+)')),
    ("pnpm-lock.yaml", _lines(r"^  '?/?(@?[\w./-]+?)[@/]\d", r"tarball: (\S+)")),
    ("Cargo.toml", _cargo), ("go.mod", _go_mod),
    ("Gemfile", _lines(r"^\s*gem\s+[\"']([^\"']+)", r"^\s*source\s+[\"']([^\"']+)")),
    ("Gemfile.lock", _lines(r"^    ([\w.-]+) \(", r"^  remote: (\S+)")),
    ("composer.json", _json_tables("require", "require-dev")),
    ("composer.lock", _json_tables("packages", "packages-dev")),
    ("pom.xml", _lines(r"<artifactId>\s*([^<\s]+)", r"<repository>\s*(?:<id>[^<]*</id>\s*)?<url>([^<]+)")),
    ("*.gradle", _lines(r"^\s*\w+[ (]+[\"']([\w.-]+:[\w.-]+)", r"maven\s*\{\s*url\s*=?\s*[\"']?([^\"'\s}]+)")),
    ("*.gradle.kts", _lines(r"^\s*\w+\(\s*\"([\w.-]+:[\w.-]+)", r"maven\(\s*\"([^\"]+)")),
    ("*.csproj", _lines(r"PackageReference\s+Include=\"([^\"]+)")),
    ("Dockerfile*", _lines(r"(?i)^FROM\s+(?:--\S+\s+)*([^\s:@]+)")),
)  # fmt: skip
PATTERNS = tuple(pattern for pattern, _ in READERS)
