"""Berths made real, and cleared: what a host does for one agent, ledger first.

Both doors run on the agent's own host, hold no transaction while they work, and may be called twice.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents import berth_volumes, equipment, health, lifecycle, outfits, sizes, ways_out
from agents.holding import held
from agents.models import Agent, Fact
from agents.placement import LEASE_TTL
from events.faults import Fault
from resources import leases, ports, uids, warm, workspaces
from resources.egress import berths as egress
from resources.models import Lease
from resources.sandboxes import selection
from resources.sandboxes.engine import EngineUnreachable
from resources.sandboxes.protocol import Profile, Reference, Sandbox, SandboxFailed, SandboxGone, Tier
from resources.volumes import berths as volumes

log = logging.getLogger(__name__)

_REPLACED = (Lease.Kind.DIRECTORY, Lease.Kind.CONTAINER)  # of a warm berth that died: the new one has its own


def workspace_of(agent: Agent, *, generation: int) -> Path:
    """The directory of one berth: named after its owner and generation, so that a sweep can tell whose it is."""
    return workspaces.place_of(f"{agent.pk}-{generation}")


def open_berth(agent_id: uuid.UUID | str, *, generation: int, worker: str) -> None:
    """Turn a placed agent's leases into a running sandbox; on a fault give back everything and fail the agent."""
    agent = _claim(agent_id, generation=generation, state=Agent.State.SPAWNING)
    if agent is None or agent.host is None:
        return
    try:
        with held(agent):  # one call of an engine may take longer than a claim lives
            sandbox = _open(agent)
    except (Fault, OSError) as error:
        if lifecycle.fail(agent.pk, generation=generation, fault=_as_fault(error), actor=worker) is None:
            _abandon(agent, None, worker=worker)
        return  # what it took is given back by clear_berth, which the failure starts
    try:
        _running(agent, sandbox, generation=generation, worker=worker)
    except lifecycle.faults.StaleGeneration:
        _abandon(agent, sandbox, worker=worker)


def _as_fault(error: Fault | OSError) -> Fault:
    if isinstance(error, Fault):
        return error
    return SandboxFailed(f"the berth cannot be made: {error.strerror or type(error).__name__}")


def _claim(agent_id: uuid.UUID | str, *, generation: int, state: str) -> Agent | None:
    """This host's exclusive right to work on the berth for one claim period; None when somebody else has it."""
    now = timezone.now()
    until = now + timedelta(seconds=settings.CLAIM_TTL_S)
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    mine = Agent.objects.filter(unclaimed, pk=agent_id, generation=generation, state=state).update(
        claimed_until=until, wake_up_at=until
    )
    return Agent.objects.select_related("host").get(pk=agent_id) if mine else None


def _abandon(agent: Agent, sandbox: Sandbox | None, *, worker: str) -> None:
    """The agent left while its berth was being made: clear what this attempt made after the leaving was cleared.

    A berth of the same generation that somebody else has claimed since then is theirs, and has the same names.
    """
    current = Agent.objects.get(pk=agent.pk)
    theirs = current.generation == agent.generation or (
        current.state == Agent.State.RUNNING and current.generation == agent.generation + 1
    )
    if theirs:
        return
    log.info("agent moved on while its berth was opened", extra={"agent": str(agent.pk)})
    try:
        if sandbox is not None:
            sandbox.close()
        # The leaving may have given their rows back before they were made: then no lease names them.
        place = workspace_of(agent, generation=agent.generation).name
        _intend(agent, kind=Lease.Kind.DIRECTORY, key=place)
        egress.clear(place)
        _remove_what_is_leased(agent, generation=agent.generation)
    except EngineUnreachable as silent:  # its leases run out, and the orphan sweep finds what they name
        log.warning("a berth cannot be cleared", extra={"agent": str(agent.pk), "reason": silent.detail})
        return
    leases.release(
        owner=agent.owner, generation=agent.generation, actor=worker, reason="agent moved on", now=timezone.now()
    )


def _open(agent: Agent) -> Sandbox:
    now = timezone.now()
    port_numbers = {
        lease.name: int(ports.confirm(lease=lease, now=now).key)
        for lease in leases.live(owner=agent.owner, kind=Lease.Kind.PORT, generation=agent.generation)
    }
    if (reference := warm.reference(owner=agent.owner, generation=agent.generation)) is not None:
        sandbox = _move_in(agent, reference, port_numbers=port_numbers)
        if sandbox is not None:
            return sandbox
    try:
        return _build(agent, workspaces.offer(), port_numbers=port_numbers)
    except workspaces.ImageFailed as failed:
        return _build(agent, workspaces.other_offer(failed), port_numbers=port_numbers)


def _build(agent: Agent, offer: workspaces.Offer, *, port_numbers: dict[str, int]) -> Sandbox:
    """A berth made from nothing: its workspace is made beside its sandbox, and waited for before anything starts."""
    workspace = workspace_of(agent, generation=agent.generation)
    limit_mb = _intend_workspace(agent, workspace, offer)
    with workspaces.being_created(workspace, limit_mb=limit_mb, kind=offer.kind) as ready:
        fitted = _fitted(agent, workspace=workspace, port_numbers=port_numbers)
        profile = _profile(agent, fitted, workspace=workspace, port_numbers=port_numbers, uid=_uid(agent))
        tier = _intend_sandbox(agent, fitted, profile)
        way_out = _way_out(agent, fitted, key=workspace.name)
        lent = berth_volumes.make(agent, fitted, key=workspace.name, uid=profile.uid, tier=tier)
        sandbox = selection.open_sandbox(
            replace(profile, egress=way_out, volumes=tuple(one.volume for one in lent)), minimum=tier,
            allow_bare=settings.ALLOW_BARE, prefer=tier, workspace_ready=ready,
        )  # fmt: skip
    _note_outfit(agent, fitted)
    berth_volumes.note(agent, fitted, lent)
    return sandbox


def _move_in(agent: Agent, reference: Reference, *, port_numbers: dict[str, int]) -> Sandbox | None:
    """The warm berth that admission gave, with the agent's own variables. None, and cleared, when it has died."""
    workspace = Path(reference["profile"]["workspace"])
    fitted = _fitted(agent, workspace=workspace, port_numbers=port_numbers)
    profile = _profile(agent, fitted, workspace=workspace, port_numbers=port_numbers, uid=None)
    own = {"environment": dict(profile.environment), "ports": dict(profile.ports)}
    try:
        sandbox = selection.adopt({**reference, "profile": {**reference["profile"], **own}})
    except SandboxGone as error:
        log.warning("a warm berth is gone; one is made", extra={"agent": str(agent.pk), "reason": error.detail})
        _remove_what_is_leased(agent, generation=agent.generation)
        leases.drop(owner=agent.owner, generation=agent.generation, kinds=_REPLACED, now=timezone.now())
        agent.resolved = {**agent.resolved, "taken": {**agent.resolved.get("taken", {}), "warm": False}}
        return None
    _note_outfit(agent, fitted)
    return sandbox


def _fitted(agent: Agent, *, workspace: Path, port_numbers: dict[str, int]) -> outfits.Outfit:
    variables = outfits.variables_of(agent, workspace=str(workspace), ports=port_numbers)
    fitted = outfits.outfit(agent.template, variables=variables).sized(agent.resolved.get("chosen", {}))
    equipment.check(fitted.spec)
    return fitted


def _note_outfit(agent: Agent, fitted: outfits.Outfit) -> None:
    """What it was given now, and still what admission took for it."""
    kept = {name: agent.resolved[name] for name in ("taken", "facts") if name in agent.resolved}
    agent.resolved = {**fitted.as_dict(), **kept}


def _uid(agent: Agent) -> int | None:
    if agent.host is None:
        raise ValueError("a lease needs a host")
    now = timezone.now()
    return uids.own(
        host=agent.host, owner=agent.owner, generation=agent.generation, now=now, expires_at=now + LEASE_TTL
    )


def _intend_workspace(agent: Agent, workspace: Path, offer: workspaces.Offer) -> int:
    """The ledger says what will be made before it is. The bound, in MB, is what admission reserved."""
    limit_mb = sizes.size_taken(agent.resolved).disk_mb
    detail = {"kind": offer.kind.value, "limit_mb": limit_mb, "note": offer.note, "reason": offer.reason}
    _intend(agent, kind=Lease.Kind.DIRECTORY, key=workspace.name, detail=detail)
    return limit_mb


def _intend_sandbox(agent: Agent, fitted: outfits.Outfit, profile: Profile) -> Tier:
    """The ledger says what will run, and by which name, before it does. Returns the tier that was chosen."""
    tier = selection.choose(minimum=fitted.minimum, allow_bare=settings.ALLOW_BARE, prefer=fitted.highest).tier
    if tier is Tier.CONTAINER:
        _intend(agent, kind=Lease.Kind.CONTAINER, key=selection.name_of(profile))
    else:
        _intend(agent, kind=Lease.Kind.PROCESS, key=f"{agent.pk}-{agent.generation}")
    return tier


def _intend(agent: Agent, *, kind: Lease.Kind, key: str, detail: dict[str, Any] | None = None) -> None:
    if agent.host is None:
        raise ValueError("a lease needs a host")
    now = timezone.now()
    Lease.objects.update_or_create(
        host=agent.host, kind=kind, key=key, owner=agent.owner, generation=agent.generation, state__in=Lease.LIVE,
        defaults={"detail": detail} if detail else {},
        create_defaults={
            "created_at": now, "expires_at": now + LEASE_TTL, "detail": detail or {},
        },
    )  # fmt: skip


def _profile(
    agent: Agent, fitted: outfits.Outfit, *, workspace: Path, port_numbers: dict[str, int], uid: int | None
) -> Profile:
    spec, size = fitted.clear, sizes.size_taken(agent.resolved)
    path = os.pathsep.join(str(folder) for folder in (settings.TOOLCHAIN / "bin", "/usr/local/bin", "/usr/bin", "/bin"))
    return Profile(
        owner=agent.owner,
        generation=agent.generation,
        workspace=workspace,
        memory_mb=size.memory_mb,
        cpu_millis=size.cpu_millis,
        pids=spec["size"]["pids"],
        image=spec["isolation"].get("image", ""),
        runtime=spec["isolation"].get("runtime", ""),
        environment={
            "PATH": path,
            **{f"PORT_{name.upper().replace('-', '_')}": str(number) for name, number in port_numbers.items()},
            **egress.environment(spec.get("network", {})),
            **spec.get("environment", {}),
        },
        readable=(settings.TOOLCHAIN,),
        ports=port_numbers,
        uid=uid,
        install=settings.INSTALL_ID,
    )


def _way_out(agent: Agent, fitted: outfits.Outfit, *, key: str) -> Path | None:
    """What the template asks of the network, as a directory with a proxy's socket; None where it asks for nothing."""
    if agent.host is None:
        raise ValueError("a lease needs a host")
    now = timezone.now()
    return egress.prepare(
        host=agent.host, owner=agent.owner, generation=agent.generation, key=key,
        network=ways_out.network_of(fitted.clear), template=agent.template, project_id=agent.project_id,
        now=now, expires_at=now + LEASE_TTL,
    )  # fmt: skip


def _running(agent: Agent, sandbox: Sandbox, *, generation: int, worker: str) -> None:
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if (current.generation, current.claimed_until) != (generation, agent.claimed_until):
            raise lifecycle.faults.StaleGeneration(f"agent {agent.name} changed while its berth was opened")
        current.tier = sandbox.tier.value
        workspace = workspaces.lease_of(agent.owner)
        note = workspace.detail.get("note", "") if workspace else ""
        current.tier_note = " ".join(filter(None, (note, sandbox.note)))[:300]
        current.sandbox, current.resolved = sandbox.reference(), agent.resolved
        leases.hold(owner=agent.owner, generation=generation)
        lifecycle.move(
            current, Agent.berthed, kind="agent.running", actor=worker, reason=f"berth open ({sandbox.tier})"
        )
    health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=timezone.now(), detail=f"{sandbox.tier} opened")


def clear_berth(agent_id: uuid.UUID | str, *, generation: int, worker: str) -> None:
    """Tear the berth of a stopping or broken agent down; only then give back its leases."""
    agent = _claim(agent_id, generation=generation, state=Agent.State.STOPPING) or _claim(
        agent_id, generation=generation, state=Agent.State.ERROR
    )
    if agent is None:
        return
    try:
        with held(agent):
            _tear_down(agent)
    except EngineUnreachable as silent:  # what runs there cannot be ended: the leases stay, and the sweep comes back
        health.observe(agent.pk, Fact.Kind.SANDBOX_INSPECTED, now=timezone.now(), ok=False, detail=silent.detail)
        return
    with transaction.atomic():
        current = lifecycle.load(agent.pk)
        if current.generation != generation:
            return
        lifecycle.cleared(current, actor=worker, reason="berth cleared", now=timezone.now())


def _tear_down(agent: Agent) -> None:
    ended = False
    if agent.sandbox is not None:
        try:
            selection.close(agent.sandbox)
            ended = True
        except SandboxGone:
            log.warning("the sandbox's reference cannot be read", extra={"agent": str(agent.pk)})
    _remove_what_is_leased(agent, ended=ended)
    uids.vacate(owner=agent.owner, now=timezone.now())


def _remove_what_is_leased(agent: Agent, *, generation: int | None = None, ended: bool = False) -> None:
    """Ways out and workspaces that the ledger names. What may still run there, since nobody noted it, ends first."""
    for lease in leases.live(owner=agent.owner, kind=Lease.Kind.EGRESS, generation=generation):
        egress.clear(lease.key)
    for lease in leases.live(owner=agent.owner, kind=Lease.Kind.DIRECTORY, generation=generation):
        if not ended:
            contained = bool(leases.live(owner=agent.owner, kind=Lease.Kind.CONTAINER, generation=lease.generation))
            selection.end_leftovers(workspaces.inhabitant(lease, install=settings.INSTALL_ID), contained=contained)
        volumes.remove(lease.key)
        workspaces.remove(workspaces.place_of(lease.key))
