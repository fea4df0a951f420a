"""On call in a real browser: three clicks to the culprit, what changes without a reload, and axe."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from agents.models import Agent
from resources import fleet, samples
from resources.models import Host
from resources.sandboxes.protocol import Stats
from tests import factories
from tests.browser import rows
from tests.browser.accessible import AXE, serious
from tests.browser.conftest import Visitor
from tests.browser.test_pages import page


@pytest.fixture
def host(operator: Any) -> Host:
    """A host with two berths, one of which takes nearly all."""
    host = factories.host("node-1")
    small, culprit = factories.running(name="small"), factories.running(name="culprit")
    for seconds in (15, 0):
        used = {small: Stats(20, 2, 50.0), culprit: Stats(900, 40, 9000.0 - 900 * seconds)}
        at = timezone.now() - timedelta(seconds=seconds)
        samples.take(host_name=host.name, berths={agent.owner: stats for agent, stats in used.items()}, now=at)
    return host


def state(name: str) -> str:
    return str(Agent.objects.get(name=name).state)


def test_from_the_harbour_to_only_the_culprit_stopped_in_three_clicks(host: Host, visitor: Visitor) -> None:
    visitor.go(reverse("admin:index"))
    visitor.page.get_by_role("link", name="node-1").first.click()
    heaviest = visitor.page.locator("[data-part=holders] tbody tr").first
    expect(heaviest).to_contain_text("culprit")
    heaviest.get_by_role("button", name="Stop culprit").click()
    expect(visitor.page.locator(".messagelist")).to_contain_text("culprit is asked to leave")
    assert (state("culprit"), state("small")) == ("stopping", "running")
    assert visitor.complaints == []


def test_a_pause_shows_without_a_reload_and_many_are_stopped_by_keyboard_alone(host: Host, visitor: Visitor) -> None:
    visitor.go(reverse("admin:index"))
    attention = visitor.page.locator("[data-part=attention]")
    expect(attention).not_to_contain_text("The fleet is paused")
    visitor.page.evaluate("window.sameDocument = true")
    fleet.pause(actor="user:eve", reason="smoke", now=timezone.now())
    visitor.page.evaluate("document.dispatchEvent(new Event('moorage:refresh'))")
    expect(attention).to_contain_text("The fleet is paused")
    assert visitor.page.evaluate("window.sameDocument") is True
    attention.get_by_role("button", name="Release").click()
    expect(visitor.page.locator(".messagelist")).to_contain_text("The fleet is released")
    assert fleet.paused() is None
    visitor.go(reverse("admin:fleet"))
    visitor.page.get_by_label("Choose culprit").focus()
    visitor.page.keyboard.press("Space")
    visitor.page.get_by_role("button", name="Stop chosen").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#bulk-h")).to_contain_text("What would happen to each")
    assert state("culprit") == "running"
    visitor.page.get_by_role("button", name="Stop selected agents: 1").focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator("#bulk-h")).to_contain_text("What happened to each")
    assert (state("culprit"), state("small")) == ("stopping", "running")


def test_axe_finds_nothing_serious_in_light_and_dark_all_fits_400_pixels_and_the_policy_is_kept(
    host: Host, visitor: Visitor, operator: Any
) -> None:
    project = rows.project(operator)
    rows.failed(operator, of=project)
    fleet.pause(actor="user:eve", reason="smoke", now=timezone.now())
    agent = Agent.objects.get(name="culprit")
    addresses = [page(agent), page(host), *(reverse(f"admin:{name}") for name in (
        "index", "fleet", "agents_agent_changelist", "resources_host_changelist", "resources_orphan_changelist",
    ))]  # fmt: skip
    found: list[str] = []
    for address in addresses:
        visitor.go(address)
        for scheme in ("light", "dark"):
            visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # one of its literals
            found += [f"{address} {scheme}: {line}" for line in serious(visitor.page)]
        visitor.page.set_viewport_size({"width": 400, "height": 900})
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        found += [f"{address} is {width} pixels wide"] if width > 400 else []
        visitor.page.set_viewport_size({"width": 1280, "height": 900})
    assert found == []
    visitor.go(reverse("api-docs"))
    expect(visitor.page.get_by_text("/api/v1/fleet/pause/")).to_be_visible()
    assert visitor.complaints == []


def test_the_checker_is_the_published_one() -> None:
    sums = dict(line.split()[::-1] for line in (AXE / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in AXE.iterdir()} - {"SHA256SUMS", "README.md"}
    assert files == set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((AXE / name).read_bytes()).hexdigest() == digest
