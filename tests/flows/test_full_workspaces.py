"""Operations whose tests write without end: a typed fault with a remedy, and nobody else is harmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from agents import upkeep
from agents.models import Agent
from operations.models import Operation, Stage
from tests.flows.inline import Inline, left_held
from tests.flows.repositories import PROJECT, make

FLOOD = """import time


def test_flood():
    with open("flood", "wb") as flood:
        for _ in range(20_000):
            flood.write(bytes(1 << 20))
            flood.flush()
            time.sleep(0.01)
"""
KINDS = [pytest.param("image", marks=pytest.mark.needs_loop_devices), "directory"]


@pytest.fixture(params=KINDS)
def small(inline: Inline, request: pytest.FixtureRequest, settings: Any) -> Inline:
    """A cluster whose workspaces hold 128 MB."""
    settings.WORKSPACES = request.param
    template = Path(settings.DATA) / "templates" / "plain.yaml"
    template.write_text(template.read_text() + "  size:\n    disk_mb: 128\n")
    return inline


def to_the_end(inline: Inline, operation: Operation) -> Operation:
    """Run everything; a wake-up that would come later is sent at once."""
    for _ in range(20):
        if inline.finish(operation).status in Operation.TERMINAL:
            return operation
        inline.wake(operation)
    raise AssertionError(f"it never ends: {operation.status} in {operation.stage}")


def test_an_operation_that_fills_its_disk_fails_with_a_remedy_and_its_neighbour_succeeds(small: Inline) -> None:
    remote = make(small.roots / "flood.git", {**PROJECT, "test_flood.py": FLOOD})
    flooding, neighbour = small.submit(small.project(remote)), small.submit()
    assert small.finish(neighbour).status == "succeeded"
    flooding = to_the_end(small, flooding)
    assert flooding.status == "failed"
    assert flooding.error is not None
    assert (flooding.error["code"], flooding.error["class"]) == ("workspace.full", "resource")
    assert "size.disk_mb" in flooding.error["remedy"]
    assert flooding.retry_count == 2, "a fresh berth was tried"
    small.run()
    assert left_held() == []


def test_the_disk_of_an_agent_and_of_a_host_is_shown(small: Inline) -> None:
    operation = small.submit()

    def coded() -> bool:
        operation.refresh_from_db()
        return operation.stage == Stage.TEST

    small.run(until=coded)
    (Path(settings.DATA) / "workspaces" / f"{operation.agent_id}-1" / "ballast").write_bytes(b"\1" * (20 << 20))
    upkeep.inspect(host=settings.HOST_NAME, now=timezone.now(), worker="test")
    client = Client()
    small.user.is_staff = True  # what a host lends is shown to staff
    small.user.save()
    client.force_login(small.user)
    disk = client.get(f"/api/v1/agents/{operation.agent_id}/").json()["disk"]
    assert (disk["kind"], disk["limit_mb"], disk["over"]) == (settings.WORKSPACES, 128, "")
    assert 20 <= disk["used_mb"] <= 30
    (host,) = client.get("/api/v1/hosts/").json()["results"]
    assert host["disk_used_mb"] == disk["used_mb"]
    assert host["facts"]["workspaces"]["kind"] in {"image", "directory"}


def test_what_only_a_sweep_can_see_ends_the_berth(inline: Inline, settings: Any) -> None:
    settings.WORKSPACES = "directory"
    template = Path(settings.DATA) / "templates" / "plain.yaml"
    template.write_text(template.read_text() + "  size:\n    disk_mb: 128\n")
    operation: Operation = inline.submit()

    def coded() -> bool:
        operation.refresh_from_db()
        return operation.stage == Stage.TEST

    inline.run(until=coded)
    agent = Agent.objects.get(pk=operation.agent_id)
    assert agent.tier_note.startswith("Disk is counted, not bounded.")
    (Path(settings.DATA) / "workspaces" / f"{agent.pk}-1" / "ballast").write_bytes(b"\1" * (130 << 20))
    assert upkeep.inspect(host=settings.HOST_NAME, now=timezone.now(), worker="test") == 0
    agent = Agent.objects.get(pk=agent.pk)
    assert (agent.state, agent.error and agent.error["code"]) == ("error", "workspace.full")
    assert to_the_end(inline, operation).status == "succeeded", "in another berth"
