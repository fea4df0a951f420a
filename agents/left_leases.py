"""Ports and user ids that the ledger still lends to an agent that has stopped, for the orphan sweep.

Stopping gives all leases back, and what nobody renews ends with its time. These are what neither ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress

from django.conf import settings
from django.utils import timezone

from agents.models import Agent
from resources import leases, orphans
from resources.models import Lease
from resources.traces import Trace

_KINDS = (Lease.Kind.UID, Lease.Kind.PORT)
_SIGNED = "agent:"


def left() -> list[Trace]:
    """This host's, the oldest first, and only as many as the sweep believes at once."""
    lent = Lease.objects.filter(
        host__name=settings.HOST_NAME, kind__in=_KINDS, state__in=Lease.LIVE, owner__startswith=_SIGNED
    )
    stopped = _stopped(lent.values_list("owner", flat=True).distinct())
    over = lent.filter(owner__in=stopped).order_by("created_at")
    return [_trace(lease) for lease in over[: orphans.FEW]]


def give_back(trace: Trace) -> None:
    """Give it back, if its agent is still over. Twice is fine."""
    lease = Lease.objects.filter(pk=trace.key, state__in=Lease.LIVE).first()
    if lease is not None and _stopped([lease.owner]):
        leases.withdraw(lease_id=lease.pk, now=timezone.now())


def _stopped(owners: Iterable[str]) -> list[str]:
    """Of these owners, those that are agents which have stopped: that is an agent's last state."""
    keys = []
    for owner in owners:
        with suppress(ValueError):  # signed by something else
            keys.append(uuid.UUID(owner.removeprefix(_SIGNED)))
    return [agent.owner for agent in Agent.objects.filter(pk__in=keys, state=Agent.State.STOPPED)]


def _trace(lease: Lease) -> Trace:
    name = f"{lease.get_kind_display().lower()} {lease.key} of {lease.owner}, generation {lease.generation}"
    why = f"its agent has stopped, and it is lent until {lease.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    return Trace("lease", name, str(lease.pk), lease.owner, lease.created_at, over=why)
