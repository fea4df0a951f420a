"""On call, by Django's client: the fleet breaker, previews of bulk actions, the map of a host, whose an agent is."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents import health, lifecycle, placement
from agents.models import Agent, Fact
from events.models import Event
from resources import fleet, samples
from resources.models import Host, Orphan, Sample
from resources.sandboxes.protocol import SandboxFailed, Stats
from tests import factories
from tests.browser import rows
from tests.browser.test_pages import do, page, said

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def host() -> Host:
    return factories.host("node-1")


@pytest.fixture
def agent(host: Host) -> Agent:
    """It runs, and is stopped after ten idle minutes."""
    agent = factories.running(name="petrel")
    agent.resolved["spec"]["idle_timeout_s"] = 600
    agent.save(update_fields=["resolved"])
    return agent


def index(client: Client) -> str:
    return said(client.get(reverse("admin:index")))


# --- the breaker ----------------------------------------------------------------------------------------------------


def test_the_fleet_is_paused_with_a_reason_and_the_harbour_says_so_first_with_the_release(admin_client: Client) -> None:
    admin_client.post(reverse("admin:fleet_pause"), {"reason": "smoke in row 3"})
    assert Event.objects.get(kind="fleet.paused").actor == "user:admin"
    html = admin_client.get(reverse("admin:index")).content.decode()
    first = re.search(r'<li class="matter">.*?</li>', html, re.DOTALL)
    assert first is not None
    assert "The fleet is paused" in first[0]
    assert "smoke in row 3" in first[0]
    assert reverse("admin:fleet_release") in first[0]
    admin_client.post(reverse("admin:fleet_release"))
    assert fleet.paused() is None
    assert Event.objects.get(kind="fleet.released").actor == "user:admin"


def test_a_pause_without_a_reason_is_refused_and_says_the_way_on(admin_client: Client) -> None:
    text = said(admin_client.post(reverse("admin:fleet_pause"), {"reason": "  "}, follow=True))
    assert "pause of the fleet needs a reason. Say why" in text
    assert fleet.paused() is None


@pytest.mark.parametrize("verb", ["pause", "release"])
def test_the_breaker_is_moved_by_staff_by_post_with_the_token_alone(
    admin_client: Client, admin_user: Any, django_user_model: Any, verb: str
) -> None:
    address = reverse(f"admin:fleet_{verb}")
    careful, stranger = Client(enforce_csrf_checks=True), Client()
    careful.force_login(admin_user)
    stranger.force_login(django_user_model.objects.create_user("mallory"))
    assert admin_client.get(address).status_code == 405
    assert careful.post(address, {"reason": "x"}).status_code == 403
    assert stranger.post(address, {"reason": "x"}).status_code == 302
    assert not Event.objects.filter(kind__startswith="fleet.").exists()


# --- many at once -----------------------------------------------------------------------------------------------------


def bulk(client: Client, verb: str, *agents: Agent, **more: str) -> str:
    chosen = {"action": f"{verb}_selected", "_selected_action": [agent.pk for agent in agents], **more}
    return said(client.post(reverse("admin:agents_agent_changelist"), chosen))


def test_stopping_many_says_first_what_it_means_for_each_and_then_what_it_did(
    admin_client: Client, agent: Agent
) -> None:
    gone = factories.agent(name="gone")
    lifecycle.request_stop(gone.pk, actor="user:ada", reason="")
    seen = bulk(admin_client, "stop", agent, gone)
    assert re.search(r"petrel\s+yes\s+gives back .*MB of memory.* on node-1.*Uncommitted work is kept first", seen)
    assert re.search(r"gone\s+refused\s+Agent gone is stopping already", seen)
    assert Agent.objects.get(pk=agent.pk).state == "running"
    done = bulk(admin_client, "stop", agent, confirmed="stop")
    assert re.search(r"petrel\s+done\s+petrel is asked to leave", done)
    assert Agent.objects.get(pk=agent.pk).state == "stopping"


def test_a_confirmation_of_another_verb_confirms_nothing(admin_client: Client, agent: Agent) -> None:
    bulk(admin_client, "stop", agent, confirmed="retry")
    assert Agent.objects.get(pk=agent.pk).state == "running"


def test_retrying_many_refuses_those_that_are_not_broken_or_not_cleared(admin_client: Client, agent: Agent) -> None:
    broken = factories.running(name="broken")
    lifecycle.fail(broken.pk, generation=broken.generation, fault=SandboxFailed("x"), actor="system")
    seen = bulk(admin_client, "retry", agent, broken)
    assert re.search(r"petrel\s+refused\s+Agent petrel is running", seen)
    assert re.search(r"broken\s+refused\s+The old berth of broken is still being cleared", seen)
    assert "None of them can be." in seen


def test_extending_many_keeps_those_that_can_be_extended(admin_client: Client, agent: Agent) -> None:
    waiting = factories.agent(name="waiting")
    seen = bulk(admin_client, "extend", agent, waiting)
    assert re.search(r"petrel\s+yes\s+is not stopped for being idle before", seen)
    assert re.search(r"waiting\s+refused", seen)
    asked = timezone.now()
    bulk(admin_client, "extend", agent, confirmed="extend", minutes="90")
    kept = Agent.objects.get(pk=agent.pk).keep_until
    assert kept is not None
    assert asked <= kept - timedelta(minutes=90) <= timezone.now()


# --- one agent, one host ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", ["0", "-5", "99999999", "ten", "1e3"])
def test_a_senseless_extension_changes_nothing(admin_client: Client, agent: Agent, minutes: str) -> None:
    assert "Ask for a minute to" in said(admin_client.post(do(agent, "extend"), {"minutes": minutes}, follow=True))
    assert Agent.objects.get(pk=agent.pk).keep_until is None


def test_an_agent_is_handed_over_and_its_page_says_whose_it_is(
    admin_client: Client, agent: Agent, django_user_model: Any
) -> None:
    django_user_model.objects.create_user("eve")
    assert "petrel is eve" in said(admin_client.post(do(agent, "hand-over"), {"user": " eve "}, follow=True))
    assert "here is no active user" in said(admin_client.post(do(agent, "hand-over"), {"user": "who"}, follow=True))
    assert Agent.objects.get(pk=agent.pk).created_by.username == "eve"  # type: ignore[union-attr] # somebody's


def test_an_agent_page_tells_when_it_stops_what_stopping_means_and_where_its_template_came_from(
    admin_client: Client, agent: Agent
) -> None:
    text = said(admin_client.get(page(agent)))
    assert "if nobody works with it" in text
    assert "Uncommitted work is kept first" in text
    assert re.search(r"From\s+base", text)


def measured(host: Host, *, memory_mb: dict[Agent, int]) -> None:
    """Two samples of the machine and of each berth, the last of them now."""
    for seconds in (15, 0):
        berths = {
            agent.owner: Stats(memory_mb=memory, processes=3, cpu_s=100.0 - seconds)
            for agent, memory in memory_mb.items()
        }
        samples.take(host_name=host.name, berths=berths, now=timezone.now() - timedelta(seconds=seconds))


def test_the_map_of_a_host_names_the_heaviest_first_with_its_stop_button(
    admin_client: Client, host: Host, agent: Agent
) -> None:
    heavy = factories.running(name="heavy")
    measured(host, memory_mb={agent: 10, heavy: 900})
    html = admin_client.get(page(host)).content.decode()
    table = html[html.index('data-part="holders"') :]
    assert table.index("heavy") < table.index("petrel")
    assert do(heavy, "stop") in table
    assert "900 of" in table
    assert "<polyline" in html
    assert "as a table" in html


def test_the_fleet_page_lists_whoever_uses_most_first(admin_client: Client, host: Host, agent: Agent) -> None:
    heavy = factories.running(name="heavy")
    measured(host, memory_mb={agent: 10, heavy: 900})
    text = said(admin_client.get(reverse("admin:fleet")))
    assert text.index("heavy") < text.index("petrel")


def test_every_button_that_takes_something_away_names_what_it_does(settings: Any) -> None:
    silent = [
        f"{path.name}: {button}"
        for path in (settings.BASE_DIR / "config" / "console" / "templates").rglob("*.html")
        for button in re.findall(r'<button class="button danger[^>]*>', path.read_text("utf-8"))
        if "aria-description" not in button and "aria-describedby" not in button
    ]
    assert silent == []


# --- the harbour ------------------------------------------------------------------------------------------------------


def test_a_stuck_agent_is_a_matter_with_the_button_that_stops_it(admin_client: Client, agent: Agent) -> None:
    health.observe(agent.pk, Fact.Kind.WORKER_HEARTBEAT, now=timezone.now())
    health.observe(agent.pk, Fact.Kind.LAST_OUTPUT, now=timezone.now() - timedelta(minutes=11))
    html = admin_client.get(reverse("admin:index")).content.decode()
    assert do(agent, "stop") in html
    health.observe(agent.pk, Fact.Kind.LAST_OUTPUT, now=timezone.now())
    assert do(agent, "stop") not in admin_client.get(reverse("admin:index")).content.decode()


def test_a_lost_host_is_a_matter_that_can_be_drained(admin_client: Client, host: Host) -> None:
    Host.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert do(host, "drain") in admin_client.get(reverse("admin:index")).content.decode()


def test_the_harbour_counts_orphans_spend_and_what_waits(
    admin_client: Client, admin_user: Any, host: Host, data_directory: Any
) -> None:
    Orphan.objects.create(
        host=host, kind="container", key="moorage-x", reason="its berth was released", fate=Orphan.Fate.WAITS,
        first_seen_at=NOW, last_seen_at=NOW,
    )  # fmt: skip
    rows.operation(admin_user, of=rows.project(admin_user))
    text = index(admin_client)
    assert re.search(r"1\s+Removed after its grace", text)
    assert re.search(r"Spent today\s+\$0\.00", text)
    assert re.search(r"0 run, 1 wait, the oldest for", text)


def test_what_waits_says_that_the_fleet_is_paused(admin_client: Client, host: Host, admin_user: Any) -> None:
    fleet.pause(actor="user:ada", reason="smoke", now=NOW)
    agent = factories.agent(name="waiting")
    placement.place(agent.pk, now=timezone.now())
    assert "the fleet is paused since" in said(admin_client.get(page(agent)))


def test_a_host_without_samples_says_so_instead_of_drawing_nothing(admin_client: Client, host: Host) -> None:
    Sample.objects.all().delete()
    assert "It was not measured in the last hour" in said(admin_client.get(page(host)))
