"""The fleet breaker, extending and handing over, by the API."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from agents.models import Agent
from tests import factories
from tests.api.conftest import pointers, problem

FLEET = "/api/v1/fleet/"


def test_staff_pauses_and_releases_and_everybody_sees_it(staff: APIClient, client: APIClient) -> None:
    assert client.get(FLEET).json() == {"paused": False, "since": None, "by": None, "reason": None}
    paused = staff.post(f"{FLEET}pause/", {"reason": "smoke"}).json()
    assert (paused["paused"], paused["reason"]) == (True, "smoke")
    again = staff.post(f"{FLEET}pause/", {"reason": "more smoke"}).json()
    assert (again["since"], again["reason"]) == (paused["since"], "smoke")
    assert client.get(FLEET).json() == paused
    assert staff.post(f"{FLEET}release/").json()["paused"] is False
    assert staff.post(f"{FLEET}release/").status_code == 200


def test_others_than_staff_cannot_move_it_and_a_pause_needs_a_reason(staff: APIClient, client: APIClient) -> None:
    for verb in ("pause", "release"):
        assert client.post(f"{FLEET}{verb}/", {"reason": "mine"}).status_code == 403
    assert pointers(problem(staff.post(f"{FLEET}pause/", {"reason": " "}), 400, "fleet.reason_missing")) == {"/reason"}
    assert client.get(FLEET).json()["paused"] is False


@pytest.fixture
def agent(ada: Any) -> Agent:
    factories.host()
    agent = factories.running(by=ada)
    agent.resolved["spec"]["idle_timeout_s"] = 600
    agent.save(update_fields=["resolved"])
    return agent


def test_an_owner_extends_and_hands_over_and_a_stranger_finds_nothing(client: APIClient, agent: Agent) -> None:
    path = f"/api/v1/agents/{agent.pk}/"
    factories.user("heir")
    assert client.post(f"{path}extend/", {"seconds": 3600}).status_code == 200
    assert Agent.objects.get(pk=agent.pk).keep_until is not None
    assert pointers(problem(client.post(f"{path}hand-over/", {"user": "who"}), 400, "agent.heir_refused")) == {"/user"}
    assert client.post(f"{path}hand-over/", {"user": "heir"}).status_code == 200
    for verb, body in (("extend", {"seconds": 3600}), ("hand-over", {"user": "ada"})):
        problem(client.post(f"{path}{verb}/", body), 404, "agent.not_found")
