"""What a template says is what an operation does: services, secrets, limits, permissions, log level."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core import serializers

from agents.models import Agent
from operations.models import Evidence, Operation
from resources import transcripts
from tests.fakes.llm_server import LlmServer, Say
from tests.flows.inline import PLAIN_TEMPLATE, Inline, left_held
from tests.flows.repositories import FIX, PROJECT, make
from tests.flows.test_fences import up_to
from tests.flows.test_llm import DONE, MEND, PLAN, REQUIREMENT, server
from tests.resources.sandboxes.test_packages import wheel

__all__ = ["server"]

SECRET = "tr0ub4dor-and-3-horses"
SERVER = (
    "import socket, os; s = socket.create_server(('127.0.0.1', int(os.environ['PORT_ECHO'])))"
    "\\nwhile 1: s.accept()[0].send(b'hi')"
)
ECHO = f"""
  ports: [{{name: echo}}]
  services:
    - name: echo
      command: [python3, -c, "{SERVER}"]
      port: echo
"""


def worn(data: Path, spec: str, *, parents: str = "python") -> str:
    """A template with this in its spec."""
    text = PLAIN_TEMPLATE.replace("name: plain", "name: mine").replace("extends: python", f"extends: {parents}")
    (data / "templates" / "mine.yaml").write_text(text + spec)
    return "mine"


def finished(inline: Inline, template: str, files: dict[str, str] | None = None, **request: Any) -> Operation:
    number = Operation.objects.count()
    remote = make(inline.roots / f"mine-{number}.git", files or PROJECT)
    return inline.finish(inline.submit(inline.project(remote, default_template=template), **request))


def with_test(body: str) -> dict[str, str]:
    return {**PROJECT, "test_more.py": body}


# --- services ---------------------------------------------------------------------------------------------------------

TALKS = """
import os, socket
def test_talks():
    assert socket.create_connection(("127.0.0.1", int(os.environ["PORT_ECHO"]))).recv(9) == b"hi"
"""


def test_the_projects_tests_find_the_services_of_the_template(inline: Inline, data_directory: Path) -> None:
    operation = finished(inline, worn(data_directory, ECHO), with_test(TALKS))
    assert operation.status == "succeeded", operation.error
    assert operation.result["tests"]["after"]["passed"] == 3
    for stage in ("analyze", "test"):
        assert "service echo: ready after" in operation.steps.get(stage=stage).log
    assert left_held() == []


def test_a_service_that_breaks_is_shown_with_the_end_of_its_log(inline: Inline, data_directory: Path) -> None:
    spec = "  services: [{name: db, command: [sh, -c, 'echo disk on fire >&2; exit 1'], ready: ['false']}]\n"
    operation = finished(inline, worn(data_directory, spec))
    assert (operation.status, operation.error["code"]) == ("failed", "services.failed")
    assert operation.error["facts"] == {"service": "db", "log": "disk on fire\n"}
    assert left_held() == []


ASKS = """
import os, subprocess
def query(text):
    words = ["psql", "-AtX", "-c", text, os.environ["DATABASE_URL"]]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
def test_asks():
    query("create table if not exists seen (at int)")
    query("insert into seen values (1)")
    assert int(query("select count(*) from seen")) >= 1
"""


@pytest.mark.needs_bubblewrap
@pytest.mark.needs_postgres_programs
def test_the_database_template_runs_postgresql_in_the_berth(
    inline: Inline, data_directory: Path, settings: Any
) -> None:
    settings.ISOLATION = "process"
    inline.register_host()
    text = "apiVersion: moorage/v1\nkind: Template\nname: mine\nversion: 1.0.0\nextends: [python, database]\n"
    (data_directory / "templates" / "mine.yaml").write_text(text)
    operation = finished(inline, "mine", with_test(ASKS))
    assert operation.status == "succeeded", operation.error
    assert operation.result["tests"]["after"]["passed"] == 3
    assert operation.steps.get(stage="test").product["counts"]["passed"] == 3
    assert "service db: ready after" in operation.steps.get(stage="test").log
    assert left_held() == []


# --- packages ---------------------------------------------------------------------------------------------------------


def test_packages_that_are_not_there_and_cannot_be_got_are_named_before_anything_runs(
    inline: Inline, data_directory: Path
) -> None:
    operation = finished(inline, worn(data_directory, "  packages: [git, moorage-no-such, 'pip:moorage-neither']\n"))
    assert (operation.status, operation.error["code"]) == ("failed", "packages.missing")
    assert operation.error["detail"] == "not in this berth: moorage-no-such pip:moorage-neither"
    assert "network.mirror" in operation.error["remedy"]
    assert operation.steps.get(stage="analyze").outcome != "done"
    assert left_held() == []


@pytest.mark.needs_bubblewrap
def test_packages_that_the_way_out_does_not_bring_fail_with_the_end_of_the_output(
    inline: Inline, data_directory: Path, settings: Any
) -> None:
    settings.ISOLATION = "process"
    inline.register_host()
    settings.DEBIAN_MIRROR = "deb [trusted=yes] copy:/nowhere ./"
    spec = "  packages: [moorage-no-such]\n  network: {mirror: true}\n"
    operation = finished(inline, worn(data_directory, spec))
    assert (operation.status, operation.error["code"]) == ("failed", "packages.failed")
    assert "apt-get ended with exit code 100" in operation.error["facts"]["output"]
    assert "packages: getting moorage-no-such, within 900 s" in operation.steps.get(stage="analyze").log


@pytest.mark.needs_bubblewrap
def test_packages_are_got_once_and_the_projects_tests_find_them(
    inline: Inline, data_directory: Path, settings: Any
) -> None:
    settings.ISOLATION = "process"
    inline.register_host()
    spec = (
        "  packages: ['pip:moorage-hello']\n  network: {mirror: true}\n"
        "  environment: {PIP_NO_INDEX: '1', PIP_FIND_LINKS: '${workspace.dir}/mirror'}\n"
    )
    remote = make(inline.roots / "mine.git", with_test("import moorage_hello\ndef test_it():\n    pass\n"))
    template = worn(data_directory, spec)
    operation = inline.submit(inline.project(remote, default_template=template))
    inline.run(until=lambda: Agent.objects.filter(state=Agent.State.RUNNING).exists())
    mirror = Path((Agent.objects.get().sandbox or {})["profile"]["workspace"]) / "mirror"
    mirror.mkdir(mode=0o755)
    wheel(mirror)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert operation.result["tests"]["after"]["passed"] == 3
    logs = "".join(operation.steps.values_list("log", flat=True))
    assert logs.count("packages: getting pip:moorage-hello") == 1
    assert logs.count("packages: there after") == 1


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(settings: Any, data_directory: Path) -> Path:
    settings.BERTH_SECRETS = data_directory / "secrets" / "berths"
    settings.BERTH_SECRETS.mkdir(parents=True)
    kept = settings.BERTH_SECRETS / "registry-token"
    kept.write_text(SECRET + "\n")
    kept.chmod(0o600)
    return Path(kept)


ENTRUSTED = f"""
import hashlib, os
def test_has_it():
    assert hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest() == "{hashlib.sha256(SECRET.encode()).hexdigest()}"
def test_tells_it():
    print("printed", os.environ["TOKEN"])
    assert not os.environ["TOKEN"], os.environ["TOKEN"]
"""
GIVEN = "  secrets: {TOKEN: registry-token}\n  hooks: {setup: [[sh, -c, 'echo hook says $TOKEN']]}\n"


def everything_kept() -> str:
    """Every row of every table."""
    models = [model for model in apps.get_models() if model._meta.managed]
    return "".join(serializers.serialize("json", model._default_manager.all()) for model in models)


def test_commands_are_given_the_secret_and_no_row_event_or_log_has_it(
    inline: Inline, data_directory: Path, secret: Path, caplog: pytest.LogCaptureFixture
) -> None:
    operation = finished(inline, worn(data_directory, GIVEN), with_test(ENTRUSTED))
    assert operation.status == "succeeded", operation.error
    before = operation.steps.get(stage="analyze").product["baseline"]
    assert before["counts"]["passed"] == 2, "it was there"
    log = operation.steps.get(stage="analyze").log
    assert "hook says ••••" in log
    assert "printed ••••" in log
    assert SECRET not in everything_kept()
    assert SECRET not in caplog.text
    assert not [path for path in data_directory.rglob("*") if path.is_file() and path != secret
                and SECRET.encode() in path.read_bytes()]  # fmt: skip


def test_whoever_watches_sees_the_commands_of_its_stages_and_not_the_secret(
    inline: Inline, data_directory: Path, secret: Path
) -> None:
    project = inline.project(
        make(inline.roots / "mine.git", with_test(ENTRUSTED)), default_template=worn(data_directory, GIVEN)
    )
    operation = inline.submit(project)
    up_to(inline, operation, "validate")
    assert operation.agent is not None
    assert operation.agent.sandbox is not None
    workspace = Path(operation.agent.sandbox["profile"]["workspace"])
    seen = "".join(path.read_text() for path in sorted(transcripts.directory_of(workspace).iterdir()))
    for stage in ("analyze", "test"):
        assert f"[{stage}] $ sh -c 'echo hook says $TOKEN'" in seen
        assert f"[{stage}] $ python -m pytest -q" in seen
    assert "hook says ••••\n" in seen
    assert "printed ••••" in seen
    assert seen.count(" failed, ") >= 2, "what pytest says at the end"
    assert SECRET not in seen
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert not transcripts.directory_of(workspace).exists(), "it went with the berth"


def test_a_change_with_the_secret_in_it_is_stopped(inline: Inline, data_directory: Path, secret: Path) -> None:
    told = FIX.replace("return a - b", f"return a - b  # {SECRET}")
    operation = finished(inline, worn(data_directory, GIVEN), requirements=told)
    assert (operation.status, operation.error["code"]) == ("failed", "gates.failed")
    assert operation.error["detail"] == "kept secrets: calc.py line 6 holds a kept secret"


@pytest.mark.parametrize(
    ("name", "mode", "content", "words"),
    [
        ("missing", 0o600, "x", "cannot be read"),
        ("registry-token", 0o640, SECRET, "others than its owner may read it"),
        ("registry-token", 0o600, "", "is empty"),
        ("a/../registry-token", 0o600, SECRET, "is no name"),
    ],
)
def test_a_secret_that_cannot_be_had_fails_the_berth_and_says_what_to_do(
    inline: Inline, data_directory: Path, secret: Path, name: str, mode: int, content: str, words: str
) -> None:
    secret.write_text(content)
    secret.chmod(mode)
    operation = finished(inline, worn(data_directory, f"  secrets: {{TOKEN: {name}}}\n"))
    assert (operation.status, operation.error["code"]) == ("failed", "secret.unavailable")
    assert words in operation.error["detail"]
    assert operation.error["remedy"]
    assert left_held()[1:] == [] or Agent.objects.get().state == Agent.State.STOPPED


# --- limits and permissions of the engine -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        ("{edit: deny}", "calc.py: the template lets the engine change no files"),
        ("{paths: [docs/**]}", "calc.py lies outside of where the engine may change files: docs/**"),
    ],
)
def test_an_edit_that_is_not_permitted_is_refused(
    inline: Inline, data_directory: Path, permissions: str, words: str
) -> None:
    operation = finished(inline, worn(data_directory, f"  engine: {{permissions: {permissions}}}\n"))
    assert (operation.status, operation.error["code"]) == ("failed", "engine.not_permitted")
    assert operation.error["detail"] == words


def test_an_edit_that_is_permitted_is_made(inline: Inline, data_directory: Path) -> None:
    operation = finished(inline, worn(data_directory, "  engine: {permissions: {paths: ['*.py']}}\n"))
    assert operation.status == "succeeded", operation.error


def says(**arguments: Any) -> Say:
    return Say(calls=(("RunCommand", arguments),))


def test_a_model_may_not_run_commands_where_the_template_denies_it(
    inline: Inline, data_directory: Path, server: LlmServer
) -> None:
    server.script.extend([PLAN, says(argv=["touch", "made.txt"]), says(argv=["touch", "again.txt"])])
    spec = "  engine: {kind: llm, limits: {steps: 2}, permissions: {run: deny}}\n"
    operation = finished(inline, worn(data_directory, spec), requirements=REQUIREMENT)
    assert "the template lets the engine run no commands" in str(server.requests[-1].body)
    assert operation.status == "failed"
    assert operation.error["detail"] == "The coder did not finish within 2 answers."


def test_what_a_command_changed_behind_the_permissions_is_stopped_by_a_gate(
    inline: Inline, data_directory: Path, server: LlmServer
) -> None:
    mend = "s = open('calc.py').read(); open('calc.py', 'w').write(s[:-6] + 'a - b\\n')"
    server.script.extend([PLAN, says(argv=["python3", "-c", mend]), DONE])
    spec = "  engine: {kind: llm, max_attempts: 1, permissions: {edit: deny}}\n"
    operation = finished(inline, worn(data_directory, spec), requirements=REQUIREMENT)
    gate = Evidence.objects.filter(operation=operation, name="engine permissions").first()
    assert gate is not None
    assert (gate.passed, gate.detail["text"]) == (False, "calc.py is not the engine's to change")


def test_output_of_the_engines_commands_is_bounded_as_the_template_says(
    inline: Inline, data_directory: Path, server: LlmServer
) -> None:
    server.script.extend([PLAN, says(argv=["python3", "-c", "print('x' * 9000)"]), MEND, DONE])
    spec = "  engine: {kind: llm, limits: {output_bytes: 2000}}\n"
    finished(inline, worn(data_directory, spec), requirements=REQUIREMENT)
    assert not any("x" * 2100 in str(request.body) for request in server.requests)
    assert any("x" * 500 in str(request.body) for request in server.requests)


def test_an_engine_that_takes_too_long_is_ended(inline: Inline, data_directory: Path, server: LlmServer) -> None:
    server.script.extend([PLAN, says(argv=["sleep", "60"]), DONE])
    spec = "  engine: {kind: llm, limits: {timeout_s: 2}}\n"
    operation = finished(inline, worn(data_directory, spec), requirements=REQUIREMENT)
    assert (operation.status, operation.error["code"]) == ("failed", "engine.time_limit")
    assert operation.error["detail"] == "the engine was ended after 2 s, as its template says"


# --- hooks and logs ---------------------------------------------------------------------------------------------------


def test_the_engine_does_not_begin_when_the_time_for_all_of_the_work_is_over(
    inline: Inline, data_directory: Path
) -> None:
    spec = "  budgets: {wall_s: 1}\n  hooks: {setup: [[sleep, '1.1']]}\n"
    operation = finished(inline, worn(data_directory, spec))
    assert (operation.status, operation.error["code"]) == ("failed", "engine.time_limit")
    assert operation.error["detail"] == "the 1 s that its template gives this work are over"
    assert operation.stage == "code"


def test_a_setup_hook_has_the_time_that_the_template_gives(inline: Inline, data_directory: Path) -> None:
    spec = "  hooks: {setup: [[sleep, '60']], setup_timeout_s: 1}\n"
    operation = finished(inline, worn(data_directory, spec))
    assert "did not end within 1 s" in operation.error["detail"]


@pytest.mark.parametrize(
    ("level", "there", "absent"),
    [
        ("debug", ["base main", "exit 1 after"], []),
        ("info", ["base main"], ["exit 1 after"]),
        ("warning", ["1 failed"], ["base main"]),
        ("error", [], ["1 failed", "base main"]),
    ],
)
def test_the_log_holds_what_the_template_wants_to_hear(
    inline: Inline, data_directory: Path, level: str, there: list[str], absent: list[str]
) -> None:
    operation = finished(inline, worn(data_directory, f"  log_level: {level}\n"))
    assert operation.status == "succeeded", operation.error
    log = operation.steps.get(stage="analyze").log
    assert [words for words in there if words not in log] == []
    assert [words for words in absent if words in log] == []


def test_agents_are_listed_by_the_labels_of_their_templates(inline: Inline, data_directory: Path, client: Any) -> None:
    operation = finished(inline, worn(data_directory, "  labels: {team/owner: harbour}\n"))
    client.force_login(inline.user)
    found = client.get("/api/v1/agents/?has_label=team/owner=harbour").json()["results"]
    assert [row["id"] for row in found] == [str(operation.agent_id)]
    assert found[0]["labels"] == {"language": "python", "team/owner": "harbour"}
    assert client.get("/api/v1/agents/?has_label=team/owner=other").json()["results"] == []
    assert client.get("/api/v1/agents/?has_label=nonsense").status_code == 400
