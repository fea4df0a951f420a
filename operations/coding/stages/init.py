"""INIT: a berth for the operation."""

from __future__ import annotations

from agents.models import Agent
from events.faults import Remembered
from operations.coding.context import AwaitBerth, Context, Done, Outcome
from resources.sandboxes.protocol import SandboxGone


def init(context: Context) -> Outcome:
    """Ask for an agent, or look at the one that was asked for: running is done, an error is a fault of ours."""
    agent = context.operation.agent
    if agent is None or agent.state == Agent.State.SPAWNING:
        return AwaitBerth()
    if agent.state == Agent.State.ERROR:
        raise Remembered(agent.error or {})
    if agent.state != Agent.State.RUNNING:
        raise SandboxGone(f"agent {agent.name} is {agent.state}")
    host = agent.host.name if agent.host else ""
    context.say(f"berth on {host}, isolation {agent.tier}" + (f" ({agent.tier_note})" if agent.tier_note else ""))
    return Done(
        {"agent": agent.name, "host": host, "tier": agent.tier, "tier_note": agent.tier_note,
         "template": agent.resolved["name"], "template_digest": agent.resolved["digest"]}
    )  # fmt: skip
