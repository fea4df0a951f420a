"""What the berths of a host use now, for the samples."""

from __future__ import annotations

import logging
from datetime import datetime

from agents.models import Agent
from resources import samples
from resources.sandboxes import selection
from resources.sandboxes.protocol import SandboxFailed, SandboxGone, Stats

log = logging.getLogger(__name__)


def sample(*, host: str, now: datetime) -> int:
    """One sample of the host and of each berth that runs there. Returns how many were taken."""
    return samples.take(host_name=host, berths=_stats(host), now=now)


def _stats(host: str) -> dict[str, Stats]:
    found: dict[str, Stats] = {}
    for agent in Agent.objects.filter(state=Agent.State.RUNNING, host__name=host).exclude(sandbox=None):
        try:
            found[agent.owner] = selection.adopt(agent.sandbox or {}).stats()
        except (SandboxGone, SandboxFailed) as fault:
            log.debug("berth cannot be measured", extra={"agent": str(agent.pk), "reason": fault.detail})
    return found
