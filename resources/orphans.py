"""Orphans: what carries our mark on this host and belongs to nobody any more. Removed on the second sighting.

The ledger decides: everything of a berth is called after its owner and generation (``<uuid>-<generation>``), and only
a berth that the ledger knows and says is released leaves orphans. What it never heard of is listed and left alone.

The sweep refuses to act when the ledger is younger than what it would remove, and when it would remove more than a
fifth of what is there: then something is wrong with the ledger, not with the host.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from events.faults import Fault
from events.journal import record
from resources import hosts, leases
from resources.models import Host, Lease, Orphan
from resources.traces import SOURCES, Trace

log = logging.getLogger(__name__)

GRACE = timedelta(minutes=10)
FEW = 3  # so many orphans at once are plausible after a crash, however small the host
KEEP_ENDED = timedelta(days=7)
_EVER = datetime.min.replace(tzinfo=UTC)
Fate = Orphan.Fate


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that is listed: why, and what happens to it."""

    trace: Trace
    fate: Orphan.Fate
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep removes (names), and why it will not act if it will not."""

    remove: tuple[str, ...]
    refused: str = ""


def sweep(*, host_name: str, now: datetime, dry_run: bool = False) -> Plan:
    """Look once, write down what was seen; remove what was an orphan at an earlier look too, a grace period ago.

    A dry run writes and removes nothing. Two sweeps at once are fine: whoever comes second finds nothing there.
    """
    host = Host.objects.filter(name=host_name).first()
    if host is None:
        return Plan((), refused="this host has no ledger")
    candidates, refused = look(host, now=now)
    if dry_run:
        return Plan(_due(candidates), refused)
    rows = _note(host, candidates, now=now)
    if refused:
        log.warning("orphan sweep refuses to act", extra={"reason": refused})
        return Plan((), refused)
    removed = tuple(
        candidate.trace.name
        for candidate in candidates
        if candidate.fate is Fate.DUE and _remove(host, candidate, rows[_identity(candidate)], now=now)
    )
    return Plan(removed)


def look(host: Host, *, now: datetime) -> tuple[list[Candidate], str]:
    """Everything on this machine that nobody owns, with what will happen to it; and why nothing will, if so."""
    found = [trace for source in SOURCES.values() for trace in source.find()]
    keys = {name for trace in found for name in (trace.key, trace.name)}
    known, held = _ledger(host, keys)
    first_seen = {(row.kind, row.key): row.first_seen_at for row in Orphan.objects.filter(host=host, fate__in=_SIGHTED)}
    candidates = [
        _judged(trace, known=known, first_seen=first_seen.get((trace.kind, trace.name)), now=now)
        for trace in found
        if not held & {trace.key, trace.name}
    ]
    refused = _refusal(candidates, Counter(trace.kind for trace in found), ledger_since=host.created_at)
    if refused:
        candidates = [
            Candidate(one.trace, Fate.REFUSED, f"{one.reason}; {refused}") if one.fate is Fate.DUE else one
            for one in candidates
        ]
    return candidates, refused


_SIGHTED = (Fate.WAITS, Fate.DUE, Fate.REFUSED, Fate.RESISTS)  # the grace runs on; not while it was left alone


def _ledger(host: Host, keys: set[str]) -> tuple[dict[str, datetime], set[str]]:
    """Which berths the ledger of this host knows (and when they were released), and which are held.

    Containers are written down by their own names, user ids as numbers. Hosts may share a machine, and its user ids.
    """
    kinds = (Lease.Kind.DIRECTORY, Lease.Kind.PROCESS, Lease.Kind.EGRESS, Lease.Kind.CONTAINER, Lease.Kind.UID)
    here_or_lent = Q(host=host) | Q(kind=Lease.Kind.UID, state__in=Lease.LIVE)
    known: dict[str, datetime] = {}
    held: set[str] = set()
    rows = Lease.objects.filter(here_or_lent, kind__in=kinds, key__in=keys)
    for key, state, released_at, detail in rows.values_list("key", "state", "released_at", "detail"):
        if state in Lease.LIVE:
            held.add(key)
        elif given_back := detail.get(leases.GIVEN_BACK_AT):  # and not lent since: something may be left of its holder
            known[key] = max(known.get(key, _EVER), datetime.fromisoformat(given_back))
        elif released_at is not None:
            known[key] = max(known.get(key, released_at), released_at)
    return known, held


def _judged(trace: Trace, *, known: dict[str, datetime], first_seen: datetime | None, now: datetime) -> Candidate:
    """Pure: the fate of one thing that nobody holds."""
    if not trace.over and trace.key not in known:
        return Candidate(trace, Fate.KEPT, "the ledger of this host never heard of its berth: it may be a stranger's")
    reason = trace.over or f"its berth was given back at {known[trace.key]:%Y-%m-%d %H:%M:%S} UTC"
    seen_for = now - first_seen if first_seen else timedelta(0)
    if first_seen is None or seen_for < GRACE:
        return Candidate(trace, Fate.WAITS, reason)
    return Candidate(trace, Fate.DUE, reason)


def _refusal(candidates: Sequence[Candidate], there: Counter[str], *, ledger_since: datetime) -> str:
    """Pure: why the plan as a whole is not to be believed; empty when it is."""
    due = [candidate.trace for candidate in candidates if candidate.fate is Fate.DUE]
    if any(trace.changed_at < ledger_since for trace in due):
        return "the ledger is younger than what it would remove"
    for kind, count in Counter(trace.kind for trace in due).items():
        if count > max(FEW, there[kind] // 5):
            return f"{count} of {there[kind]} {kind}s at once is too many to be true"
    return ""


def _due(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    return tuple(candidate.trace.name for candidate in candidates if candidate.fate is Fate.DUE)


def _identity(candidate: Candidate) -> tuple[str, str]:
    return candidate.trace.kind, candidate.trace.name


def _note(host: Host, candidates: Sequence[Candidate], *, now: datetime) -> dict[tuple[str, str], Orphan]:
    """Write down what was seen; sightings of what is no orphan any more end."""
    with transaction.atomic():
        opened = {(row.kind, row.key): row for row in Orphan.objects.filter(host=host, ended_at=None)}
        for identity in set(opened) - {_identity(candidate) for candidate in candidates}:
            Orphan.objects.filter(pk=opened.pop(identity).pk, ended_at=None).update(fate=Fate.CLEARED, ended_at=now)
        Orphan.objects.filter(host=host, ended_at__lt=now - KEEP_ENDED).delete()
        for candidate in candidates:
            row = opened.get(_identity(candidate))
            if row is None:
                row = _seen_first(host, candidate, now=now)
            elif (row.fate == Fate.KEPT) != (candidate.fate is Fate.KEPT):
                row.first_seen_at = now  # what is known of it changed: its grace begins
            row.fate, row.reason, row.last_seen_at = candidate.fate, candidate.reason[:300], now
            row.save()
            opened[_identity(candidate)] = row
    return opened


def _seen_first(host: Host, candidate: Candidate, *, now: datetime) -> Orphan:
    fields = {"owner": candidate.trace.owner, "reason": candidate.reason[:300], "fate": candidate.fate}
    try:
        with transaction.atomic():
            return Orphan.objects.create(
                host=host, kind=candidate.trace.kind, key=candidate.trace.name, first_seen_at=now, last_seen_at=now,
                **fields,
            )  # fmt: skip
    except IntegrityError:  # another sweep saw it at the same moment
        return Orphan.objects.get(host=host, kind=candidate.trace.kind, key=candidate.trace.name, ended_at=None)


def _remove(host: Host, candidate: Candidate, row: Orphan, *, now: datetime) -> bool:
    """Take it away, if the ledger still says so. False when something resists: the next sweep tries again."""
    trace = candidate.trace
    if _ledger(host, {trace.key, trace.name})[1]:
        return False  # somebody took the berth since we looked
    log.info("removing orphan", extra={"kind": trace.kind, "orphan": trace.name})
    try:
        SOURCES[trace.kind].remove(trace)
    except (Fault, OSError) as error:
        words = error.detail if isinstance(error, Fault) else str(error)
        log.warning("orphan cannot be removed", extra={"kind": trace.kind, "orphan": trace.name, "error": words})
        Orphan.objects.filter(pk=row.pk, ended_at=None).update(
            fate=Fate.RESISTS, reason=f"{candidate.reason}; {words}"[:300]
        )
        return False
    with transaction.atomic():
        if Orphan.objects.filter(pk=row.pk, ended_at=None).update(fate=Fate.REMOVED, ended_at=now):
            record(
                "host.orphan_removed", hosts.topic(host), actor="system", reason=candidate.reason,
                what=trace.kind, name=trace.name, owner=trace.owner,
            )  # fmt: skip
    return True
