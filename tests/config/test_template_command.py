"""``manage.py template``: checks, syncs, and brings agents what has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agents.models import Agent
from events.models import Event
from templates_app import active, publish
from tests import factories

pytestmark = pytest.mark.django_db

HEAD = "apiVersion: moorage/v1\nkind: Template\n"


@pytest.fixture
def own(tmp_path: Path, settings: Any) -> Path:
    directory = tmp_path / "templates"
    directory.mkdir()
    settings.TEMPLATE_DIRECTORIES = [settings.TEMPLATE_DIRECTORIES[0], directory]
    return directory


def put(directory: Path, name: str, body: str = "", *, extends: str = "lightweight") -> Path:
    path = directory / f"{name}.yaml"
    path.write_text(f"{HEAD}name: {name}\nversion: 1.0.0\nextends: {extends}\n{body}")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    call_command("template", *arguments)
    said = capsys.readouterr()
    return said.out, said.err


def test_all_templates_of_this_machine_are_sound(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "all sound" in run(capsys, "validate")[0]


def test_errors_come_with_file_line_and_column_all_at_once(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = put(own, "bad", "spec: {size: {pids: 1}, colour: red}\n")
    worse = put(own, "worse", extends="bad")
    for given in ([], [str(bad), str(worse)]):
        with pytest.raises(CommandError, match="3 errors"):
            call_command("template", "validate", *given)
        said = capsys.readouterr().err
        assert "bad.yaml:6:15: spec.size.pids" in said
        assert "bad.yaml:6:25: spec.colour" in said
        assert "worse.yaml:5" in said


def test_a_file_is_checked_with_those_that_build_on_it(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish.publish(put(own, "mid").read_text(), actor="user:ada")
    heir = f"{HEAD}name: heir\nversion: 1.0.0\nextends: mid\nspec: {{engine: {{max_attempts: 5}}}}\n"
    publish.publish(heir, actor="user:ada")
    changed = put(own, "mid", "final: [engine.max_attempts]\n")
    with pytest.raises(CommandError):
        call_command("template", "validate", str(changed))
    assert "heir" in capsys.readouterr().err
    assert "final" not in active.text_of("mid")


def test_a_file_that_is_not_there_is_said(own: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("template", "validate", str(own / "nothing.yaml"))


def test_sync_puts_files_into_force_and_says_what_is_refused(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(own, "dock")
    assert "dock: in force" in run(capsys, "sync")[0]
    assert "Nothing has changed" in run(capsys, "sync")[0]
    (own / "dock.yaml").write_text("name: [")
    with pytest.raises(CommandError, match="1 refused"):
        call_command("template", "sync")


def test_an_agent_gets_live_fields_and_is_told_what_it_lacks(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factories.host()
    publish.publish(put(own, "dock").read_text(), actor="user:ada")
    agent = factories.running("dock", name="scout")
    assert "has what dock says" in run(capsys, "update-agent", "scout")[0]
    body = "version: 1.1.0\nextends: lightweight\nspec: {idle_timeout_s: 77, size: {pids: 99}}\n"
    publish.publish(f"{HEAD}name: dock\n{body}", actor="user:ada")
    said = run(capsys, "update-agent", "scout", "--dry-run")[0]
    assert "would get  idle_timeout_s: 600 → 77" in said
    assert Agent.objects.get(pk=agent.pk).resolved["spec"]["idle_timeout_s"] == 600
    said = run(capsys, "update-agent", str(agent.pk))[0]
    assert "got  idle_timeout_s: 600 → 77" in said
    assert "lacks  size.pids: 128 → 99" in said
    now = Agent.objects.get(pk=agent.pk)
    assert (now.resolved["spec"]["idle_timeout_s"], now.resolved["spec"]["size"]["pids"]) == (77, 128)
    assert Event.objects.filter(kind="agent.outfit_reloaded").count() == 1
    with pytest.raises(CommandError, match="no agent 'nobody'"):
        call_command("template", "update-agent", "nobody")
    waiting = factories.agent("dock", name="late")
    with pytest.raises(CommandError, match="spawning"):
        call_command("template", "update-agent", waiting.name)
