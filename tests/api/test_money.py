"""Money over HTTP: what an operation may spend, what was spent, and who may change it."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from operations import submit
from operations.models import Operation, Project
from tests import factories
from tests.api.conftest import caller, problem


@pytest.fixture
def operation(ada: Any, project: Project) -> Operation:
    return submit.submit(by=ada, project=project, requirements="Mend the quay.")


def test_an_operations_budget_is_read_and_raised_by_its_owner_alone(
    client: APIClient, stranger: APIClient, operation: Operation
) -> None:
    path = f"/api/v1/operations/{operation.pk}/budget/"
    assert {row["scope"] for row in client.get(path).json()} == {"run", "user", "project", "day"}
    assert client.put(path, {"usd": 12.5}).status_code == 202
    (run,) = [row for row in client.get(path).json() if row["scope"] == "run"]
    assert (run["limit_usd"], run["spent_usd"], run["calls"]) == (12.5, 0, 0)
    for wrong in ({"usd": -1}, {"usd": "much"}, {}, {"usd": 1, "calls": -1}):
        assert client.put(path, wrong).status_code == 400
    problem(stranger.put(path, {"usd": 1}), 404, "operation.not_found")
    problem(client.patch(f"/api/v1/operations/{operation.pk}/plan/", {"summary": "x"}), 409, "operation.not_possible")
    unnumbered = {"steps": [{"title": "x", "after": [0]}]}
    problem(client.patch(f"/api/v1/operations/{operation.pk}/plan/", unnumbered), 400, "request.invalid")


def test_budgets_of_others_are_for_staff(client: APIClient, project: Project) -> None:
    wanted = {"scope": "project", "key": str(project.pk), "usd": 200}
    problem(client.put("/api/v1/budgets/", wanted), 403, "operation.staff_only")
    staff = caller(factories.user("root", staff=True))
    assert staff.put("/api/v1/budgets/", wanted).json()["usd"] == 200
    problem(staff.put("/api/v1/budgets/", {"scope": "day", "key": "x", "usd": 1}), 400, "budget.bad")


@pytest.mark.parametrize("group", ["run", "agent", "project", "day", "model"])
def test_spend_is_listed_by_each_group(client: APIClient, operation: Operation, group: str) -> None:
    assert client.get("/api/v1/spend/", {"by": group, "days": "7"}).json() == []
    assert client.get("/api/v1/spend/", {"by": "star"}).status_code == 400
