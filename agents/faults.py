"""What can go wrong with an agent's life."""

from __future__ import annotations

from events.faults import Fault, FaultClass


class AgentNotFound(Fault):
    """No agent has this id."""

    code = "agent.not_found"
    http_status = 404


class ProjectNotVisible(Fault):
    """No project has this id, or not for this user."""

    code = "project.not_found"
    http_status = 404


class IllegalTransition(Fault):
    """The agent's state does not allow it; says which state it is in."""

    code = "agent.illegal_transition"
    http_status = 409
    remedy = "Look at the agent's state: GET /api/v1/agents/{id}/."


class StaleGeneration(Fault):
    """Somebody else changed the agent in between: the caller's view is old, and nothing was written."""

    fault_class = FaultClass.TRANSIENT
    code = "agent.stale_generation"
    http_status = 409
    remedy = "Read the agent again and repeat what you meant."


class UnknownCapability(Fault):
    """A capability outside the fixed set."""

    code = "agent.unknown_capability"
    http_status = 400


class BerthLost(Fault):
    """The host or the sandbox under a living agent went away."""

    fault_class = FaultClass.RESOURCE
    code = "agent.berth_lost"
    remedy = "The environment is created again on a living host."


class StoppedByHand(Fault):
    """A person stopped the agent while a stage ran in it: nobody else starts that work again."""

    fault_class = FaultClass.PERMANENT
    code = "agent.stopped_by_hand"
    remedy = "Retry it: the stage begins again in a new berth."


class HostDrained(BerthLost):
    """The host was drained, and the time that its agents had to finish is over."""

    remedy = "Its work goes on from the last checkpoint on another host; an idle agent can be retried there."
