"""What would happen to an agent, in words, before somebody does it. The same faults as the doors themselves."""

from __future__ import annotations

from datetime import datetime, timedelta

from agents import faults, tenure
from agents.models import Agent
from events.plain_text import plain
from resources import leases
from resources.models import Lease

_GIVES_BACK = {
    Lease.Kind.MEMORY: ("{:.0f} MB of memory", 1),
    Lease.Kind.CPU: ("{:g} cores", 1000),
    Lease.Kind.DISK: ("{:.0f} MB of disk", 1),
}
_OVER = ("succeeded", "failed", "cancelled", "closed", "lost")


def stop(agent: Agent) -> str:
    """What ends with it and what it gives back. Raises IllegalTransition where there is nothing to stop."""
    if agent.state in {Agent.State.STOPPING, Agent.State.STOPPED}:
        raise faults.IllegalTransition(
            f"agent {agent.name} is {agent.state} already", remedy="There is nothing to stop."
        )
    ends = [
        f"interrupts “{plain(operation.title)}” at {operation.stage}, which begins again only when it is retried"
        for operation in agent.operations.exclude(status__in=_OVER)  # type: ignore[attr-defined] # a room above
    ]
    shells = agent.terminals.exclude(state__in=_OVER).count()  # type: ignore[attr-defined] # likewise
    if shells:
        ends.append(f"ends {shells} open terminal{'s' if shells > 1 else ''}")
    held = {lease.kind: lease.amount for lease in leases.live(owner=agent.owner)}
    back = [words.format(held[kind] / per) for kind, (words, per) in _GIVES_BACK.items() if kind in held]
    if back:
        ends.append(f"gives back {', '.join(back)}" + (f" on {agent.host.name}" if agent.host else ""))
    return f"{'; '.join(ends) or 'nothing runs in it and it holds nothing'}. Uncommitted work is kept first."


def retry(agent: Agent) -> str:
    """Raises IllegalTransition where it is not possible."""
    if agent.state != Agent.State.ERROR:
        raise faults.IllegalTransition(f"agent {agent.name} is {agent.state}", remedy="Only broken agents are retried.")
    if leases.live(owner=agent.owner):
        raise faults.IllegalTransition(
            f"the old berth of {agent.name} is still being cleared", remedy="Try again in a moment."
        )
    return f"is placed anew, from the template {agent.template} as it is now."


def extend(agent: Agent, *, by: timedelta, now: datetime) -> str:
    """Raises NothingToExtend where it is not possible."""
    tenure.check_extendable(agent, by=by)
    until = max(now + by, agent.keep_until or now)
    return f"is not stopped for being idle before {until:%d %b, %H:%M} UTC."
