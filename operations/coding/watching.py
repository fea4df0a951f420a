"""Watching delivered pull requests: read the forge, keep what it says, and do what follows from it.

Whatever led here (a webhook, the poll, a delivery) is a hint only. What counts is what the forge says now.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from agents.outfits import outfit
from events.faults import Fault
from events.journal import record
from operations.coding import decisions, pull_requests, reactions, rework_faults, rounds, wishes
from operations.coding.forges import allowance
from operations.coding.forges.local_forge import LocalForge
from operations.coding.forges.protocol import CheckState, Forge, ForgeRateLimited, Known, Seen
from operations.coding.recovery import GO_ON_FROM_LAST
from operations.coding.storable import storable
from operations.models import Operation, PullRequest, Rework
from operations.snapshots import snapshot
from operations.submit import load

# Seconds until the next routine look, by how many looks in a row showed nothing new.
PACES_S = (60, 120, 300, 600, 1200, 3600)
IDLE_LOOKS = len(PACES_S) - 1  # from then on it is idle: an hourly look, by at most two requests
ROUTINE_CALLS = 2
TOGETHER = timedelta(seconds=5)
MOST_HANDLED = 1000  # as many as are read
LOOK_LEASE_S = 120.0  # a look that says nothing for so long is somebody else's to make

_EVENTS = {
    PullRequest.State.OPEN: "operation.pull_request_reopened",
    PullRequest.State.CLOSED: "operation.pull_request_closed",
    PullRequest.State.MERGED: "operation.pull_request_merged",
}


def due(*, now: datetime, limit: int = 10) -> Sequence[uuid.UUID]:
    """Pull requests whose routine look is due, each to one caller: it is theirs for a while.

    Those that nobody looked at for longest come first: where the allowance is short, busy ones starve nobody.
    """
    rows = PullRequest.objects.filter(look_due_at__lte=now, project__archived_at=None)
    found = []
    for key, at in rows.order_by(F("looked_at").asc(nulls_first=True), "look_due_at").values_list("pk", "look_due_at")[
        :limit
    ]:
        ours = PullRequest.objects.filter(pk=key, look_due_at=at)
        if ours.update(look_due_at=now + timedelta(seconds=LOOK_LEASE_S)):
            found.append(key)
    return found


def look_for_hint(pull_request_id: uuid.UUID | str, *, now: datetime, actor: str) -> None:
    """Look because somebody said so. A forge that says a lot at once is looked at once: the rest is looked at soon."""
    row = PullRequest.objects.filter(pk=pull_request_id).first()
    if row is None or row.looked_at is None or now - row.looked_at >= TOGETHER:
        look(pull_request_id, now=now, actor=actor)
    elif row.state != PullRequest.State.MERGED:
        soon = row.looked_at + TOGETHER
        # Its next look is no idle one: something happened.
        PullRequest.objects.filter(pk=row.pk).update(look_due_at=soon, quiet_looks=0)


def look(pull_request_id: uuid.UUID | str, *, now: datetime, actor: str, routine: bool = False) -> None:
    """Read one pull request and act on it. A routine look keeps to the polling allowance; looking twice is fine.

    Where the forge cannot be read, the row says why and when the next look is.
    """
    row = _found(pull_request_id)
    if row is None:
        return
    try:
        _look(row, now=now, actor=actor, routine=routine)
    except Fault as fault:
        wait_s = float(fault.facts.get("retry_after_s") or 60) if isinstance(fault, ForgeRateLimited) else 300.0
        _postpone(row, now=now, wait_s=wait_s, note=f"{fault.code}: {fault.detail}")


def look_before_push(pull_request_id: uuid.UUID | str, *, now: datetime, actor: str) -> None:
    """The same for a round that is about to push: where the forge cannot be read, its fault is the round's."""
    if (row := _found(pull_request_id)) is not None:
        _look(row, now=now, actor=actor, routine=False)


def _found(pull_request_id: uuid.UUID | str) -> PullRequest | None:
    rows = PullRequest.objects.select_related("project__owner", "operation__agent", "operation__project")
    return rows.filter(pk=pull_request_id).exclude(state=PullRequest.State.MERGED).first()


def _look(row: PullRequest, *, now: datetime, actor: str, routine: bool) -> None:
    """One look.

    1. read the forge; 2. decide, and read what the decision needs; 3. one transaction: keep what was seen, decide on
    the locked rows again, begin a round or ask a person. Whoever read earlier and writes later writes nothing.
    """
    forge, known = pull_requests.forge_for(row.operation), pull_requests.known(row)
    credential = forge.service if routine else ""
    if credential and (wait_s := _wait_s(credential, now=now)):
        _postpone(row, now=now, wait_s=wait_s, note="the routine look waits for the polling allowance")
        return
    seen = forge.look(replace(known, thorough=not routine or row.quiet_looks < IDLE_LOOKS))
    known = replace(known, seen=seen)
    if credential:
        allowance.settle(credential, calls=seen.calls - ROUTINE_CALLS)
    if seen.state == PullRequest.State.OPEN and decisions.is_to_close(row):
        forge.close(known)
        seen = replace(seen, state=PullRequest.State.CLOSED.value)
    wanted = _wanted(row.operation)
    told = _told(forge, known, seen, row, wanted, now=now)
    _keep(row, seen, wanted, told, now=now, actor=actor)


def _wait_s(credential: str, *, now: datetime) -> float:
    """0: the requests of a routine look were taken out of the allowance; else when they are there."""
    return allowance.take(credential, calls=ROUTINE_CALLS, per_hour=settings.FORGE_CALLS_PER_HOUR, now=now)


def _wanted(operation: Operation) -> wishes.Reactions:
    """The template's reactions as they are now: they are live. Of one that is gone or broken, as its agent had them."""
    try:
        return wishes.reactions(outfit(operation.template).spec)
    except Fault:
        agent = operation.agent
        return wishes.reactions(agent.resolved.get("spec", {}) if agent else {})


def _told(
    forge: Forge, known: Known, seen: Seen, row: PullRequest, wanted: wishes.Reactions, *, now: datetime
) -> tuple[reactions.Decision, dict[str, Any]]:
    """The decision as things stand, with what an engine would be told: logs are read while no row is locked."""
    decision = decide(row, row.operation, seen, wanted, now=now)
    if not isinstance(decision, reactions.Round):
        return decision, {}
    logs = {check.name: forge.log_of(known, check) for check in decision.checks[: rework_faults.MOST_LOGS]}
    return decision, rework_faults.of(decision, row, logs=logs)


def decide(
    row: PullRequest, operation: Operation, seen: Seen, wanted: wishes.Reactions, *, now: datetime
) -> reactions.Decision:
    """What follows from what was seen, for an open one."""
    if seen.state != PullRequest.State.OPEN:
        return reactions.Nothing()
    situation = reactions.Situation(
        ours=row.head_commit,
        base_branch=row.base_branch,
        rounds=list(row.reworks.order_by("number").values_list("cause", "head_commit")),
        busy=operation.status in Operation.ACTIVE,
        ended_well=rounds.may_begin(operation),
        reworkable=operation.engine_kind in GO_ON_FROM_LAST,
        engine=operation.engine_kind,
        handled=row.handled,
        reactions=wanted,
        troubled_since=row.troubled_since,
        asked=decisions.words(row),
        left_to=decisions.left_to(row),
    )
    return reactions.decide(seen, situation, now=now)


def _keep(
    stale: PullRequest, seen: Seen, wanted: wishes.Reactions, told: tuple[reactions.Decision, dict[str, Any]],
    *, now: datetime, actor: str,
) -> None:  # fmt: skip
    with transaction.atomic():
        operation = load(stale.operation_id)
        row = PullRequest.objects.select_for_update().select_related("project").get(pk=stale.pk)
        if row.looked_at != stale.looked_at or row.head_commit != stale.head_commit:
            row.look_due_at = now  # somebody wrote since we read: read again, soon
            row.save(update_fields=["look_due_at"])
            return
        kept = storable(seen.as_dict())
        row.quiet_looks = min(row.quiet_looks + 1, 1000) if row.seen == kept else 0
        _follow_state(operation, row, seen, actor=actor, now=now)
        if _summary(row.seen) != _summary(kept):
            record("operation.checks_changed", operation, actor=actor, pull_request=rounds.brief(row),
                   checks=_summary(kept), **snapshot(operation))  # fmt: skip
        row.seen, row.etags, row.looked_at, row.url = kept, dict(seen.etags), now, seen.url or row.url
        decision = decide(row, operation, seen, wanted, now=now)
        _act(operation, row, decision, told, now=now, actor=actor)
        row.look_due_at = _next(row, seen, decision, now=now)
        row.save()


def _follow_state(operation: Operation, row: PullRequest, seen: Seen, *, actor: str, now: datetime) -> None:
    """Merged, closed or opened again at the forge: the same here."""
    state = PullRequest.State(seen.state)
    if state == row.state:
        return
    row.state, row.merged_commit, row.decided = state, seen.merged_commit, None
    row.merged_at = now if state == PullRequest.State.MERGED else None
    if operation.result and operation.result.get("pull_request"):
        operation.result = {**operation.result, "pull_request": rounds.brief(row)}
        operation.save(update_fields=["result"])
    told = {**rounds.brief(row), **({"commit": row.merged_commit} if row.merged_commit else {})}
    record(_EVENTS[state], operation, actor=actor, reason=f"at {row.forge}", pull_request=told, **snapshot(operation))
    record("project.pull_request_changed", operation.project, actor=actor, pull_request=told,
           operation_id=str(operation.pk))  # fmt: skip
    if state != PullRequest.State.OPEN and operation.status in Operation.ACTIVE and rounds.of(operation):
        rounds.withdraw(operation, actor=actor, reason=f"the pull request was {state} meanwhile")


def _act(
    operation: Operation, row: PullRequest, decision: reactions.Decision,
    told: tuple[reactions.Decision, dict[str, Any]], *, now: datetime, actor: str,
) -> None:  # fmt: skip
    if not isinstance(decision, reactions.Person):
        row.troubled_since = None
        rounds.calm(operation, row, actor=actor)
    row.note = decision.note[:500] if isinstance(decision, reactions.Nothing) else ""
    if isinstance(decision, reactions.Person):
        row.troubled_since = row.troubled_since or now
        row.note = decision.reason[:500]
        if not decision.in_s:
            rounds.ask(operation, row, reason=decision.reason, actor=actor)
    elif isinstance(decision, reactions.Round):
        before, fault = told
        if before != decision:
            return  # it was another situation when its logs were read; the next look is soon
        rounds.begin(operation, row, cause=decision.cause, fault=fault, actor=actor)
        row.handled = [*row.handled, *(comment.key for comment in decision.comments)][-MOST_HANDLED:]
        row.note = f"round {row.reworks.count()}: {decision.cause.label.lower()}"
        if decision.cause is Rework.Cause.PERSON:
            row.decided = None


def _next(row: PullRequest, seen: Seen, decision: reactions.Decision, *, now: datetime) -> datetime | None:
    """When somebody looks again; None where only a hint leads back."""
    sooner_s = decision.look_in_s if isinstance(decision, reactions.Nothing) else None
    if isinstance(decision, reactions.Person) and decision.in_s:
        sooner_s = max(decision.in_s, 60.0)
    if row.state != PullRequest.State.OPEN:
        return None
    if row.forge == LocalForge.name:  # nothing happens there but by us
        return now + timedelta(seconds=sooner_s) if sooner_s else None
    pace_s = float(PACES_S[min(row.quiet_looks, IDLE_LOOKS)])
    if any(check.state is CheckState.PENDING for check in seen.checks):
        pace_s = min(pace_s, 600.0)
    return now + timedelta(seconds=min(pace_s, sooner_s or pace_s))


def _postpone(row: PullRequest, *, now: datetime, wait_s: float, note: str) -> None:
    """Not now, and the row says why."""
    PullRequest.objects.filter(pk=row.pk, looked_at=row.looked_at).update(
        look_due_at=now + timedelta(seconds=wait_s), note=note[:500]
    )


def _summary(seen: dict[str, object]) -> dict[str, str]:
    checks = seen.get("checks") or ()
    return {str(check["name"]): str(check["state"]) for check in checks}  # type: ignore[attr-defined,index]
