"""The ledger: a call reserves what it may cost at most before it is sent, and is settled at what it did cost.

All accounts of a call (run, agent, user, project, day) change in one transaction, each row by one statement and in
one order for everybody, so that calls at once can neither overdraw nor wait for each other in a circle.
"""

from __future__ import annotations

import uuid
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from agents.gateway import limits
from agents.gateway.faults import BudgetExhausted, BudgetHeld
from agents.gateway.limits import Limit, Place
from agents.gateway.models import ModelCall, Pulse, RunToken, Scope
from agents.gateway.money import said, usd
from agents.gateway.prices import Price, Rates, Usage
from events.journal import record

_HOLD = """
INSERT INTO agents_account (scope, key, period, held_nanos, spent_nanos, held_tokens, tokens, calls)
VALUES (%s, %s, %s, %s, 0, %s, 0, 1)
ON CONFLICT (scope, key, period) DO UPDATE SET held_nanos = agents_account.held_nanos + excluded.held_nanos,
    held_tokens = agents_account.held_tokens + excluded.held_tokens, calls = agents_account.calls + 1
RETURNING held_nanos, spent_nanos, held_tokens, tokens, calls
"""
DIED = "gateway.died"
_BOOK = """
UPDATE agents_account SET held_nanos = held_nanos + %s, spent_nanos = spent_nanos + %s,
    held_tokens = held_tokens + %s, tokens = tokens + %s, calls = calls + %s
 WHERE scope = %s AND key = %s AND period = %s
RETURNING spent_nanos
"""


@dataclass(frozen=True, slots=True)
class Need:
    """The most that a call can come to, and by which price."""

    model: str
    price: Price
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def nanos(self) -> int:
        return self.price.most(input_tokens=self.input_tokens, output_tokens=self.output_tokens)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended. ``usage`` None: the provider told nothing that could be charged by."""

    state: ModelCall.State
    usage: Usage | None = None
    status: int | None = None
    error: str = ""
    answered: str = ""
    reply: bytes | None = None
    reply_type: str = ""


def reserve(*, token: RunToken, need: Need, digest: str, now: datetime, gateway: uuid.UUID | None = None) -> ModelCall:
    """The call's row, with its worst case held on every account, for the gateway that makes it.

    Raises :class:`BudgetExhausted`, or :class:`BudgetHeld` where calls in flight hold what is missing.
    """
    wanted = limits.places(
        run_id=token.run_id, agent_id=token.agent_id, user_id=token.user_id, project_id=token.project_id, day=now.date()
    )
    per_call = Place(Scope.CALL)
    known = limits.of([*wanted, per_call])
    _check_call(need, known[per_call])
    with transaction.atomic():
        for place in wanted:
            with connection.cursor() as cursor:
                cursor.execute(_HOLD, [place.scope, place.key, place.period, need.nanos, need.tokens])
                _check(place, known[place], need, _Row(*cursor.fetchone()))
        return ModelCall.objects.create(
            token=token, run_id=token.run_id, lineage=token.lineage, agent_id=token.agent_id, user_id=token.user_id,
            project_id=token.project_id, model=need.model, price=need.price.name, held_nanos=need.nanos,
            held_tokens=need.tokens, digest=digest, gateway=gateway, day=now.date(), created_at=now,
        )  # fmt: skip


def settle(call: ModelCall, ended: Ended, *, price: Price, now: datetime) -> None:
    """Book a call that ended. A second settling of the same call changes nothing.

    Only what a gateway says of a call that it was thought to have died over is still believed: it knows.
    """
    cost, tokens = _charged(call, ended, price)
    usage = ended.usage or Usage()
    fields = {
        "state": ended.state, "cost_nanos": cost, "input_tokens": usage.input_tokens, "status": ended.status,
        "cached_tokens": usage.cached_tokens, "output_tokens": usage.output_tokens, "error": ended.error[:100],
        "usage_known": ended.usage is not None, "reply": ended.reply, "reply_type": ended.reply_type[:100],
        "price": price.name, "answered": ended.answered[:150], "finished_at": now,
    }  # fmt: skip
    uncounted = int(ended.state == ModelCall.State.FAILED)  # it cost nothing, and a cap on calls is about cost
    row = ModelCall.objects.filter(pk=call.pk)
    with transaction.atomic():
        if row.filter(state=ModelCall.State.RESERVED).update(**fields):
            _book(call, _Change(-call.held_nanos, cost, -call.held_tokens, tokens, -uncounted))
        elif ended.error != DIED and row.filter(state=ModelCall.State.LOST, error=DIED).update(**fields):
            _book(call, _Change(0, cost - call.held_nanos, 0, tokens - call.held_tokens, -uncounted))


def expire(*, now: datetime, pulse_s: float, after_s: float) -> int:
    """Settle calls whose gateway died: nobody knows what came of them, so they are charged as reserved.

    A gateway is dead ``pulse_s`` after its last heartbeat; a call is over after ``after_s`` in any case.
    """
    alive = Pulse.objects.filter(beat_at__gte=now - timedelta(seconds=pulse_s)).values("pk")
    overdue = Q(created_at__lt=now - timedelta(seconds=after_s))
    orphaned = Q(gateway__isnull=False, created_at__lt=now - timedelta(seconds=pulse_s)) & ~Q(gateway__in=alive)
    found = list(ModelCall.objects.filter(overdue | orphaned, state=ModelCall.State.RESERVED)[:200])
    for call in found:
        lost = Ended(ModelCall.State.LOST, error=DIED)
        settle(call, lost, price=Price(call.price, Rates(0, 0, 0, 0)), now=now)
    Pulse.objects.filter(beat_at__lt=now - timedelta(seconds=after_s)).delete()
    return len(found)


def forget_replies(*, before: datetime) -> int:
    """Drop replies that no run will ask for any more; their figures stay."""
    return ModelCall.objects.filter(created_at__lt=before, reply__isnull=False).update(reply=None)


@dataclass(frozen=True, slots=True)
class _Row:
    """An account with this call's reservation in it."""

    held_nanos: int
    spent_nanos: int
    held_tokens: int
    tokens: int
    calls: int


def _charged(call: ModelCall, ended: Ended, price: Price) -> tuple[int, int]:
    """Nanos and tokens to book. What a provider did not tell is charged as it was reserved: never as nothing."""
    if ended.state == ModelCall.State.FAILED:
        return 0, 0
    if ended.usage is None:
        return call.held_nanos, call.held_tokens
    return price.of(ended.usage), ended.usage.total


@dataclass(frozen=True, slots=True)
class _Change:
    """By how much each account of a call changes."""

    held_nanos: int
    spent_nanos: int
    held_tokens: int
    tokens: int
    calls: int


def _book(call: ModelCall, change: _Change) -> None:
    """Change all accounts of the call."""
    wanted = limits.places(
        run_id=call.run_id, agent_id=call.agent_id, user_id=call.user_id, project_id=call.project_id, day=call.day
    )
    known = limits.of(wanted)
    for place in wanted:
        with connection.cursor() as cursor:
            cursor.execute(_BOOK, [*astuple(change), place.scope, place.key, place.period])
            (spent,) = cursor.fetchone()
        _warn(call, place, known[place], spent=spent, cost=change.spent_nanos)


def _check_call(need: Need, limit: Limit) -> None:
    if limit.nanos is not None and need.nanos > limit.nanos:
        raise _exhausted(Place(Scope.CALL), "usd", f"{said(need.nanos)} at most", f"{said(limit.nanos)}", need, limit)
    if limit.tokens is not None and need.tokens > limit.tokens:
        raise _exhausted(Place(Scope.CALL), "tokens", f"{need.tokens} at most", f"{limit.tokens}", need, limit)


def _check(place: Place, limit: Limit, need: Need, row: _Row) -> None:
    """Whether the account, with this reservation in it, is within its limit."""
    if limit.nanos is not None and row.spent_nanos + row.held_nanos > limit.nanos:
        if row.spent_nanos + need.nanos <= limit.nanos:
            raise BudgetHeld(f"Calls in flight hold the rest of the budget of this {place.scope}.", scope=place.scope)
        has = f"{said(limit.nanos)}, of which {said(row.spent_nanos)} is spent"
        raise _exhausted(place, "usd", f"{said(need.nanos)} at most", has, need, limit, spent_usd=usd(row.spent_nanos))
    if limit.tokens is not None and row.tokens + row.held_tokens > limit.tokens:
        if row.tokens + need.tokens <= limit.tokens:
            raise BudgetHeld(f"Calls in flight hold the rest of the tokens of this {place.scope}.", scope=place.scope)
        have = f"{limit.tokens} tokens, of which {row.tokens} are used"
        raise _exhausted(place, "tokens", f"{need.tokens} at most", have, need, limit, spent_tokens=row.tokens)
    if limit.calls is not None and row.calls > limit.calls:
        raise _exhausted(place, "calls", "one more call", f"{limit.calls} calls, all made", need, limit)


def _exhausted(place: Place, unit: str, needs: str, has: str, need: Need, limit: Limit, **more: Any) -> BudgetExhausted:
    return BudgetExhausted(
        f"The budget of {'one call' if place.scope == Scope.CALL else f'this {place.scope}'} is {has}; "
        f"a call to {need.model} needs {needs}.",
        scope=place.scope, key=place.key, period=place.period, unit=unit, needs_usd=usd(need.nanos),
        limit_usd=None if limit.nanos is None else usd(limit.nanos), limit_tokens=limit.tokens,
        limit_calls=limit.calls, **more,
    )  # fmt: skip


def _warn(call: ModelCall, place: Place, limit: Limit, *, spent: int, cost: int) -> None:
    """Tell once when an account crosses its soft limit."""
    if not limit.nanos:
        return
    soft = int(limit.nanos * settings.BUDGET_SOFT)
    if spent - cost < soft <= spent:
        record(
            "budget.soft_limit", f"operation.{call.run_id}", actor="system",
            reason=f"{said(spent)} of the {said(limit.nanos)} of this {place.scope} are spent",
            scope=place.scope, key=place.key, spent_usd=usd(spent), limit_usd=usd(limit.nanos),
        )  # fmt: skip
