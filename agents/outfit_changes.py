"""What a changed template means for agents that wear it: live fields reach them, the rest marks them outdated.

Nothing here restarts anything. ``reach`` is idempotent: the event of an activation calls it, the sweep calls it
again, and an operator may at any time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cached_property
from typing import Any

from django.db import transaction

from agents import lifecycle, outfits, visibility
from agents.models import Agent
from events.faults import Fault
from events.journal import record
from resources import leases, workspaces
from resources.models import Lease
from templates_app import active
from templates_app.changes import Change, diff, with_live
from templates_app.documents import Document
from templates_app.models import Version
from templates_app.order import linearise
from templates_app.resolve import resolve
from templates_app.wearers import Wearer

log = logging.getLogger(__name__)

Digests = tuple[str, ...]


class InForce:
    """The templates in force, looked up at most once for many agents."""

    def __init__(self) -> None:
        self._digests: dict[str, Digests | None] = {}

    @cached_property
    def documents(self) -> Mapping[str, Document]:
        """All of them by name."""
        return active.templates().documents

    def digests(self, template: str) -> Digests | None:
        """The digests of a template's layers; None for one that cannot be had any more."""
        if template not in self._digests:
            try:
                layers = linearise(template, self.documents)
            except Fault:
                self._digests[template] = None
            else:
                self._digests[template] = tuple(layer.digest for layer in layers)
        return self._digests[template]

    def outdated(self, agent: Agent) -> bool:
        """Whether a running agent wears something else than it would get now. Others get theirs anew anyway."""
        if agent.state != Agent.State.RUNNING:
            return False
        now = self.digests(agent.template)
        return now is not None and now != _worn(agent)


def in_force(context: MutableMapping[str, Any]) -> InForce:
    """What a list's rows share: made at the first question."""
    found: InForce = context.setdefault("templates_in_force", InForce())
    return found


def reach(*, actor: str) -> int:
    """Bring the live fields of what is in force to every running agent. Returns how many got something new."""
    now = InForce()
    running = Agent.objects.filter(state=Agent.State.RUNNING).select_related("host")
    return sum(bool(update(agent, actor=actor, now=now)) for agent in running if now.outdated(agent))


def update(agent: Agent, *, actor: str, now: InForce | None = None) -> tuple[Change, ...]:
    """Bring live fields to one running agent, and note that it is up to date where nothing else has changed.

    Returns what it got. An agent that moves on meanwhile is left alone: the next round sees it.
    """
    now = now or InForce()
    if not now.outdated(agent):
        return ()
    try:
        after, behind = _after(agent, now)
    except Fault as fault:
        log.warning("outfit not reloaded", extra={"agent": str(agent.pk), "error": fault.detail})
        return ()
    got = diff(agent.resolved["spec"], after["spec"])
    if after != agent.resolved and not _save(agent, after, got, behind, actor=actor):
        return ()
    return got


def live_changes(agent: Agent, now: InForce | None = None) -> tuple[Change, ...]:
    """What :func:`update` would bring."""
    now = now or InForce()
    return diff(agent.resolved["spec"], _after(agent, now)[0]["spec"]) if now.outdated(agent) else ()


def _after(agent: Agent, now: InForce) -> tuple[dict[str, Any], tuple[Change, ...]]:
    """What its row will say: the live fields as they are now, and all else too where only those have changed."""
    fitted = outfits.outfit(agent.template, variables=_variables(agent))
    behind = lacking(agent, now)
    after = {**agent.resolved, "spec": with_live(agent.resolved["spec"], fitted.spec)}
    if not behind:
        given = fitted.as_dict()
        after |= {name: given[name] for name in ("version", "digest", "layers")}
    return after, behind


def lacking(agent: Agent, now: InForce | None = None) -> tuple[Change, ...]:
    """What an outdated agent does not have and gets only with a new berth. Between templates, not run-time values."""
    now = now or InForce()
    if not now.outdated(agent):
        return ()
    fresh = resolve(agent.template, now.documents).preview
    worn = _worn_documents(agent)
    old = resolve(agent.template, worn).preview if worn is not None else agent.resolved["spec"]
    return tuple(one for one in diff(old, fresh) if not one.live)


def wearers(template: str, user: Any) -> tuple[Wearer, ...]:
    """For the pages of templates: the agents of one that are not gone, as far as a user may see them."""
    now = InForce()
    rows = visibility.agents(user).filter(template=template).exclude(state=Agent.State.STOPPED)[:500]
    return tuple(
        Wearer(
            id=str(agent.pk), name=agent.name, state=agent.state, version=str(agent.resolved.get("version", "")),
            outdated=now.outdated(agent), differences=_told(agent, now),
        )
        for agent in rows
    )  # fmt: skip


def _told(agent: Agent, now: InForce) -> tuple[Change, ...]:
    try:
        return lacking(agent, now)
    except Fault:
        return ()  # a version that this release does not read any more


def _worn(agent: Agent) -> Digests:
    layers: Sequence[Sequence[str]] = agent.resolved.get("layers", [])
    return tuple(layer[2] for layer in layers)


def _worn_documents(agent: Agent) -> dict[str, Document] | None:
    """The layers that it got, as they were; None where the database never had one of them."""
    found = {version.digest: version for version in Version.objects.filter(digest__in=_worn(agent))}
    documents: dict[str, Document] = {}
    for digest in _worn(agent):
        document = active.document_of(found[digest]) if digest in found else None
        if not isinstance(document, Document):
            return None
        documents[document.name] = document
    return documents


def _variables(agent: Agent) -> dict[str, object]:
    """The run-time values that it was given, from what it holds."""
    place = workspaces.lease_of(agent.owner)
    workspace = str(workspaces.place_of(place.key)) if place else ""
    ports = {lease.name: int(lease.key) for lease in leases.live(owner=agent.owner, kind=Lease.Kind.PORT)}
    return outfits.variables_of(agent, workspace=workspace, ports=ports)


def _save(agent: Agent, after: dict[str, Any], got: Sequence[Change], behind: Sequence[Change], *, actor: str) -> bool:
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if (current.generation, current.resolved) != (agent.generation, agent.resolved):
            return False
        Agent.objects.filter(pk=agent.pk, generation=agent.generation).update(resolved=after)
        current.resolved = agent.resolved = after
        record(
            "agent.outfit_reloaded", current, actor=actor, reason=f"template {agent.template} has changed",
            **lifecycle.snapshot(current), changes=[one.as_dict() for one in got][:100], outdated=bool(behind),
        )  # fmt: skip
    return True
