"""An agent's way out, from its template to its sandbox and away again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import berths, lifecycle, placement
from agents.models import Agent
from resources.egress import berths as egress
from resources.models import Lease
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Tier
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

REACHES_OUT = """
apiVersion: moorage/v1
kind: Template
name: reaches-out
version: 1.0.0
extends: lightweight
spec:
  network:
    allow: [pypi.org, "*.example.org:8443"]
    mirror: true
"""


@pytest.fixture
def template(settings: Any, data_directory: Path) -> str:
    """A template that asks for a way out, in the operator's own directory."""
    directory = data_directory / "templates"
    directory.mkdir()
    (directory / "reaches-out.yaml").write_text(REACHES_OUT)
    settings.TEMPLATE_DIRECTORIES = [*settings.TEMPLATE_DIRECTORIES[:1], directory]
    settings.PACKAGE_MIRROR_URL = "https://mirror.example/simple/"
    return "reaches-out"


def spawned(template: str) -> Agent:
    agent = factories.placed(template)
    berths.open_berth(agent.pk, generation=agent.generation, worker="worker:node-a")
    return Agent.objects.get(pk=agent.pk)


def leave(agent: Agent) -> None:
    stopping = lifecycle.request_stop(agent.pk, actor="user:ada", reason="test")
    berths.clear_berth(agent.pk, generation=stopping.generation, worker="worker:node-a")


@pytest.mark.needs_bubblewrap
def test_the_templates_list_becomes_a_lease_and_a_mount_and_both_go_with_the_berth(
    settings: Any, template: str
) -> None:
    settings.ISOLATION = "process"
    factories.host(tiers=[Tier.PROCESS])
    agent = spawned(template)
    assert agent.state == Agent.State.RUNNING, agent.error
    lease = Lease.objects.get(owner=agent.owner, kind=Lease.Kind.EGRESS)
    assert (lease.state, lease.detail["template"]) == (Lease.State.HELD, template)
    (berth,) = egress.serving("node-a")
    assert {str(rule) for rule in berth.rules} == {"pypi.org", "*.example.org:8443", "mirror.example:443"}
    assert agent.sandbox is not None
    sandbox = selection.adopt(agent.sandbox)
    said = sandbox.run(
        Command(argv=("sh", "-c", "echo $PIP_INDEX_URL; ls -d /run/moorage/egress; env | grep -c _PROXY=http"))
    )
    assert said.stdout.split() == [b"https://mirror.example/simple/", b"/run/moorage/egress", b"3"]
    directory = egress.root() / lease.key
    assert directory.is_dir()
    leave(agent)
    assert not directory.exists()
    assert egress.serving("node-a") == []


@pytest.mark.needs_landlock
def test_where_the_tier_cannot_guard_it_the_agent_fails_with_the_reason_and_holds_nothing(
    settings: Any, template: str
) -> None:
    settings.ISOLATION = "landlock"
    factories.host(tiers=[Tier.PROCESS])  # which its operator does not want to be used
    agent = spawned(template)
    assert agent.state == Agent.State.ERROR
    assert agent.error is not None
    assert agent.error["code"] == "egress.unavailable"
    assert "its rules know ports and no addresses" in agent.error["detail"]
    berths.clear_berth(agent.pk, generation=agent.generation, worker="worker:node-a")
    assert not Lease.objects.filter(owner=agent.owner, state__in=Lease.LIVE).exists()
    assert list(egress.root().iterdir()) == []


def test_only_a_host_that_can_guard_a_way_out_takes_one_that_asks_for_it(template: str) -> None:
    factories.host("weak", tiers=[Tier.LANDLOCK])
    agent = factories.agent(template)
    assert not placement.place(agent.pk, now=timezone.now())
    waits = Agent.objects.get(pk=agent.pk)
    assert waits.blocked_by == [{"kind": "isolation", "host": "weak", "needs": "process"}]
    strong = factories.host("strong", tiers=[Tier.PROCESS, Tier.LANDLOCK])
    assert placement.place(agent.pk, now=timezone.now())
    assert Agent.objects.get(pk=agent.pk).host == strong


@pytest.mark.needs_bubblewrap
def test_a_template_that_asks_for_nothing_takes_nothing(settings: Any, data_directory: Path) -> None:
    settings.ISOLATION = "process"
    factories.host(tiers=[Tier.PROCESS])
    agent = spawned("lightweight")
    assert agent.state == Agent.State.RUNNING, agent.error
    assert not Lease.objects.filter(owner=agent.owner, kind=Lease.Kind.EGRESS).exists()
    assert not egress.root().exists()
    leave(agent)
