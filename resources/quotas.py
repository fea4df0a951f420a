"""Quotas: how much one user and one project may hold at a time, over all hosts. Rows override the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum

from events.faults import Fault
from events.journal import record
from resources.models import Account, Lease

Limits = dict[str, int]  # of AMOUNTS; what is not in it has no limit
AMOUNTS: Mapping[str, str] = {
    "slots": Lease.Kind.SLOT,
    "memory_mb": Lease.Kind.MEMORY,
    "cpu_millis": Lease.Kind.CPU,
    "disk_mb": Lease.Kind.DISK,
}
_COUNTED = tuple(AMOUNTS.values())
_COLUMN = {Account.Kind.USER: "for_user", Account.Kind.PROJECT: "for_project"}
_KEYS = {Account.Kind.USER: re.compile(r"[1-9][0-9]{0,17}"), Account.Kind.PROJECT: re.compile(r"[0-9a-f-]{36}")}
MOST = 2**31 - 1


class BadQuota(Fault):
    """A quota for nobody, or of something that is not counted."""

    code = "quota.bad"
    http_status = 400
    remedy = "Name a user's or a project's id, and numbers from 0; null stands for the default."


@dataclass(frozen=True, slots=True)
class Party:
    """On whose behalf something is taken: ids, empty where there is nobody."""

    user: str = ""
    project: str = ""

    def accounts(self) -> list[tuple[Account.Kind, str]]:
        """What it counts in, in the order in which their rows are locked."""
        both = ((Account.Kind.USER, self.user), (Account.Kind.PROJECT, self.project))
        return [(kind, key) for kind, key in both if key]


NOBODY = Party()


@dataclass(frozen=True, slots=True)
class Standing:
    """One account: its limits and what it holds now, by the names of :data:`AMOUNTS`."""

    kind: str
    key: str
    limits: Limits
    used: dict[str, int]


def standing(kind: str, key: str) -> Standing:
    """How one account stands."""
    return Standing(kind, key, limits_of(kind, key), _used(Account.Kind(kind), key))


def limits_of(kind: str, key: str) -> Limits:
    """The limits of one account: its row's figures over the settings' defaults."""
    return _merged(Account.Kind(kind), Account.objects.filter(kind=kind, key=key).first())


def berths_allowed(parties: set[Party]) -> tuple[dict[str, int], dict[str, int]]:
    """How many berths each of these users and projects may hold; who has no limit is not in it. One query."""
    rows = {(row.kind, row.key): row for row in Account.objects.exclude(slots=None)}
    found: dict[Account.Kind, dict[str, int]] = {Account.Kind.USER: {}, Account.Kind.PROJECT: {}}
    for kind, key in {account for party in parties for account in party.accounts()}:
        limit = _merged(kind, rows.get((kind, key))).get("slots")
        if limit is not None:
            found[kind][key] = limit
    return found[Account.Kind.USER], found[Account.Kind.PROJECT]


def in_the_way(party: Party, needs: Mapping[str, int]) -> list[dict[str, Any]]:
    """Which quotas stand against taking so much more, as structured reasons. Inside a transaction.

    From here to its end no other admission for the same user or project gets past this line.
    """
    reasons: list[dict[str, Any]] = []
    for kind, key in party.accounts():
        if not limits_of(kind, key):
            continue
        account, _ = Account.objects.get_or_create(kind=kind, key=key)
        account = Account.objects.select_for_update().get(pk=account.pk)
        limits, used = _merged(kind, account), _used(kind, key)
        reasons += [
            {"kind": "quota", "of": kind.value, kind.value: key, "resource": name, "needs": needs[name],
             "used": used[name], "limit": limit}
            for name, limit in limits.items() if used[name] + needs[name] > limit
        ]  # fmt: skip
    return reasons


def grant(*, kind: str, key: str, limits: Mapping[str, int | None], actor: str, reason: str, now: datetime) -> Account:
    """Give a user or a project limits of its own; None stands for the default. Whoever waits is looked at again."""
    check_account(kind, key)
    _check(limits)
    with transaction.atomic():
        account, _ = Account.objects.get_or_create(kind=kind, key=key)
        account = Account.objects.select_for_update().get(pk=account.pk)
        before = {name: getattr(account, name) for name in AMOUNTS}
        after = {**before, **limits}
        for name, value in after.items():
            setattr(account, name, value)
        account.reason, account.changed_by, account.changed_at = reason, actor[:150], now
        account.save()
        if after != before:
            record("quota.changed", account.topic, actor=actor, reason=reason, before=before, after=after)
    return account


def check_account(kind: str, key: str) -> None:
    """Raises BadQuota for what is no user's or project's id."""
    if kind not in Account.Kind.values:
        raise BadQuota(f"{kind!r} has no quota: users and projects have.", pointer="/kind")
    if not _KEYS[Account.Kind(kind)].fullmatch(key):
        raise BadQuota(f"{key!r} is no id of a {kind}.", pointer="/key")


def _check(limits: Mapping[str, int | None]) -> None:
    for name, value in limits.items():
        if name not in AMOUNTS:
            raise BadQuota(f"There is no quota of {name!r}.", remedy=f"Choose from {', '.join(AMOUNTS)}.")
        if value is not None and not 0 <= value <= MOST:
            raise BadQuota(f"{name} must be from 0 to {MOST}.", pointer=f"/{name}")


def _merged(kind: Account.Kind, account: Account | None) -> Limits:
    defaults: Limits = settings.USER_QUOTA if kind is Account.Kind.USER else settings.PROJECT_QUOTA
    own = {name: getattr(account, name) for name in AMOUNTS} if account else {}
    return {**defaults, **{name: value for name, value in own.items() if value is not None}}


def _used(kind: Account.Kind, key: str) -> dict[str, int]:
    rows = Lease.objects.filter(**{_COLUMN[kind]: key}, state__in=Lease.LIVE, kind__in=_COUNTED).order_by()
    sums = rows.aggregate(**{name: Sum("amount", filter=Q(kind=counted)) for name, counted in AMOUNTS.items()})
    return {name: sums[name] or 0 for name in AMOUNTS}


def held() -> dict[tuple[str, str], int]:
    """Berths held now by (user, project)."""
    rows = Lease.objects.filter(kind=Lease.Kind.SLOT, state__in=Lease.LIVE).exclude(for_user="", for_project="")
    counted = rows.order_by().values_list("for_user", "for_project").annotate(berths=Sum("amount"))
    return {(user, project): berths for user, project, berths in counted}
