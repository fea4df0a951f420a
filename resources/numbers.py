"""Numbers of a host that only one owner may have at a time: ports, user ids.

The row under the unique constraint decides who gets a number; whoever comes second tries another one.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import datetime

from django.db import IntegrityError, transaction

from resources import leases
from resources.models import Host, Lease

BLOCKING = (*Lease.LIVE, Lease.State.SQUATTED)
ROUNDS = 20  # over all that is free; a round without luck means that others took every number meanwhile


def reserve(
    *,
    host: Host,
    kind: Lease.Kind,
    among: range,
    owner: str,
    generation: int,
    now: datetime,
    expires_at: datetime,
    name: str = "",
    resting: Collection[int] = (),
) -> Lease | None:
    """An intent row for some free number of the range, whoever else asks at the same time; None when all are taken.

    What is ``resting`` is not free now.
    """
    refused: IntegrityError | None = None
    for _ in range(ROUNDS):
        free = [number for number in _free(host, kind, among) if number not in resting]
        if not free:
            return None
        # Random order: askers at the same moment mostly try different numbers.
        for number in random.sample(free, len(free)):
            lease = leases.intend(
                host=host, kind=kind, key=str(number), name=name, owner=owner, generation=generation, now=now,
                expires_at=expires_at,
            )  # fmt: skip
            try:
                with transaction.atomic():
                    lease.save(force_insert=True)
            except IntegrityError as error:
                refused = error
                continue  # another owner inserted it first
            return lease
    if refused is not None:
        raise refused  # no race lasts so long: the host's row is gone
    return None


def _free(host: Host, kind: Lease.Kind, among: range) -> list[int]:
    rows = Lease.objects.filter(host=host, kind=kind, state__in=BLOCKING)
    taken = {int(key) for key in rows.values_list("key", flat=True)}
    return [number for number in among if number not in taken]
