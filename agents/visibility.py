"""Who may see and steer an agent: staff all of them, others those they asked for."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet

from agents.faults import AgentNotFound, ProjectNotVisible
from agents.models import Agent
from events import policy


def agents(user: Any) -> QuerySet[Agent]:
    """The agents that a user may see."""
    rows = Agent.objects.select_related("host")
    if not user.is_authenticated:
        return rows.none()
    return rows if user.is_staff else rows.filter(created_by=user)


def agent(user: Any, agent_id: uuid.UUID | str) -> Agent:
    """One of them, or AgentNotFound: whether it exists is nobody else's business."""
    try:
        key = uuid.UUID(str(agent_id))
    except ValueError:
        raise AgentNotFound(f"{agent_id!r} is not an id") from None
    found = agents(user).filter(pk=key).first()
    if found is None:
        raise AgentNotFound(f"there is no agent {agent_id}")
    return found


def may_view(user: Any, agent_id: str) -> bool:
    """For the live stream."""
    try:
        return agents(user).filter(pk=uuid.UUID(agent_id)).exists()
    except ValueError:
        return False


def check_project(user: Any, project_id: uuid.UUID | None) -> None:
    """Refuse a project that the user may not see. Projects are a room above: its rule for the live stream decides."""
    if project_id is not None and not policy.may_view(user, f"project.{project_id}"):
        raise ProjectNotVisible(f"there is no project {project_id}", pointer="/project_id")
