"""Ports and user ids that are still lent to an agent that has stopped: orphans of the ledger."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from agents.models import Agent
from resources import leases, orphans
from resources.models import Host, Lease, Orphan
from resources.traces import SOURCES
from tests import factories

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LATER = NOW + orphans.GRACE + timedelta(seconds=1)


@pytest.fixture
def host(settings: Any, data_directory: Path) -> Host:
    settings.HOST_NAME = "node-a"
    made = factories.host()
    Host.objects.filter(pk=made.pk).update(created_at=NOW - timedelta(days=1))
    return Host.objects.get(pk=made.pk)


def lent(host: Host, kind: Lease.Kind, key: int, *, owner: str) -> Lease:
    lease = leases.intend(
        host=host, kind=kind, key=str(key), owner=owner, generation=1, now=NOW, expires_at=LATER + timedelta(hours=1)
    )
    lease.save()
    return lease


def stopped() -> Agent:
    """As a restored ledger or a bug of ours leaves it; nothing else does."""
    agent = factories.agent()
    Agent.objects.filter(pk=agent.pk).update(state=Agent.State.STOPPED)
    return agent


def states(*given: Lease) -> list[str]:
    return [Lease.objects.get(pk=lease.pk).state for lease in given]


def sweep() -> list[orphans.Plan]:
    return [orphans.sweep(host_name="node-a", now=when) for when in (NOW, LATER)]


def test_what_a_stopped_agent_still_has_is_given_back_at_the_second_sighting(host: Host) -> None:
    gone, lives = stopped(), factories.agent()
    left = [lent(host, Lease.Kind.PORT, 21000, owner=gone.owner), lent(host, Lease.Kind.UID, 210000, owner=gone.owner)]
    others = [
        lent(host, Lease.Kind.PORT, 21001, owner=lives.owner),
        lent(host, Lease.Kind.PORT, 21002, owner="agent:nobody"),
        lent(host, Lease.Kind.UID, 210001, owner=f"warm:{gone.pk}"),
        lent(factories.host("node-b"), Lease.Kind.PORT, 21000, owner=gone.owner),
    ]
    first, second = sweep()
    assert first == orphans.Plan(())
    assert sorted(second.remove) == [
        f"port 21000 of {gone.owner}, generation 1", f"user id 210000 of {gone.owner}, generation 1",
    ]  # fmt: skip
    # A user id is lent again only when its host has seen that it is clean.
    assert states(*left) == [Lease.State.RELEASED, Lease.State.SQUATTED]
    assert states(*others) == [Lease.State.INTENT] * 4
    assert {row.fate for row in Orphan.objects.all()} == {Orphan.Fate.REMOVED}


def test_one_whose_agent_lives_again_meanwhile_keeps_it(host: Host) -> None:
    gone = stopped()
    lease = lent(host, Lease.Kind.PORT, 21000, owner=gone.owner)
    (candidate,), _ = orphans.look(host, now=NOW)
    Agent.objects.filter(pk=gone.pk).update(state=Agent.State.SPAWNING)
    SOURCES["lease"].remove(candidate.trace)
    assert states(lease) == [Lease.State.INTENT]


def test_the_command_shows_it_with_its_reason_and_its_fate(host: Host) -> None:
    gone = stopped()
    lent(host, Lease.Kind.PORT, 21000, owner=gone.owner)
    out = StringIO()
    call_command("orphans", "--dry-run", "--json", stdout=out)
    (told,) = json.loads(out.getvalue())["found"]
    assert (told["kind"], told["owner"], told["fate"]) == ("lease", gone.owner, "waits")
    assert told["reason"].startswith("its agent has stopped, and it is lent until")
