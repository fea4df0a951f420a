"""Reading the journal by cursor, for many topics at once, and the cursor as one opaque text."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from channels.db import database_sync_to_async

from events import journal, live, sources
from events.models import Topic
from events.protocol import BadTopics, Message, cursors_of, message_of

NAMES_PER_QUERY = 500  # below every database's limit of parameters


@dataclass(frozen=True, slots=True)
class Page:
    """What the journal has behind some cursors: messages in order per topic, and topics that have more."""

    messages: tuple[Message, ...]
    unfinished: frozenset[str]


@database_sync_to_async
def heads(topics: Collection[str]) -> dict[str, int]:
    """The number of each topic's last event; 0 for a topic without any."""
    found = {**dict.fromkeys(topics, 0), **sources.heads(topics)}
    names = [topic for topic in topics if sources.of(topic) is None]
    for start in range(0, len(names), NAMES_PER_QUERY):
        rows = Topic.objects.filter(name__in=names[start : start + NAMES_PER_QUERY])
        found.update(rows.values_list("name", "head"))
    return found


@database_sync_to_async
def behind(cursors: Mapping[str, int], *, limit: int) -> Page:
    """The events behind each cursor, at most ``limit`` together."""
    messages = sources.behind(cursors)
    unfinished: set[str] = set()
    for topic, after in cursors.items():
        if sources.of(topic) is not None:
            continue
        room = max(0, limit - len(messages))
        events = journal.replay(topic, after=after, limit=room) if room else ()
        messages += [message_of(live.wire(event)) for event in events]
        if len(events) == room:
            unfinished.add(topic)
    return Page(tuple(messages), frozenset(unfinished))


def encode(cursors: Mapping[str, int]) -> str:
    """Cursors as one opaque text, fit for an ``id:`` line."""
    return base64.urlsafe_b64encode(json.dumps(cursors, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(text: str) -> dict[str, int]:
    """The cursors in a text of :func:`encode`. Raises :class:`~events.protocol.BadTopics` for any other text."""
    try:
        value = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadTopics("The cursor is not one that this stream gave out.") from error
    return cursors_of(value)
