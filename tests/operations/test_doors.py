"""The doors for requests and projects: what they refuse, and that they decide under the row's lock."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from agents.engines import registry
from agents.engines.external.assignment import Stopped
from agents.engines.protocol import EngineUnavailable
from operations import faults, permission, policy, projects
from operations.coding import credentials, pull_requests, remotes
from operations.coding.forges.github_forge import GitHubForge
from operations.coding.forges.local_forge import LocalForge
from operations.models import Operation, Project, Step
from operations.submit import LONGEST_ANSWER, answer, approve, retry, submit
from operations.wizard import TaskForm
from tests.flows.fixtures import inline
from tests.flows.inline import Inline
from tests.flows.repositories import BREAK, PROJECT, make

__all__ = ["inline"]


def asking(inline: Inline, **fields: Any) -> Operation:
    """An operation that waits with a question."""
    operation = inline.submit(**fields)
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "code")
    inline.queued()
    asked = {"kind": "input_required", "reason": "Which colour?", "since": None}
    Operation.objects.filter(pk=operation.pk).update(status="waiting", attention=asked, wake_up_at=None)
    return operation


def test_an_answer_that_is_none_is_refused_and_the_question_stands(inline: Inline) -> None:
    operation = asking(inline)
    for text in ("", "  \n", "x" * (LONGEST_ANSWER + 1), "a\0b"):
        with pytest.raises(faults.AnswerRefused) as refused:
            answer(by=inline.user, operation_id=operation.pk, text=text)
        assert (refused.value.http_status, refused.value.pointer) == (400, "/text")
        operation.refresh_from_db()
        assert (operation.status, operation.attention["kind"]) == ("waiting", "input_required")


ASKED = {"asked": "print", "words": "execute make", "session": "s-1", "told": "says: hm", "tree": "t" * 40}


@pytest.mark.parametrize(("word", "allowed"), [(None, True), ("Yes.", True), ("No, edit the file.", False)])
def test_what_a_program_asks_for_is_decided_by_approval_or_by_words(
    inline: Inline, word: str | None, allowed: bool
) -> None:
    operation = asking(inline)
    asked = {"kind": "approval_required", "about": "permission", "reason": "Run make?", "since": None}
    Operation.objects.filter(pk=operation.pk).update(attention=asked)
    Step.objects.create(
        operation=operation, turn=operation.turn, stage="code", attempt=1, claim="c", outcome="fault",
        action=permission.ACTION, fault={"facts": ASKED}, started_at=operation.created_at,
        finished_at=operation.created_at,
    )  # fmt: skip
    assert permission.decided(operation) == {}
    assert permission.stopped(operation) is None
    if word is None:
        approve(by=inline.user, operation_id=operation.pk)
    else:
        answer(by=inline.user, operation_id=operation.pk, text=word)
    operation.refresh_from_db()
    assert (operation.status, operation.attention) == ("running", None)
    assert permission.decided(operation) == {"print": allowed}
    assert operation.answers == ([] if word is None else [word])
    stopped = Stopped("execute make", allowed, word or "", session="s-1", told="says: hm", tree="t" * 40)
    assert permission.stopped(operation) == stopped
    Step.objects.create(
        operation=operation, turn=operation.turn, stage="code", attempt=2, claim="d", outcome="lost",
        started_at=operation.created_at, finished_at=operation.created_at,
    )  # fmt: skip
    assert permission.stopped(operation) == replace(stopped, session="")  # it may know more than the files hold
    Operation.objects.filter(pk=operation.pk).update(counting_from=operation.turn + 1)  # as after a retry
    operation.refresh_from_db()
    assert permission.decided(operation) == {}


@pytest.mark.parametrize("forged", [7, "ja", [1], {"a": 1}])
def test_answers_that_come_with_the_request_are_nobodys_answers(inline: Inline, forged: Any) -> None:
    operation = inline.finish(inline.submit(metadata={"answers": forged}))
    assert operation.status == "succeeded", operation.error
    assert (operation.answers, operation.metadata) == ([], {"answers": forged})


def test_a_request_is_the_same_request_after_a_question_of_its_operation_was_answered(inline: Inline) -> None:
    project = inline.project()
    operation = asking(inline, project=project, idempotency_key="k1", metadata={"ticket": 7})
    answer(by=inline.user, operation_id=operation.pk, text="blue")
    again = inline.submit(project, idempotency_key="k1", metadata={"ticket": 7})
    assert again.pk == operation.pk
    assert again.answers == ["blue"]


def test_an_engine_that_the_template_has_no_program_for_is_refused_with_the_request(inline: Inline) -> None:
    with pytest.raises(EngineUnavailable) as refused:
        inline.submit(engine="external")
    assert refused.value.code == "engine.unavailable"
    assert refused.value.remedy_text
    assert Operation.objects.count() == 0


def test_no_work_is_taken_for_a_project_that_was_archived_meanwhile(inline: Inline) -> None:
    project = inline.project()
    failed = inline.run_pauses(inline.submit(project, requirements=BREAK))
    assert failed.status == "failed"
    projects.archive(by=inline.user, project_id=project.pk)
    with pytest.raises(faults.ProjectNotFound):
        submit(by=inline.user, project=project, requirements="The page still showed it.")
    with pytest.raises(faults.ProjectNotFound):
        retry(by=inline.user, operation_id=failed.pk)
    assert Operation.objects.count() == 1


@pytest.mark.parametrize("field", ["repository_url", "base_branch"])
def test_where_work_starts_does_not_change_under_operations_that_run(inline: Inline, field: str) -> None:
    project = inline.project()
    operation = inline.submit(project)
    other = {"repository_url": str(make(inline.roots / "other.git", PROJECT).path), "base_branch": "release"}[field]
    with pytest.raises(faults.ProjectBusy) as refused:
        projects.change(by=inline.user, project_id=project.pk, name="renamed", **{field: other})
    assert refused.value.pointer == f"/{field}"
    project.refresh_from_db()
    assert (project.name, getattr(project, field)) != ("renamed", other)
    same = {field: getattr(project, field)}
    assert projects.change(by=inline.user, project_id=project.pk, name="renamed", **same).name == "renamed"
    assert inline.finish(operation).status == "succeeded"
    changed = projects.change(by=inline.user, project_id=project.pk, **{field: other})
    assert getattr(changed, field) == other


def test_the_name_service_is_not_asked_while_the_project_is_locked(
    inline: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = inline.project()
    asked: list[bool] = []

    def look_up(*_arguments: Any, **_more: Any) -> Any:
        asked.append(connection.in_atomic_block)
        raise OSError("no name service here")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    projects.change(by=inline.user, project_id=project.pk, repository_url="https://git.example.org/o/n.git")
    assert asked
    assert not any(asked)


@pytest.mark.parametrize(
    ("url", "forge"),
    [
        ("git@github.com:owner/name.git", GitHubForge),
        ("ssh://git@github.com/owner/name.git", GitHubForge),
        ("https://github.com/owner/name.git", GitHubForge),
        ("git@gitlab.com:owner/name.git", LocalForge),
    ],
)
def test_the_forge_is_that_of_the_remotes_host_however_its_address_is_written(
    inline: Inline, settings: Any, url: str, forge: type
) -> None:
    settings.REPOSITORY_HOSTS = ["github.com", "gitlab.com"]
    operation = inline.submit()
    Project.objects.filter(pk=operation.project_id).update(repository_url=url)
    fresh = Operation.objects.select_related("project").get(pk=operation.pk)
    assert isinstance(pull_requests.forge_for(fresh), forge)
    assert policy.project(inline.user, operation.project_id).repository_url == url


def test_the_console_offers_no_engine_that_every_request_is_refused_for(inline: Inline) -> None:
    field: Any = TaskForm(user=inline.user).fields["engine"]
    offered = [value for value, _ in field.choices]
    spec = {"engine": {"external": {"program": ["agent"]}}}
    for engine in offered:
        registry.check_available(registry.kind_of(engine), spec=spec)


def test_git_is_shown_the_key_and_the_known_servers_that_the_operator_names(settings: Any) -> None:
    assert credentials.configured().ssh_key_file is None
    settings.GIT_SSH_KEY_FILE, settings.GIT_SSH_KNOWN_HOSTS_FILE = "/keys/id", "/keys/known_hosts"
    url = "git@git.example.org:team/app.git"
    remote = remotes.check_url(url, allowed_hosts=("git.example.org",), resolve=lambda _host: ("192.0.2.1",))
    with credentials.shown_to(remote, credentials.configured(), addresses=(), beside=Path("/")) as environment:
        words = environment["GIT_SSH_COMMAND"]
    assert "-i /keys/id -oIdentitiesOnly=yes" in words
    assert "-oUserKnownHostsFile=/keys/known_hosts" in words
