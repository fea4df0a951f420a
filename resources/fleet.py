"""The fleet breaker: pause everything, and let it go on exactly as it was.

While the fleet is paused no berth is admitted, no stage begins, and one that runs is set aside before its next command,
call of a model or push. The pause is one row, which all of these look for: nothing is remembered elsewhere that could
be lost.

Doors: :func:`pause`, :func:`release`, :func:`paused`, :func:`check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from events.faults import Fault
from events.journal import record
from resources.faults import FleetPaused
from resources.models import FleetPause

TOPIC = "fleet"
PAUSED = "fleet_paused"  # the kind of the reason that whatever waits for it carries


class ReasonMissing(Fault):
    """Everybody's work is held up, and nobody says why."""

    code = "fleet.reason_missing"
    http_status = 400
    remedy = "Say why in a few words: everybody whose work waits reads it."


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when, by whom (``user:NAME``) and why nothing new begins."""

    since: datetime
    by: str
    reason: str

    def as_reason(self) -> dict[str, Any]:
        """What whatever waits for the release says."""
        return {"kind": PAUSED, "since": self.since.isoformat(), "by": self.by, "detail": self.reason}


def paused() -> Pause | None:
    """The pause that is in force, by one query; None while the fleet works."""
    row = FleetPause.objects.first()
    return Pause(row.since, row.by, row.reason) if row else None


def check() -> None:
    """Before anything that a pause shall stop. Raises FleetPaused."""
    if (pause := paused()) is not None:
        raise FleetPaused(f"{pause.by} has paused the fleet: {pause.reason}")


def pause(*, actor: str, reason: str, now: datetime) -> Pause:
    """Begin nothing new anywhere, and set aside what runs. A second pause answers the first. Raises ReasonMissing."""
    reason = " ".join(reason.split())[:300]
    if not reason:
        raise ReasonMissing("a pause of the fleet needs a reason", pointer="/reason")
    with transaction.atomic():
        row, is_new = FleetPause.objects.get_or_create(
            name=TOPIC, defaults={"since": now, "by": actor[:150], "reason": reason}
        )
        if is_new:
            record("fleet.paused", TOPIC, actor=actor, reason=reason)
    return Pause(row.since, row.by, row.reason)


def release(*, actor: str, reason: str = "") -> bool:
    """Let everything go on. False when nothing was paused."""
    with transaction.atomic():
        ended, _ = FleetPause.objects.filter(name=TOPIC).delete()
        if ended:
            record("fleet.released", TOPIC, actor=actor, reason=reason[:300])
    return bool(ended)
