"""How long an agent may stay though nobody works with it, and whose it is: extend, hand over."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from agents import admittance, faults, lifecycle
from agents.models import Agent
from events import policy
from events.faults import Fault
from events.journal import record
from events.plain_text import span
from resources import leases

LONGEST = timedelta(days=7)


class HeirRefused(Fault):
    """Nobody who could have the agent."""

    code = "agent.heir_refused"
    http_status = 400
    remedy = "Name a user who may log in and does not have the agent already."


class NothingToExtend(Fault):
    """No time runs out for the agent."""

    code = "agent.nothing_to_extend"
    http_status = 409
    remedy = "Only running agents whose template has an idle_timeout_s are stopped for being idle."


def idle_timeout(agent: Agent) -> timedelta | None:
    """After how long without work it is stopped; None: never."""
    seconds = agent.resolved.get("spec", {}).get("idle_timeout_s")
    return timedelta(seconds=seconds) if seconds else None


def check_extendable(agent: Agent, *, by: timedelta) -> None:
    """Raises what :func:`extend` would."""
    if not timedelta(minutes=1) <= by <= LONGEST:
        raise NothingToExtend(
            f"{span(by)} is no extension", remedy=f"Ask for a minute to {span(LONGEST)}.", pointer="/seconds"
        )
    if agent.state != Agent.State.RUNNING or idle_timeout(agent) is None:
        raise NothingToExtend(f"agent {agent.name} is {agent.state}; no idle time runs out for it")


def extend(agent_id: uuid.UUID | str, *, by: timedelta, actor: str, reason: str, now: datetime) -> Agent:
    """Do not stop it for being idle before ``now + by``. Never makes its time shorter. Raises NothingToExtend."""
    with transaction.atomic():
        agent = lifecycle.load(agent_id)
        check_extendable(agent, by=by)
        until = max(now + by, agent.keep_until or now)
        if until != agent.keep_until:
            agent.keep_until = until
            agent.save(update_fields=["keep_until"])
            record(
                "agent.extended", agent, actor=actor, reason=reason, keep_until=until.isoformat(),
                **lifecycle.snapshot(agent),
            )  # fmt: skip
    return agent


def check_heir(agent: Agent, username: str) -> Any:
    """The user who would get it. Raises HeirRefused, or UserNotAllowed where its template names others."""
    heir = get_user_model().objects.filter(username=username, is_active=True).first()
    if heir is None:
        raise HeirRefused(f"there is no active user {username!r}", pointer="/user")
    if agent.created_by_id == heir.pk:
        raise HeirRefused(f"{username} has agent {agent.name} already", pointer="/user")
    if agent.state == Agent.State.STOPPED:
        raise faults.IllegalTransition(f"agent {agent.name} is stopped: nothing of it is left to hand over")
    admittance.check(agent.resolved.get("spec", {}), template=agent.template, user=heir)
    return heir


def hand_over(agent_id: uuid.UUID | str, *, to: str, actor: str, reason: str) -> Agent:
    """Make it another user's: who sees and steers it, and in whose quota its berth counts from now on.

    What it holds stays, also above the heir's quota. Who had it sees it no longer, on open streams too.
    """
    with transaction.atomic():
        agent = lifecycle.load(agent_id)
        heir, before = check_heir(agent, to), agent.created_by
        agent.created_by = heir
        agent.save(update_fields=["created_by"])
        leases.count_for(owner=agent.owner, user=str(heir.pk))
        record(
            "agent.handed_over", agent, actor=actor, reason=reason, before=before.get_username() if before else None,
            after=heir.get_username(), **lifecycle.snapshot(agent),
        )  # fmt: skip
        for user in filter(None, (before, heir)):
            policy.revoke(user.pk, actor=actor, reason=f"agent {agent.name} was handed over")
    return agent
