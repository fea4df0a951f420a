"""The live stream's language: topics, what a client may say, and the messages it gets.

Pure: nothing here reads a database or a socket. ``docs/live-stream.md`` describes the same for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from events.faults import Fault
from events.live import SNAPSHOT_TOPICS

FRAME_BYTES = 64 * 1024
TOPICS_AT_ONCE = 200
LARGEST_SEQ = 2**63 - 1

_TOPIC = re.compile(r"[a-z][a-z_]{0,29}(\.[A-Za-z0-9_-]{1,64})?")
# What a message is called, by the type of its topic. A type that is not listed is a plain "event".
_TYPES = {
    "operation": "agent_operation",
    "agent": "agent_operation",
    "project": "project_update",
    "queue": "queue_status",
    "metrics": "metrics_update",
    "log": "log_update",
}


class BadFrame(Fault):
    """A frame that cannot be understood. The socket says so and goes on, up to a limit."""

    code = "frame.malformed"
    remedy = 'Send one JSON object per text frame: {"type": "subscribe", "topics": ["operation.<id>"]}.'
    http_status = 400


class FrameTooLarge(BadFrame):
    """A frame above 64 KiB."""

    code = "frame.too_large"
    remedy = f"Send at most {FRAME_BYTES} bytes per frame."


class UnknownType(BadFrame):
    """A frame of a type that does not exist."""

    code = "frame.unknown_type"
    remedy = "Use subscribe, unsubscribe, ping or pong."


class BadTopics(BadFrame):
    """Topics or cursors that are not well-formed, or too many of them."""

    code = "topic.invalid"
    remedy = f"A topic is a type, or a type and an id: operation.<id>, queue. At most {TOPICS_AT_ONCE} at once."


class TopicRefused(Fault):
    """A topic that does not exist for this user; which of the two it is stays untold."""

    code = "topic.refused"
    remedy = "Ask for topics of what you may see."
    http_status = 403


@dataclass(frozen=True, slots=True)
class Message:
    """One server message, encoded once and shared by every socket that gets it."""

    topic: str
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a client said: its type, and for (un)subscribe the topics, cursors and the wish for batches."""

    type: str
    topics: tuple[str, ...] = ()
    after: Mapping[str, int] = field(default_factory=dict)
    batch: bool | None = None


def topic_parts(topic: str) -> tuple[str, str]:
    """Type and id of a topic; the id is empty for ``queue`` and ``metrics``. Raises :class:`BadTopics`."""
    if not _TOPIC.fullmatch(topic):
        raise BadTopics(f"{topic[:99]!r} is not a topic.")
    kind, _, subject = topic.partition(".")
    return kind, subject


def message_of(wire: Mapping[str, Any]) -> Message:
    """The server message of an event or a snapshot in the form that :func:`events.live.wire` gives it."""
    topic, seq, data = str(wire["topic"]), int(wire["seq"]), wire.get("data") or {}
    kind = str(wire.get("kind", ""))
    subject_type, _, subject_id = topic.partition(".")
    payload = data
    if topic not in SNAPSHOT_TOPICS:
        payload = {
            "kind": kind,
            "actor": wire.get("actor", ""),
            "reason": wire.get("reason", ""),
            subject_type: {**data, "id": subject_id},
        }
    body = {
        "type": _type_of(subject_type, kind, data),
        "topic": topic,
        "seq": seq,
        "timestamp": wire.get("timestamp", ""),
        "payload": payload,
    }
    return Message(topic, seq, json.dumps(body, separators=(",", ":")))


def _type_of(subject_type: str, kind: str, data: Mapping[str, Any]) -> str:
    if kind.startswith("operation.stage_") and "capability" in data:
        return "capability_execution"
    return _TYPES.get(subject_type, "event")


def parse(text: str | None) -> Said:
    """What a client's frame says. ``None`` stands for a binary frame. Raises :class:`BadFrame` or a subclass."""
    if text is None:
        raise BadFrame("Frames are text, not binary.")
    # A character is at most four bytes: the exact count is only worth taking near the limit.
    if len(text) > FRAME_BYTES or (len(text) * 4 > FRAME_BYTES and len(text.encode(errors="replace")) > FRAME_BYTES):
        raise FrameTooLarge(f"The frame is larger than {FRAME_BYTES} bytes.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame("The frame is not JSON.") from error
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise BadFrame("The frame is not a JSON object with a type.")
    kind = frame["type"]
    if kind in {"ping", "pong"}:
        return Said(kind)
    if kind not in {"subscribe", "unsubscribe"}:
        raise UnknownType(f"There is no frame type {kind[:40]!r}.")
    batch = frame.get("batch")
    if batch is not None and not isinstance(batch, bool):
        raise BadFrame("batch is true or false.")
    return Said(kind, topics=topics_of(frame.get("topics")), after=cursors_of(frame.get("after", {})), batch=batch)


def topics_of(value: object) -> tuple[str, ...]:
    """The distinct topics of a list, in order. Their form is judged one by one, on subscribing."""
    if not isinstance(value, list) or not all(isinstance(topic, str) for topic in value) or not value:
        raise BadTopics("topics is a list of at least one topic.")
    topics = tuple(dict.fromkeys(value))
    if len(topics) > TOPICS_AT_ONCE:
        raise BadTopics(f"{len(topics)} topics are more than {TOPICS_AT_ONCE}.")
    return topics


def cursors_of(value: object) -> dict[str, int]:
    """The cursors of a mapping topic → number of the last event that the client has."""
    if not isinstance(value, dict) or len(value) > TOPICS_AT_ONCE:
        raise BadTopics("after is an object of topic and number.")
    for topic, seq in value.items():
        if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= LARGEST_SEQ:
            raise BadTopics(f"after of {topic[:99]!r} is not a number from 0 on.")
    return dict(value)


def error_text(fault: Fault, *, topic: str = "") -> str:
    """The error message of a socket, about one topic or about the frame."""
    body = {
        "type": "error",
        "topic": topic[:99],
        "code": fault.code,
        "detail": fault.detail,
        "remedy": fault.remedy_text,
    }
    return json.dumps(body if topic else {k: v for k, v in body.items() if k != "topic"})
