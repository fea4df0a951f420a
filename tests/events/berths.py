"""A subject with a stream, for tests of the stream: berths that anyone sees, and secret ones that staff sees."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction

from events import journal, policy
from events.recorded import Recorded


def _may_view(user: Any, subject_id: str) -> bool:
    return user.is_staff or not subject_id.startswith("secret")


def register() -> None:
    """Have the policy know berths. The queue has its own rule."""
    policy.register("berth", _may_view)


def moved(berth: str, **data: Any) -> Recorded:
    """Record that something changed about a berth."""
    with transaction.atomic():
        return journal.record("berth.moved", f"berth.{berth}", actor="system", **data)


amoved = sync_to_async(moved)
