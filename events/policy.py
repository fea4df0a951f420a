"""Who may follow what. The rooms above register a rule per type of topic; without a rule nobody may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction

from events import journal
from events.protocol import BadTopics, topic_parts

# A user (of whatever user model is configured) and the subject's id, which is hostile text.
MayView = Callable[[Any, str], bool]

ACCESS = "access"  # topics of this type are ours: a client cannot follow them, its socket does
_rules: dict[str, MayView] = {}


class RuleTaken(Exception):
    """Two rooms claim the same type of topic, or one claims ours: a mistake in the wiring."""


def register(topic_type: str, may_view: MayView) -> None:
    """Have ``may_view(user, subject_id)`` decide about topics of a type. Called from an app's ``ready``."""
    if topic_type == ACCESS or _rules.get(topic_type, may_view) is not may_view:
        raise RuleTaken(f"topics of type {topic_type!r} have a rule already")
    _rules[topic_type] = may_view


def may_view(user: Any, topic: str) -> bool:
    """Whether the user may follow the topic now. Reads the database. An ill-formed topic is refused."""
    try:
        topic_type, subject_id = topic_parts(topic)
    except BadTopics:
        return False
    rule = _rules.get(topic_type)
    return rule is not None and user.is_authenticated and user.is_active and bool(rule(user, subject_id))


def allowed(user: Any, topics: Iterable[str]) -> frozenset[str]:
    """Those of the topics that the user may follow now."""
    return frozenset(topic for topic in topics if may_view(user, topic))


def access_topic(user: Any) -> str:
    """The topic that says when a user's rights have changed."""
    return f"{ACCESS}.{user.pk}"


def revoke(user_id: Any, *, actor: str = "system", reason: str = "") -> None:
    """Have every open stream of a user prove its rights again, now and on every web process.

    Call it in the transaction that changes the rights. It is an event like any other, so a dead Redis delays it by a
    second or so and cannot lose it.
    """
    with transaction.atomic():
        journal.record("access.changed", f"{ACCESS}.{user_id}", actor=actor, reason=reason)
