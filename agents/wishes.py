"""What an agent asks of the hosts: the same of each, or what its template's rules make of it on each.

Resolved before the transaction that reserves. What was so of a host then is kept on the agent's row, so that the berth
is made by the very rules that it was reserved by.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents import line, outfits, shapes, size_choice, sizes
from agents.models import Agent
from events.faults import Fault, FaultClass
from resources import admission
from resources.admission import Admitted, Blocked, Reason, Size
from resources.models import Host
from resources.volumes import wanted


class SizeUnknown(Fault):
    """A size of the template needs what nobody knows before there is a berth."""

    fault_class = FaultClass.CONFIGURATION
    code = "template.size_unknown"
    remedy = "Let sizes, ports and isolation refer to `host.*` or to variables with a default, and to nothing else."


@dataclass(frozen=True, slots=True)
class OnHost:
    """What is asked of one host, and its facts; or why the template cannot be had there."""

    host: Host
    facts: Mapping[str, Any]
    resolved: Mapping[str, Any] | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Granted:
    """What admission gave, of which specification, and the facts that go on the row."""

    host: Host
    size: Size
    warm: bool
    facts: Mapping[str, Any]
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one agent asks. ``hosts`` is None where it is the same everywhere; else the emptiest comes first."""

    generation: int
    hosts: tuple[OnHost, ...] | None = None


def of(agent_id: uuid.UUID) -> Wishes | None:
    """Look at the hosts as they are now. None for an agent that is gone."""
    row = Agent.objects.filter(pk=agent_id).values("generation", "template", "resolved").first()
    if row is None:
        return None
    resolved = row["resolved"]
    if not resolved.get("adapts"):
        return Wishes(row["generation"])
    size = resolved.get("chosen", {})
    return Wishes(row["generation"], tuple(_on(host, row["template"], size) for host in admission.by_room()))


def _on(host: Host, template: str, size: Mapping[str, int]) -> OnHost:
    facts = sizes.facts_of(host)
    known = {**sizes.standing_of(host), **{f"host.{name}": value for name, value in facts.items()}}
    try:
        fitted = outfits.outfit(template, host=known)
        if fitted.is_open:
            raise SizeUnknown(f"Sizes, ports or isolation of {template} depend on what is not known yet.")
        size_choice.check(fitted, size)
    except Fault as fault:
        words = f"on {host.name}: {fault.detail}"[:300]
        reason = {"kind": "template", "host": host.name, "code": fault.code, "detail": words}
        return OnHost(host, facts, None, reason)
    return OnHost(host, facts, fitted.sized(size).as_dict(), {})


def admit(wishes: Wishes, agent: Agent, *, now: datetime, expires_at: datetime) -> Granted | Blocked:
    """A berth for the agent, inside the caller's transaction."""
    ask = _Asking(agent, now, expires_at)
    if wishes.hosts is None:
        answer = ask.admit(agent.resolved, shape=shapes.shape_of(agent.resolved["spec"]))
        if isinstance(answer, Blocked):
            return answer
        facts = sizes.facts_of(answer.host, answer.size)
        return Granted(answer.host, answer.size, answer.warm, facts, agent.resolved["spec"])
    reasons: tuple[Reason, ...] = ()
    for least, lighter in ((False, False), (True, False), (True, True)):  # all of it anywhere before less of it here
        reasons = ()
        for here, answer in ask.each(wishes.hosts, least=least, lighter=lighter):
            if isinstance(answer, Admitted):
                facts = sizes.with_own(here.facts, answer.size)
                spec: Mapping[str, Any] = (here.resolved or {})["spec"]
                return Granted(answer.host, answer.size, answer.warm, facts, spec)
            reasons += tuple(reason for reason in answer.reasons if reason not in reasons)
    return Blocked(reasons) if reasons else admission.NO_HOST


@dataclass(frozen=True, slots=True)
class _Asking:
    agent: Agent
    now: datetime
    expires_at: datetime

    def each(
        self, hosts: tuple[OnHost, ...], *, least: bool, lighter: bool
    ) -> Iterator[tuple[OnHost, Admitted | Blocked]]:
        """Ask one host after the other for what the template wants of it, and of no other."""
        for here in hosts:
            if here.resolved is None:
                yield here, Blocked((here.reason,))
            else:
                yield here, self.admit(here.resolved, least=least, lighter=lighter, only=here.host)

    def admit(
        self,
        resolved: Mapping[str, Any],
        *,
        least: bool = True,
        lighter: bool = True,
        only: Host | None = None,
        shape: str = "",
    ) -> Admitted | Blocked:
        spec = resolved["spec"]
        return admission.admit(
            owner=self.agent.owner,
            generation=self.agent.generation,
            size=sizes.size_of(spec),
            least=sizes.least_of(resolved) if least else None,
            lighter=sizes.lighter_of(resolved) if lighter else None,
            minimum=sizes.minimum_of(spec),
            highest=sizes.named_tier_of(spec),
            party=line.party_of(self.agent),
            shape=shape,
            only=only,
            volumes=wanted.of(spec, project_id=self.agent.project_id),
            now=self.now,
            expires_at=self.expires_at,
        )
