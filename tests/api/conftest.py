"""A server inside the test, two users and staff, and what they may call it with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from config.access.models import Scope, issue
from operations import projects, submit
from operations.models import Operation, Project
from tests import factories


def caller(user: Any, *, scope: Scope = Scope.WRITE) -> APIClient:
    """A client with a token of this user. A view that breaks answers 500, as it would for a real one."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue(user=user, scope=scope)}")
    return client


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, checked for everything that each of them has."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert {"type", "title", "status", "code", "detail", "request_id", "errors"} <= set(document)
    assert (document["status"], document["code"]) == (status, code)
    assert document["detail"]
    assert document["request_id"] == response["X-Request-ID"]
    assert all({"pointer", "code", "detail"} <= set(error) for error in document["errors"])
    return document


def pointers(document: dict[str, Any]) -> set[str]:
    return {error["pointer"] for error in document["errors"]}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, settings: Any) -> Path:
    """A directory beneath which repositories are allowed, and one for templates of our own."""
    roots = tmp_path / "roots"
    (roots / "bay.git").mkdir(parents=True)
    settings.REPOSITORY_ROOTS = [roots]
    settings.TEMPLATE_DIRECTORIES = [settings.TEMPLATE_DIRECTORIES[0], tmp_path / "templates"]
    return tmp_path


@pytest.fixture
def repository_url(places: Path) -> str:
    return str(places / "roots" / "bay.git")


@pytest.fixture
def ada(db: None) -> Any:
    return factories.user("ada")


@pytest.fixture
def client(ada: Any) -> APIClient:
    """Ada's."""
    return caller(ada)


@pytest.fixture
def stranger(db: None) -> APIClient:
    """Another user's."""
    return caller(factories.user("eve"))


@pytest.fixture
def staff(db: None) -> APIClient:
    return caller(factories.user("root", staff=True))


@pytest.fixture
def project(ada: Any, repository_url: str) -> Project:
    return projects.create(by=ada, name="bay", repository_url=repository_url)


@pytest.fixture
def operation(ada: Any, project: Project) -> Operation:
    return submit.submit(by=ada, project=project, requirements="Count the berths.")
