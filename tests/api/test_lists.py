"""Lists: whole, without doubles, and at the same number of queries however long they are."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from operations import projects, submit
from operations.models import Operation, Step
from tests import factories

Grow = Callable[[int], None]


def rows_of(client: APIClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """All entries, page by page, by the links."""
    answer = client.get(path, query).json()
    found = list(answer["results"])
    while answer["next"]:
        answer = client.get(answer["next"]).json()
        found += answer["results"]
    return found


@pytest.fixture
def growers(ada: Any, repository_url: str) -> dict[str, Grow]:
    """What makes each list longer by one."""
    factories.host(slots=2)

    def operation(n: int) -> None:
        project = projects.create(by=factories.user(f"u{n}"), name=f"p{n}", repository_url=repository_url)
        made = submit.submit(by=ada, project=project, requirements="x")
        agent = factories.placed(by=ada) if n < 2 else factories.agent(by=ada)
        Operation.objects.filter(pk=made.pk).update(agent=agent, status="waiting", turn=1)

    return {
        "operations": operation,
        "projects": operation,
        "agents": operation,
        "hosts": lambda n: void(factories.host(f"node-{n}")),
        "leases": operation,
        "queues": operation,
        "metrics": lambda n: void(factories.host(f"node-{n}")),
        "sessions": operation,
    }


def void(_row: object) -> None: ...


@pytest.mark.parametrize(
    "path", ["operations", "projects", "agents", "hosts", "leases", "queues", "metrics", "sessions"]
)
def test_a_longer_list_costs_no_more_queries(staff: APIClient, growers: dict[str, Grow], path: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert staff.get(f"/api/v1/{path}/").status_code == 200
        return len(seen)

    for n in range(4):  # two in berths and two who wait, for whom there is a line to draw up
        growers[path](n)
    short = queries()
    for n in range(4, 10):
        growers[path](n)
    assert queries() == short
    assert short <= 6


def test_pages_together_are_the_list(client: APIClient, ada: Any) -> None:
    agents = [str(factories.agent(by=ada).pk) for _ in range(11)]
    found = [row["id"] for row in rows_of(client, "/api/v1/agents/", page_size=3)]
    assert found == agents[::-1]


def test_rows_of_one_moment_are_told_apart(staff: APIClient) -> None:
    factories.host()
    for _ in range(3):
        factories.placed()
    whole = [row["id"] for row in staff.get("/api/v1/leases/", {"page_size": 200}).json()["results"]]
    assert len(whole) == 12
    assert [row["id"] for row in rows_of(staff, "/api/v1/leases/", page_size=2)] == whole


def test_what_is_new_does_not_shift_the_pages(client: APIClient, ada: Any) -> None:
    before = [str(factories.agent(by=ada).pk) for _ in range(4)]
    first = client.get("/api/v1/agents/", {"page_size": 2}).json()
    factories.agent(by=ada)
    second = client.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == before[::-1]


def test_a_list_of_operations_holds_the_start_of_each_requirement(client: APIClient, ada: Any, project: Any) -> None:
    text = "# Mend the quay\n" + "plank\n" * 50_000
    long, short = (submit.submit(by=ada, project=project, requirements=each).pk for each in (text, "Paint it."))
    answer = client.get("/api/v1/operations/")
    assert len(answer.content) < 10_000
    lines = {row["id"]: row for row in answer.json()["results"]}
    fields = ("title", "requirements", "requirements_size", "requirements_truncated")
    assert [lines[str(long)][name] for name in fields] == ["Mend the quay", text[:200], len(text), True]
    assert [lines[str(short)][name] for name in fields] == ["Paint it.", "Paint it.", 9, False]
    whole = client.get(f"/api/v1/operations/{long}/").json()
    assert [whole[name] for name in fields] == ["Mend the quay", text, len(text), False]


def test_steps_come_by_pages_in_order(client: APIClient, operation: Operation) -> None:
    for turn in range(7):
        Step.objects.create(operation=operation, turn=turn, stage="init", attempt=turn + 1, claim=str(turn),
                            started_at=operation.created_at)  # fmt: skip
    path = f"/api/v1/operations/{operation.pk}/steps/"
    assert [row["turn"] for row in rows_of(client, path, page_size=3)] == list(range(7))
    for position in ("x", "2026-01-01", "-1", "9" * 30):
        cursor = base64.b64encode(f"p={position}".encode()).decode()
        assert client.get(path, {"cursor": cursor}).status_code == 400, position


def test_places_in_the_queue_count_from_one_and_by_priority(client: APIClient, ada: Any) -> None:
    agents = [factories.agent(by=ada, priority=priority) for priority in (1, 2, 1, 0)]
    places = {row["id"]: row["queue_position"] for row in rows_of(client, "/api/v1/agents/", page_size=2)}
    assert [places[str(agent.pk)] for agent in agents] == [2, 1, 3, 4]
    assert client.get(f"/api/v1/agents/{agents[3].pk}/").json()["queue_position"] == 4
