"""Operations as a client sees them: every key, the verbs, the key that makes a repeated request harmless."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from events.journal import record
from operations import submit
from operations.models import Evidence, Operation, Project, Stage, Step
from tests import factories
from tests.api.conftest import pointers, problem

OPERATIONS = "/api/v1/operations/"
TAKEN = "waits for a worker to take it"
KEYS = {
    "id", "type", "project_id", "agent_id", "capability", "engine", "status", "stage", "turn", "progress", "priority",
    "blocked_by", "queue_position", "attention", "take_over_by", "retry_count", "retry_strategy", "last_retry_at",
    "created_at", "started_at", "completed_at", "error", "result", "metadata",
}  # fmt: skip


def request_for(project: Project, **more: Any) -> dict[str, Any]:
    return {"type": "coding", "project_id": str(project.pk), "requirements": "Mend the quay.", **more}


def test_a_request_is_accepted_with_the_operation_and_where_it_is(client: APIClient, project: Project) -> None:
    answer = client.post(OPERATIONS, request_for(project, priority="high", metadata={"ticket": [7, None]}))
    assert answer.status_code == 202
    body = answer.json()
    assert answer["Location"] == f"{OPERATIONS}{body['id']}/"
    assert set(body) >= KEYS
    assert client.get(answer["Location"]).json() == body
    assert body | {"id": 0, "created_at": 0} == body | {
        "id": 0, "type": "coding", "project_id": str(project.pk), "agent_id": None, "capability": "development",
        "engine": {"kind": "auto", "label": ""}, "status": "queued", "stage": "init", "turn": 0, "progress": 0.0,
        "priority": "high", "queue_position": None, "attention": {"kind": "none", "reason": "", "since": None},
        "blocked_by": [{"kind": "worker", "detail": TAKEN, "words": TAKEN}], "retry_count": 0,
        "take_over_by": "", "retry_strategy": "", "last_retry_at": None, "created_at": 0, "started_at": None,
        "completed_at": None, "error": None, "result": None, "metadata": {"ticket": [7, None]},
    }  # fmt: skip
    assert body["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("field", "value", "status", "code", "pointer"),
    [
        ("requirements", " \n", 400, "requirement.refused", "/requirements"),
        ("requirements", "x" * 512_001, 400, "requirement.refused", "/requirements"),
        ("engine", "steam", 422, "engine.unknown", "/engine"),
        ("capability", "sailing", 400, "agent.unknown_capability", "/capability"),
        ("template", "nowhere", 404, "template.not_found", ""),
        ("template", "web", 422, "template.abstract", ""),
        ("size", {"memory_mb": 9000}, 400, "template.size_not_granted", "/size/memory_mb"),
        ("size", {"cpu_millis": 499}, 400, "template.size_not_granted", "/size/cpu_millis"),
        ("size", {"memory": 1024}, 400, "request.invalid", "/size/memory"),
        ("size", {"disk_mb": "2 GB"}, 400, "request.invalid", "/size/disk_mb"),
        ("size", {"disk_mb": None}, 400, "request.invalid", "/size/disk_mb"),
        ("size", {"disk_mb": 10**12}, 400, "request.invalid", "/size/disk_mb"),
        ("size", "large", 400, "request.invalid", "/size"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    client: APIClient, project: Project, field: str, value: str, status: int, code: str, pointer: str
) -> None:
    document = problem(client.post(OPERATIONS, request_for(project, **{field: value})), status, code)
    assert pointers(document) == ({pointer} if pointer else set())
    assert not Operation.objects.exists()


def test_a_size_is_chosen_and_the_same_request_again_asks_no_host(client: APIClient, project: Project) -> None:
    wanted = request_for(project, size={"memory_mb": 2048})
    first = client.post(OPERATIONS, wanted, HTTP_IDEMPOTENCY_KEY="k").json()
    assert first["size"] == {"memory_mb": 2048}
    factories.host(memory_mb=1000)
    again = client.post(OPERATIONS, wanted, HTTP_IDEMPOTENCY_KEY="k")
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    document = problem(client.post(OPERATIONS, wanted), 400, "host.size_not_lent")
    assert pointers(document) == {"/size/memory_mb"}


def test_the_same_key_and_request_again_answers_the_first_operation(client: APIClient, project: Project) -> None:
    first, again = (client.post(OPERATIONS, request_for(project), HTTP_IDEMPOTENCY_KEY="k") for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json(), first["Location"]) == (again.json(), again["Location"])
    other = client.post(OPERATIONS, request_for(project, requirements="Paint it."), HTTP_IDEMPOTENCY_KEY="k")
    problem(other, 409, "idempotency.conflict")
    assert client.post(OPERATIONS, request_for(project)).json()["id"] != first.json()["id"]


def test_a_key_that_would_be_cut_off_is_refused(client: APIClient, project: Project) -> None:
    for tail in "ab":
        answer = client.post(OPERATIONS, request_for(project), HTTP_IDEMPOTENCY_KEY="k" * 200 + tail)
        problem(answer, 400, "request.invalid")
    assert client.post(OPERATIONS, request_for(project), HTTP_IDEMPOTENCY_KEY="k" * 200).status_code == 202


def test_the_verbs_answer_the_operation_or_say_why_not(client: APIClient, operation: Operation) -> None:
    path = f"{OPERATIONS}{operation.pk}/"
    for verb, body in (("retry", {}), ("approve", {}), ("answer", {"text": "Seven."})):
        problem(client.post(f"{path}{verb}/", body), 409, "operation.not_possible")
    assert pointers(problem(client.post(f"{path}answer/", {}), 400, "request.invalid")) == {"/text"}
    cancelled = client.post(f"{path}cancel/")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert client.post(f"{path}cancel/").json() == cancelled.json()
    retried = client.post(f"{path}retry/")
    assert (retried.status_code, retried.json()["status"], retried.json()["retry_count"]) == (202, "queued", 1)


@pytest.mark.parametrize(
    ("kind", "verb", "body"), [("approval_required", "approve", {}), ("input_required", "answer", {"text": "Seven."})]
)
def test_what_waits_for_a_person_says_so_and_goes_on(
    client: APIClient, operation: Operation, kind: str, verb: str, body: dict[str, str]
) -> None:
    attention = {"kind": kind, "reason": "How many?", "since": timezone.now().isoformat()}
    Operation.objects.filter(pk=operation.pk).update(status="waiting", stage=Stage.PLAN, attention=attention)
    path = f"{OPERATIONS}{operation.pk}/"
    seen = client.get(path).json()
    assert seen["attention"]["kind"] == kind
    assert seen["blocked_by"] == [{"kind": kind, "detail": "How many?", "words": "How many?"}]
    other = {"approve": "answer", "answer": "approve"}[verb]
    problem(client.post(f"{path}{other}/", {"text": "x"}), 409, "operation.not_possible")
    went_on = client.post(f"{path}{verb}/", body)
    assert (went_on.status_code, went_on.json()["status"]) == (202, "running")
    assert went_on.json()["attention"]["kind"] == "none"


def test_a_failed_operation_shows_its_error_and_wants_attention(client: APIClient, operation: Operation) -> None:
    error = {"code": "tests.failed", "class": "permanent", "detail": "2 tests fail", "remedy": "Look at them."}
    now = timezone.now()
    Operation.objects.filter(pk=operation.pk).update(status="failed", error=error, completed_at=now)
    seen = client.get(f"{OPERATIONS}{operation.pk}/").json()
    assert seen["error"] == error
    assert (seen["attention"]["kind"], seen["attention"]["reason"]) == ("error", "2 tests fail")
    assert seen["blocked_by"] == []


def test_steps_evidence_events_and_diff_are_told_in_order(client: APIClient, operation: Operation) -> None:
    now = timezone.now()
    for turn in (0, 1):
        Step.objects.create(
            operation=operation, turn=turn, stage="init", attempt=turn + 1, claim=str(turn), started_at=now
        )
    Evidence.objects.create(operation=operation, turn=1, kind="tests.run", tree="a" * 40, passed=True, created_at=now)
    path = f"{OPERATIONS}{operation.pk}/"
    assert [step["turn"] for step in client.get(f"{path}steps/").json()["results"]] == [0, 1]
    assert [row["tree"] for row in client.get(f"{path}evidence/").json()] == ["a" * 40]
    assert client.get(f"{path}diff/").json() == {
        "files": [], "insertions": 0, "deletions": 0, "truncated": False, "text": "",
    }  # fmt: skip
    submit.cancel(by=operation.created_by, operation_id=operation.pk)
    events = client.get(f"{path}events/").json()
    assert [(event["seq"], event["kind"]) for event in events] == [
        (1, "operation.submitted"),
        (2, "operation.cancelled"),
    ]
    assert client.get(f"{path}events/", {"after": 1}).json() == events[1:]
    assert client.get(f"{path}events/", {"after": 2}).json() == []


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "null", "9" * 19, "1e3"])
def test_a_cursor_into_the_journal_is_a_number(client: APIClient, operation: Operation, after: str) -> None:
    answer = client.get(f"{OPERATIONS}{operation.pk}/events/", {"after": after})
    assert pointers(problem(answer, 400, "request.invalid")) == {"/after"}


@pytest.mark.parametrize("wait", ["-1", "31", "x", "nan", "inf", "1e9"])
def test_a_wait_out_of_bounds_is_refused(client: APIClient, operation: Operation, wait: str) -> None:
    answer = client.get(f"{OPERATIONS}{operation.pk}/", {"wait": wait})
    assert pointers(problem(answer, 400, "request.invalid")) == {"/wait"}


@pytest.mark.django_db(transaction=True)
class TestWaiting:
    """``?wait=`` answers when the operation changes, and after that time in any case."""

    @staticmethod
    def ask(client: APIClient, operation: Operation, **query: Any) -> tuple[float, dict[str, Any]]:
        began = time.monotonic()
        body = client.get(f"{OPERATIONS}{operation.pk}/", query).json()
        return time.monotonic() - began, body

    def test_after_the_time_it_answers_what_is(self, client: APIClient, operation: Operation) -> None:
        took, body = self.ask(client, operation, wait=0.7)
        assert took >= 0.7
        assert body["status"] == "queued"

    def test_it_answers_as_soon_as_something_changes(self, client: APIClient, operation: Operation) -> None:
        def cancel() -> None:
            time.sleep(0.5)
            submit.cancel(by=operation.created_by, operation_id=operation.pk)
            connection.close()

        changer = threading.Thread(target=cancel)
        changer.start()
        took, body = self.ask(client, operation, wait=30)
        changer.join()
        assert 0.4 <= took < 28
        assert body["status"] == "cancelled"

    def test_a_change_before_the_question_is_not_waited_for(self, client: APIClient, operation: Operation) -> None:
        with transaction.atomic():
            changed = submit.load(operation.pk)
            submit.advance(changed)
            record("operation.stage_finished", changed, actor="system", turn=changed.turn)
        took, body = self.ask(client, operation, wait=30, turn=0)
        assert took < 28
        assert body["turn"] == 1

    def test_what_has_ended_is_not_waited_for(self, client: APIClient, operation: Operation) -> None:
        submit.cancel(by=operation.created_by, operation_id=operation.pk)
        took, body = self.ask(client, operation, wait=20)
        assert took < 5
        assert body["status"] == "cancelled"


def test_a_list_is_filtered(client: APIClient, operation: Operation) -> None:
    def ids(**query: str) -> list[str]:
        return [row["id"] for row in client.get(OPERATIONS, query).json()["results"]]

    agent = factories.agent(by=operation.created_by)
    assert ids(status="queued") == ids(project_id=str(operation.project_id)) == [str(operation.pk)]
    assert ids(status="failed") == ids(project_id=str(agent.pk)) == ids(agent_id=str(agent.pk)) == []
    for query in ({"status": "sunk"}, {"project_id": "x"}, {"agent_id": "\0"}):
        assert pointers(problem(client.get(OPERATIONS, query), 400, "request.invalid")) == {f"/{next(iter(query))}"}
