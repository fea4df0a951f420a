"""What is said on the stream: hostile frames are refused by name, events become the contract's messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import cursors
from events.protocol import (
    BadFrame,
    BadTopics,
    FrameTooLarge,
    UnknownType,
    message_of,
    parse,
    topic_parts,
)

HOSTILE = [
    None,
    "",
    "nonsense",
    "[]",
    "null",
    '"subscribe"',
    "{}",
    '{"type": 1}',
    '{"type": "subscribe"}',
    '{"type": "subscribe", "topics": []}',
    '{"type": "subscribe", "topics": "queue"}',
    '{"type": "subscribe", "topics": [1]}',
    '{"type": "subscribe", "topics": [["queue"]]}',
    '{"type": "subscribe", "topics": ["queue"], "after": []}',
    '{"type": "subscribe", "topics": ["queue"], "after": {"queue": "1"}}',
    '{"type": "subscribe", "topics": ["queue"], "after": {"queue": -1}}',
    '{"type": "subscribe", "topics": ["queue"], "after": {"queue": true}}',
    '{"type": "subscribe", "topics": ["queue"], "after": {"queue": 1.5}}',
    '{"type": "subscribe", "topics": ["queue"], "after": {"queue": 9223372036854775808}}',
    '{"type": "subscribe", "topics": ["queue"], "batch": "yes"}',
    '{"type": "subscribe", "topics": ["queue"], "after": {"queue": ' + "9" * 5000 + "}}",
    "[" * 60_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_frame_that_cannot_be_understood_is_refused(text: str | None) -> None:
    with pytest.raises(BadFrame):
        parse(text)


def test_a_frame_is_measured_in_bytes() -> None:
    frame = '{"type": "ping", "x": "%s"}'
    assert parse(frame % ("é" * 20_000)).type == "ping"
    with pytest.raises(FrameTooLarge):
        parse(frame % ("é" * 40_000))


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownType, match="'shout'"):
        parse('{"type": "shout"}')


def test_two_hundred_topics_are_accepted_and_one_more_is_not() -> None:
    topics = [f"operation.{n}" for n in range(201)]
    assert len(parse(json.dumps({"type": "subscribe", "topics": topics[:200]})).topics) == 200
    with pytest.raises(BadTopics):
        parse(json.dumps({"type": "subscribe", "topics": topics}))


@pytest.mark.parametrize(
    "topic",
    [
        "",
        ".",
        "operation.",
        "Operation.1",
        "a.b.c",
        "a b",
        "a/1",
        "é.1",
        "a.\ud800",
        "a\n",
        "a" * 99,
        "a." + "b" * 65,
    ],
)
def test_a_topic_that_is_not_well_formed_is_refused(topic: str) -> None:
    with pytest.raises(BadTopics):
        topic_parts(topic)


@given(st.text())
def test_any_text_is_parsed_or_refused_and_never_breaks_the_parser(text: str) -> None:
    try:
        said = parse(text)
    except BadFrame:
        return
    assert said.type in {"subscribe", "unsubscribe", "ping", "pong"}


@given(st.text())
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    try:
        found = cursors.decode(text)
    except BadTopics:
        return
    assert all(isinstance(seq, int) for seq in found.values())


@given(st.dictionaries(st.text(max_size=20), st.integers(0, 2**63 - 1), max_size=5))
def test_a_cursor_comes_back_as_it_was_given(at: dict[str, int]) -> None:
    assert cursors.decode(cursors.encode(at)) == at


@pytest.mark.parametrize(
    ("topic", "kind", "data", "expected"),
    [
        ("operation.7", "operation.submitted", {}, "agent_operation"),
        ("operation.7", "operation.stage_finished", {"stage": "code"}, "agent_operation"),
        ("operation.7", "operation.stage_finished", {"capability": "testing"}, "capability_execution"),
        ("agent.7", "agent.running", {}, "agent_operation"),
        ("project.7", "project.created", {}, "project_update"),
        ("session.7", "session.opened", {}, "event"),
    ],
)
def test_the_type_of_a_message_follows_its_topic(topic: str, kind: str, data: dict[str, str], expected: str) -> None:
    message = message_of({"topic": topic, "seq": 3, "kind": kind, "data": data, "timestamp": "T"})
    body = json.loads(message.text)
    assert (body["type"], body["topic"], body["seq"], body["timestamp"]) == (expected, topic, 3, "T")
    assert body["payload"]["kind"] == kind
    assert body["payload"][topic.split(".")[0]] == {**data, "id": "7"}


def test_data_cannot_speak_for_another_subject() -> None:
    message = message_of({"topic": "operation.7", "seq": 1, "kind": "operation.x", "data": {"id": "8"}})
    assert json.loads(message.text)["payload"]["operation"]["id"] == "7"


def test_a_snapshot_is_handed_on_as_it_is() -> None:
    body = json.loads(message_of({"topic": "queue", "seq": 5, "timestamp": "T", "data": {"waiting": 2}}).text)
    assert body == {
        "type": "queue_status",
        "topic": "queue",
        "seq": 5,
        "timestamp": "T",
        "payload": {"waiting": 2},
    }
