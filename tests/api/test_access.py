"""Who may do what: tokens, scopes, sessions, and what belongs to somebody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from config.access.models import ApiToken, Scope, issue
from operations.models import Operation, Project
from tests import factories
from tests.api.conftest import caller, problem

ONE_OF_EACH = ("projects", "operations", "agents", "hosts", "queues", "sessions", "metrics", "health", "templates")


def with_header(value: str) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=value)
    return client


@pytest.mark.parametrize("path", [*ONE_OF_EACH, "leases"])
def test_nobody_is_told_how_to_become_somebody(db: None, path: str) -> None:
    answer = APIClient().get(f"/api/v1/{path}/")
    problem(answer, 401, "request.not_authenticated")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("token", ["", "moor_", "moor_x", "ü", "a b", "moor_" + "x" * 10_000])
def test_an_unknown_token_is_refused(db: None, token: str) -> None:
    answer = with_header(f"Bearer {token}").get("/api/v1/operations/")
    problem(answer, 401, "request.authentication_failed")


def test_an_expired_a_revoked_and_an_inactive_user_s_token_are_refused(ada: Any) -> None:
    expired = issue(user=ada, expires_at=timezone.now() - timedelta(seconds=1))
    revoked = issue(user=ada)
    ApiToken.objects.filter(hint=revoked[:12]).update(revoked_at=timezone.now())
    for token in (expired, revoked):
        problem(with_header(f"Bearer {token}").get("/api/v1/projects/"), 401, "request.authentication_failed")
    good = with_header(f"bearer {issue(user=ada, expires_at=timezone.now() + timedelta(hours=1))}")
    assert good.get("/api/v1/projects/").status_code == 200
    ada.is_active = False
    ada.save()
    problem(good.get("/api/v1/projects/"), 401, "request.authentication_failed")


def test_a_token_is_never_told(ada: Any) -> None:
    token = issue(user=ada)
    answer = with_header(f"Bearer {token}x").get("/api/v1/projects/")
    assert token not in answer.content.decode()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_a_reading_token_does_not_write(ada: Any, project: Project, operation: Operation, method: str) -> None:
    reader = caller(ada, scope=Scope.READ)
    path = f"/api/v1/operations/{operation.pk}/cancel/" if method == "post" else f"/api/v1/projects/{project.pk}/"
    answer = getattr(reader, method)(path, {"name": "mine"})
    assert "may only read" in problem(answer, 403, "request.permission_denied")["detail"]
    assert reader.get(f"/api/v1/operations/{operation.pk}/").json()["status"] == "queued"
    assert reader.get(f"/api/v1/projects/{project.pk}/").json()["name"] == "bay"


def test_a_session_writes_with_the_csrf_token_only(ada: Any, project: Project) -> None:
    browser = APIClient(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(ada)
    body = {"project_id": str(project.pk), "requirements": "Mend the quay."}
    problem(browser.post("/api/v1/operations/", body), 403, "request.permission_denied")
    assert Operation.objects.count() == 0
    assert browser.get("/api/v1/operations/").status_code == 200
    browser.get("/admin/login/?next=/")  # hands out the cookie
    browser.cookies["csrftoken"] = "a" * 32
    accepted = browser.post("/api/v1/operations/", body, HTTP_X_CSRFTOKEN="a" * 32)
    assert accepted.status_code == 202


def test_a_token_in_the_query_opens_nothing(ada: Any) -> None:
    assert APIClient().get("/api/v1/projects/", {"token": issue(user=ada)}).status_code == 401


@pytest.mark.parametrize("part", ["", "steps/", "events/", "evidence/", "diff/", "recording/"])
def test_another_user_s_operation_does_not_exist(stranger: APIClient, operation: Operation, part: str) -> None:
    problem(stranger.get(f"/api/v1/operations/{operation.pk}/{part}"), 404, "operation.not_found")


@pytest.mark.parametrize(
    "verb", ["cancel", "retry", "approve", "answer", "take-over", "hand-back", "rework", "leave", "close", "look"]
)
def test_another_user_s_operation_is_not_steered(stranger: APIClient, operation: Operation, verb: str) -> None:
    path = f"/api/v1/operations/{operation.pk}/{verb}/"
    problem(stranger.post(path, {"text": "yes"}), 404, "operation.not_found")
    operation.refresh_from_db()
    assert operation.status == "queued"


def test_another_user_s_project_does_not_exist(stranger: APIClient, project: Project) -> None:
    path = f"/api/v1/projects/{project.pk}/"
    for answer in (stranger.get(path), stranger.patch(path, {"name": "mine"}), stranger.delete(path)):
        problem(answer, 404, "project.not_found")
    body = {"project_id": str(project.pk), "requirements": "Mend the quay."}
    problem(stranger.post("/api/v1/operations/", body), 404, "project.not_found")
    agent = {"template": "lightweight", "project_id": str(project.pk)}
    problem(stranger.post("/api/v1/agents/", agent), 404, "project.not_found")


def test_another_user_s_agent_does_not_exist(ada: Any, stranger: APIClient) -> None:
    path = f"/api/v1/agents/{factories.agent(by=ada).pk}/"
    for answer in (stranger.get(path), stranger.get(f"{path}health/"), stranger.post(f"{path}stop/")):
        problem(answer, 404, "agent.not_found")
    assert caller(ada).get(path).json()["state"] == "spawning"


def test_lists_hold_what_is_one_s_own_and_staff_see_all(
    client: APIClient, stranger: APIClient, staff: APIClient, operation: Operation
) -> None:
    factories.agent(by=operation.created_by)
    for path in ("projects", "operations", "agents"):
        found = [len(c.get(f"/api/v1/{path}/").json()["results"]) for c in (client, stranger, staff)]
        assert found == [1, 0, 1], path


def test_only_staff_drain_hosts_read_leases_and_publish_templates(client: APIClient, staff: APIClient) -> None:
    host = factories.host()
    problem(client.post(f"/api/v1/hosts/{host.pk}/drain/"), 403, "request.permission_denied")
    problem(client.get("/api/v1/leases/"), 403, "request.permission_denied")
    problem(client.post("/api/v1/templates/", {"text": "x"}), 403, "request.permission_denied")
    assert staff.post(f"/api/v1/hosts/{host.pk}/drain/").json()["verdict"] == "draining"
    assert staff.post(f"/api/v1/hosts/{host.pk}/undrain/").json()["verdict"] == "alive"
    assert staff.get("/api/v1/leases/").status_code == 200


@pytest.mark.parametrize("path", ONE_OF_EACH)
def test_head_answers_like_get_without_a_body_and_options_describes(client: APIClient, path: str) -> None:
    head = client.head(f"/api/v1/{path}/")
    assert (head.status_code, head.content) == (200, b"")
    options = client.options(f"/api/v1/{path}/")
    assert options.status_code == 200
    assert "GET" in options["Allow"]
