"""``moorage template …`` as a real process against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.access.models import Scope, issue
from templates_app import publish
from tests import factories

Run = Callable[..., Any]

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: dock\n"
SOUND = f"{HEAD}version: 1.0.0\nextends: python\ndescription: A dock.\nspec: {{size: {{pids: 99}}}}\n"


@pytest.fixture
def ada(live_server: Any, environment: dict[str, str]) -> Any:
    """Staff, with a token in the client's environment."""
    user = factories.user(staff=True)
    environment.update(
        MOORAGE_URL=live_server.url, MOORAGE_TOKEN=issue(user=user, scope=Scope.WRITE, name="", expires_at=None)
    )
    return user


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dock.yaml"
    path.write_text(SOUND)
    return path


def said(done: Any, code: int = 0) -> str:
    assert done.returncode == code, (done.stdout, done.stderr)
    return str(done.stdout + done.stderr)


def test_reading(ada: Any, moorage: Run) -> None:
    assert "python-web" in said(moorage("template", "list"))
    assert "name: python" in said(moorage("template", "show", "python"))
    assert "Did you mean 'python'" in said(moorage("template", "show", "pyton"), 3)
    explained = said(moorage("template", "explain", "python-web", "size.memory_mb"))
    assert "python-web 1." in explained
    assert "(base 1." in explained
    (entry,) = json.loads(moorage("template", "explain", "python-web", "size.memory_mb", "--json").stdout)
    assert entry["path"] == "size.memory_mb"
    assert "nothing at 'size.colour'" in said(moorage("template", "explain", "python", "size.colour"), 3)
    assert "python-web" in said(moorage("template", "dependents", "web"))
    differs = said(moorage("template", "diff", "base", "lightweight"))
    assert "idle_timeout_s: 1800 → 600  (live)" in differs
    assert "No difference" in said(moorage("template", "diff", "base", "base"))


def test_resolving_with_values(ada: Any, moorage: Run, tmp_path: Path) -> None:
    spec = json.loads(moorage("template", "resolve", "python-web", "--set", "port.web=4711").stdout)
    assert spec["environment"]["PORT"] == "4711"
    (tmp_path / "name").write_text("from a file\n")
    spec = json.loads(moorage("template", "resolve", "base", "--set", f"agent.name=@{tmp_path / 'name'}").stdout)
    assert spec["environment"]["MOORAGE_AGENT"] == "from a file"
    assert "bad_value" in said(moorage("template", "resolve", "base", "--set", "ENGINE=sloop"), 3)
    assert "Did you mean 'ENGINE'" in said(moorage("template", "resolve", "base", "--set", "ENGIN=llm"), 3)
    assert "NAME=VALUE" in said(moorage("template", "resolve", "base", "--set", "ENGINE"), 2)


def test_validation_says_file_line_column_and_hint(ada: Any, moorage: Run, file: Path, tmp_path: Path) -> None:
    assert "dock is sound" in said(moorage("template", "validate", str(file)))
    bad = tmp_path / "bad.yaml"
    bad.write_text(f"{HEAD}version: 1.0.0\nextends: pyton\nspce: {{}}\n")
    text = said(moorage("template", "validate", str(bad), str(file)), 1)
    assert f"{bad}:6:1: " in text
    assert "Did you mean 'spec'" in text
    assert "dock is sound" in text
    child = tmp_path / "child.yaml"
    child.write_text(SOUND.replace("name: dock", "name: child").replace("extends: python", "extends: dock"))
    assert "child is sound" in said(moorage("template", "validate", str(child), str(file)))
    assert f"{child}:5:" in said(moorage("template", "validate", str(child)), 1)


def test_publishing_exporting_versions_and_deprecation(ada: Any, moorage: Run, file: Path, tmp_path: Path) -> None:
    assert "dock 1.0.0 is in force" in said(moorage("template", "publish", str(file)))
    out = tmp_path / "out.yaml"
    assert str(out) in said(moorage("template", "export", "dock", "-o", str(out)))
    assert out.read_text() == SOUND
    file.write_text(SOUND.replace("1.0.0", "1.1.0").replace("99", "98"))
    said(moorage("template", "publish", str(file)))
    listed = json.loads(moorage("template", "versions", "dock", "--json").stdout)
    assert [(row["version"], row["current"]) for row in listed] == [("1.1.0", True), ("1.0.0", False)]
    first = listed[1]["digest"][:12]
    assert "size.pids: 99 → 98" in said(moorage("template", "diff", f"dock@{first}", "dock"))
    assert "dock 1.0.0 is in force" in said(moorage("template", "return", "dock", first))
    assert "deprecated" in said(moorage("template", "deprecate", "dock", "--reason", "old", "--instead", "python"))
    assert "Deprecated: old. Use python." in said(moorage("template", "show", "dock"))
    said(moorage("template", "restore", "dock"))
    file.write_text(SOUND.replace("99", "1"))
    assert f"{file}:7:" in said(moorage("template", "publish", str(file)), 3)


def test_the_life_of_a_draft_and_an_import(ada: Any, moorage: Run, file: Path, tmp_path: Path) -> None:
    assert "revision 1" in said(moorage("template", "draft", "save", "dock", str(file)))
    assert "draft_moved" in said(moorage("template", "draft", "save", "dock", str(file), "--revision", "0"), 3)
    assert "dock" in said(moorage("template", "draft", "list"))
    assert "A dock." in said(moorage("template", "draft", "show", "dock"))
    assert "is in force" in said(moorage("template", "draft", "publish", "dock"))
    container = tmp_path / "devcontainer.json"
    container.write_text('{"name": "App", "image": "x:1", "mounts": ["a"], // no\n}')
    text = said(moorage("template", "import", str(container)))
    assert "left out: mounts: refused" in text
    assert "image: x:1" in said(moorage("template", "draft", "show", "app"))
    said(moorage("template", "draft", "discard", "app"))
    assert "draft_not_found" in said(moorage("template", "draft", "show", "app"), 3)


def test_agents_that_lack_something(ada: Any, moorage: Run, file: Path) -> None:
    factories.host()
    publish.publish(SOUND, actor="user:ada")
    factories.running("dock", name="scout")
    publish.publish(SOUND.replace("1.0.0", "1.1.0").replace("99", "98"), actor="user:ada")
    text = said(moorage("template", "agents", "dock"))
    assert "outdated" in text
    assert "scout lacks size.pids: 99 → 98" in text


def test_who_is_not_staff_reads_and_does_not_publish(
    live_server: Any, environment: Any, moorage: Run, file: Path
) -> None:
    token = issue(user=factories.user("eve"), scope=Scope.WRITE, name="", expires_at=None)
    environment.update(MOORAGE_URL=live_server.url, MOORAGE_TOKEN=token)
    said(moorage("template", "show", "python"))
    said(moorage("template", "validate", str(file)))
    for refused in (["publish", str(file)], ["draft", "list"], ["deprecate", "python"], ["import", str(file)]):
        assert "permission_denied" in said(moorage("template", *refused), 3)
