"""The warm pool of this host: berths made before they are asked for, as many per template as the operator wants.

Runs on the host itself, as a duty. Everything it does may be done twice or be cut short: what a killed worker leaves
is either ready and found again, or runs out and is swept like any other berth.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import outfits, shapes
from agents.models import Agent
from agents.placement import LEASE_TTL
from events.faults import Fault
from resources import admission, hosts, leases, uids, warm, workspaces
from resources.models import Host, Lease
from resources.sandboxes import selection
from resources.sandboxes.engine import EngineUnreachable
from resources.sandboxes.protocol import Profile, SandboxGone, Tier

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """So many berths of one shape, made as this template says."""

    shape: str
    count: int
    outfit: outfits.Outfit


def tend(*, host_name: str, now: datetime, actor: str) -> int:
    """Renew, clear what is out of use or dead, and make what is missing. Returns how many were made."""
    host = Host.objects.filter(name=host_name).first()
    if host is None:
        return 0
    alive = hosts.verdict(host, now=now) is hosts.Verdict.ALIVE
    wishes = _wishes(settings.WARM_POOL) if alive else {}
    warm.renew(host, expires_at=now + LEASE_TTL)
    warm.retire(host, keep={w.shape: w.count for w in wishes.values()}, reason="not wanted any more", actor=actor)
    warm.bury(host, [owner for owner, reference in warm.standing(host) if not _lives(reference)])
    clear_retired(host, actor=actor)
    return sum(_fill(host, wish, actor=actor) for wish in wishes.values())


def drain(*, host_name: str, actor: str) -> int:
    """Clear all of it: the host stops or takes nothing new. Returns how many stood ready."""
    host = Host.objects.filter(name=host_name).first()
    if host is None:
        return 0
    warm.retire(host, keep={}, reason="the host's worker stops", actor=actor)
    return clear_retired(host, actor=actor)


def clear_retired(host: Host, *, actor: str) -> int:
    """Tear down what nobody can take any more. One that resists stays in the ledger, runs out and is swept."""
    cleared = 0
    for owner in warm.retired(host):
        try:
            _clear(owner, actor=actor)
            cleared += 1
        except (Fault, OSError) as error:
            log.warning("a warm berth cannot be cleared", extra={"owner": owner, "error": str(error)})
    return cleared


def _wishes(wanted: Mapping[str, int]) -> dict[str, Wish]:
    """By shape: templates that are alike share theirs. One that cannot be kept ready is said in the log."""
    found: dict[str, Wish] = {}
    for template, count in wanted.items():
        try:
            fitted = outfits.outfit(template)
            shape = "" if fitted.adapts else shapes.shape_of(fitted.spec)
            tier = selection.choose(
                minimum=fitted.minimum,
                allow_bare=False,
                prefer=fitted.highest,
            ).tier
        except Fault as fault:
            log.warning("nothing is kept ready", extra={"template": template, "reason": fault.detail})
            continue
        if not shape or tier is not Tier.CONTAINER:
            why = "it depends on its host or has a way out" if not shape else f"the tier here is {tier}"
            log.info("nothing is kept ready", extra={"template": template, "reason": why})
            continue
        known = found.get(shape)
        found[shape] = Wish(shape, count + (known.count if known else 0), fitted)
    return found


def _lives(reference: Mapping[str, object]) -> bool:
    try:
        return selection.adopt(dict(reference)).alive()
    except SandboxGone:
        return False
    except EngineUnreachable:  # nobody can say
        return True


def _fill(host: Host, wish: Wish, *, actor: str) -> int:
    made = 0
    while (owner := _reserve(host, wish)) is not None:
        try:
            made += _make(host, wish, owner)
        except (Fault, OSError) as error:
            log.warning("a warm berth cannot be made", extra={"template": wish.outfit.name, "error": str(error)})
            _give_up(owner, actor=actor)
            break
    return made


def _give_up(owner: str, *, actor: str) -> None:
    """What was made of it goes; where it resists, its leases run out and it is swept."""
    try:
        _clear(owner, actor=actor)
    except (Fault, OSError) as error:
        log.warning("a warm berth cannot be cleared", extra={"owner": owner, "error": str(error)})


def _reserve(host: Host, wish: Wish) -> str | None:
    """Room for one more, if it is wanted and nobody waits for that room. Ledger first."""
    now = timezone.now()
    with transaction.atomic():
        Host.objects.select_for_update(no_key=True).get(pk=host.pk)
        if warm.counts(host)[wish.shape] >= wish.count or _somebody_waits():
            return None
        owner = warm.new_owner()
        answer = admission.admit(
            owner=owner, generation=1, size=_bare_size(wish), minimum=wish.outfit.minimum, only=host, now=now,
            expires_at=now + LEASE_TTL,
        )  # fmt: skip
        if isinstance(answer, admission.Blocked):
            return None
        named = Profile(owner=owner, generation=1, workspace=workspaces.place_of(warm.key_of(owner)))
        for kind, key, name in (
            (Lease.Kind.CONTAINER, selection.name_of(named), wish.shape),
            (Lease.Kind.DIRECTORY, warm.key_of(owner), ""),
        ):
            leases.intend(
                host=host, kind=kind, key=key, name=name, owner=owner, generation=1, now=now,
                expires_at=now + LEASE_TTL,
            ).save(force_insert=True)  # fmt: skip
    return owner


def _somebody_waits() -> bool:
    return Agent.objects.filter(state=Agent.State.SPAWNING, host=None).exists()


def _bare_size(wish: Wish) -> admission.Size:
    """Without ports: they are the agent's who takes it."""
    size = wish.outfit.size
    return admission.Size(size.memory_mb, size.cpu_millis, size.disk_mb)


def _make(host: Host, wish: Wish, owner: str) -> bool:
    now = timezone.now()
    workspace = workspaces.place_of(warm.key_of(owner))
    detail = _create(workspace, limit_mb=wish.outfit.size.disk_mb)
    Lease.objects.filter(owner=owner, kind=Lease.Kind.DIRECTORY, state__in=Lease.LIVE).update(detail=detail)
    uid = uids.own(host=host, owner=owner, generation=1, now=now, expires_at=now + LEASE_TTL)
    sandbox = selection.open_sandbox(
        _profile(wish, owner=owner, workspace=workspace, uid=uid), minimum=wish.outfit.minimum, allow_bare=False,
        prefer=wish.outfit.highest,
    )  # fmt: skip
    if warm.ready(owner=owner, shape=wish.shape, reference=sandbox.reference()):
        return True
    sandbox.close()
    workspaces.remove(workspace)
    leases.release(owner=owner, actor="system", reason="retired while it was made", now=timezone.now())
    return False


def _create(workspace: Path, *, limit_mb: int) -> dict[str, object]:
    """What the directory's lease says of it."""
    offer = workspaces.offer()
    try:
        workspaces.create(workspace, limit_mb=limit_mb, kind=offer.kind)
    except workspaces.ImageFailed as failed:
        offer = workspaces.other_offer(failed)
        workspaces.create(workspace, limit_mb=limit_mb, kind=offer.kind)
    return {"kind": offer.kind.value, "limit_mb": limit_mb, "note": offer.note, "reason": offer.reason}


def _profile(wish: Wish, *, owner: str, workspace: Path, uid: int | None) -> Profile:
    spec, size = wish.outfit.clear, wish.outfit.size
    return Profile(
        owner=owner,
        generation=1,
        workspace=workspace,
        memory_mb=size.memory_mb,
        cpu_millis=size.cpu_millis,
        pids=spec["size"]["pids"],
        image=spec["isolation"].get("image", ""),
        runtime=spec["isolation"].get("runtime", ""),
        readable=(settings.TOOLCHAIN,),
        uid=uid,
        install=settings.INSTALL_ID,
    )


def _clear(owner: str, *, actor: str) -> None:
    for lease in leases.live(owner=owner, kind=Lease.Kind.DIRECTORY):
        selection.end_leftovers(workspaces.inhabitant(lease, install=settings.INSTALL_ID), contained=True)
        workspaces.remove(workspaces.place_of(lease.key))
    uids.vacate(owner=owner, now=timezone.now())
    leases.release(owner=owner, actor=actor, reason="a warm berth was cleared", now=timezone.now())
