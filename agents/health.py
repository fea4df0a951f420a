"""Health: dated facts, and the verdict that is computed from them when somebody looks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from agents.models import Agent, Fact
from resources import hosts

FRESH = timedelta(seconds=90)  # older heartbeats prove nothing
STUCK = timedelta(minutes=10)  # a heartbeat without any output for so long
IDLE = timedelta(minutes=2)
SIGNS = (Fact.Kind.LAST_OUTPUT, Fact.Kind.LAST_TOOL_RESULT, Fact.Kind.LAST_MODEL_CALL)  # that a stage gets on


class Verdict(StrEnum):
    """What the facts add up to. ``unknown`` is a legal answer."""

    HEALTHY = "healthy"
    IDLE = "idle"
    STUCK = "stuck"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its cause in words."""

    verdict: Verdict
    cause: str


def observe(agent_id: uuid.UUID | str, kind: Fact.Kind, *, now: datetime, ok: bool = True, detail: str = "") -> None:
    """Note what was seen just now. Overwrites an older sighting of the same kind, never a newer one."""
    seen = {"observed_at": now, "ok": ok, "detail": detail[:300]}
    rows = Fact.objects.filter(agent_id=agent_id, kind=kind)
    if rows.filter(observed_at__lte=now).update(**seen) or rows.exists():
        return
    try:
        with transaction.atomic():
            Fact.objects.create(agent_id=agent_id, kind=kind, **seen)
    except IntegrityError:
        rows.filter(observed_at__lte=now).update(**seen)  # somebody else saw it first, at the same moment


def judge(agent: Agent, facts: Mapping[str, Fact], *, now: datetime) -> Judgement:
    """The verdict on an agent, from its facts and its host's heartbeat."""
    if agent.state in {Agent.State.STOPPED, Agent.State.ERROR}:
        return Judgement(Verdict.UNKNOWN, f"the agent is {agent.state}; nothing of it runs")
    if agent.host is None:
        return Judgement(Verdict.UNKNOWN, "waits for a berth")
    if hosts.verdict(agent.host, now=now) is hosts.Verdict.LOST:
        return Judgement(Verdict.LOST, f"host {agent.host.name} was last heard {_ago(agent.host.heartbeat_at, now)}")
    inspected = facts.get(Fact.Kind.SANDBOX_INSPECTED)
    if inspected is None:
        return Judgement(Verdict.UNKNOWN, "its sandbox was not inspected yet")
    if not inspected.ok:
        return Judgement(Verdict.LOST, f"sandbox: {inspected.detail} ({_ago(inspected.observed_at, now)})")
    return _of_a_living_one(facts, inspected, now=now)


def _of_a_living_one(facts: Mapping[str, Fact], inspected: Fact, *, now: datetime) -> Judgement:
    heartbeat = facts.get(Fact.Kind.WORKER_HEARTBEAT)
    active = [facts[kind].observed_at for kind in SIGNS if kind in facts]
    last_sign = max(active, default=None)
    if heartbeat is None or now - heartbeat.observed_at > FRESH:
        if now - inspected.observed_at > FRESH:
            return Judgement(Verdict.UNKNOWN, f"its sandbox was last inspected {_ago(inspected.observed_at, now)}")
        return Judgement(Verdict.IDLE, "no stage works in its berth")
    if last_sign is not None and now - last_sign > STUCK:
        return Judgement(Verdict.STUCK, f"a stage runs, but nothing came out of it since {_ago(last_sign, now)}")
    if last_sign is not None and now - last_sign > IDLE:
        return Judgement(Verdict.HEALTHY, f"a stage runs quietly; last sign of life {_ago(last_sign, now)}")
    return Judgement(Verdict.HEALTHY, f"a worker holds it, heartbeat {_ago(heartbeat.observed_at, now)}")


def stuck(*, now: datetime) -> Q:
    """Which agents :func:`judge` finds stuck, for a query over all of them."""
    mine = Fact.objects.filter(agent=OuterRef("pk"))
    held = mine.filter(kind=Fact.Kind.WORKER_HEARTBEAT, observed_at__gte=now - FRESH)
    signs = mine.filter(kind__in=SIGNS)
    silent = Exists(signs) & ~Exists(signs.filter(observed_at__gte=now - STUCK))
    return Q(state=Agent.State.RUNNING) & Q(Exists(held)) & silent


def facts_of(agent: Agent) -> dict[str, Fact]:
    """The agent's facts by kind."""
    return {fact.kind: fact for fact in agent.facts.all()}


def _ago(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "never"
    seconds = max(0, int((now - moment).total_seconds()))
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60} min ago"
