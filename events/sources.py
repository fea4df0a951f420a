"""Topics whose past is kept elsewhere than in the journal. The room above that keeps it registers a source.

What the live stream carries of such a topic only says how far it has come; the rest is read from the source by cursor.
So however much is said there, little of it goes through Redis, and a slow client gets the end of it in one message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from events.protocol import Message, message_of


class Source(Protocol):
    """Reads the database; cursors are numbers that only grow, and that mean something to the source alone."""

    def heads(self, topics: Collection[str]) -> Mapping[str, int]:
        """Where each topic ends now."""

    def behind(self, cursors: Mapping[str, int]) -> Iterable[Mapping[str, Any]]:
        """At most one message per topic, as :func:`events.live.wire` has it, with all that is behind its cursor."""


_sources: dict[str, Source] = {}


def register(topic_type: str, source: Source) -> None:
    """Have ``source`` answer for topics of a type. Called from an app's ``ready``."""
    _sources[topic_type] = source


def of(topic: str) -> Source | None:
    """Who keeps the past of a topic; None for the journal."""
    return _sources.get(topic.partition(".")[0])


def heads(topics: Collection[str]) -> dict[str, int]:
    """Where those of the topics end that have a source."""
    found: dict[str, int] = {}
    for source, mine in _by_source(topics):
        found.update(source.heads(mine))
    return found


def behind(cursors: Mapping[str, int]) -> list[Message]:
    """What the sources have behind their cursors."""
    return [
        message_of(wire)
        for source, mine in _by_source(cursors)
        for wire in source.behind({topic: cursors[topic] for topic in mine})
    ]


def _by_source(topics: Collection[str]) -> list[tuple[Source, list[str]]]:
    return [
        (source, mine) for source in _sources.values() if (mine := [topic for topic in topics if of(topic) is source])
    ]
