"""Reading event streams, and fitting text into columns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import progress, server_sent, terminal


def test_an_event_is_read_whatever_the_pieces_it_comes_in() -> None:
    whole = ': hello\r\nid: 1\r\ndata: {"a":\r\ndata:"\u2028\x85ä"}\r\n\r\ndata: two\n\ndata: cut'.encode()
    for size in range(1, len(whole) + 1):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert list(server_sent.events(pieces)) == ['{"a":\n"\u2028\x85ä"}', "two"]


@pytest.mark.parametrize("line", [b"data: x\n", b"x", b"id: 1\n"])
def test_an_event_without_end_is_not_collected_for_ever(line: bytes) -> None:
    endless = (line * 1000 for _ in iter(int, 1))
    with pytest.raises(server_sent.Overlong):
        list(server_sent.events(endless))


def test_heartbeats_do_not_add_up_to_an_overlong_event() -> None:
    heartbeat = b":" + b"x" * 99 + b"\n\n"
    pieces = [heartbeat * 1000 for _ in range(50)]
    assert list(server_sent.events([*pieces, b"data: 1\n\n"])) == ["1"]


@given(st.text())
def test_clean_text_is_one_printable_line(text: str) -> None:
    cleaned = terminal.clean(text)
    assert len((cleaned + "x").splitlines()) == 1
    assert not re.search("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", cleaned)
    assert terminal.clean(cleaned) == cleaned


@given(st.lists(st.lists(st.text(), min_size=3, max_size=3), max_size=5), st.integers(min_value=20, max_value=90))
def test_a_table_never_takes_more_columns_than_there_are(rows: list[list[str]], width: int) -> None:
    lines = terminal.table(("A", "B", "C"), rows, width=width)
    assert len(lines) == len(rows) + 1
    assert all(terminal.width_of(line) <= width for line in lines)


def test_what_fits_is_not_cut() -> None:
    assert terminal.table(("A", "B"), [("x" * 30, "y")], width=40)[1] == "x" * 30 + "  y"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)
KEYS = (
    "status",
    "stage",
    "attention",
    "blocked_by",
    "queue_position",
    "error",
    "result",
    "engine",
    "created_at",
    "outcome",
)


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_no_shape_of_an_operation_or_step_is_too_odd_to_be_shown(document: dict[str, object]) -> None:
    lines = [progress.current_line(document), progress.way_on(document), progress.step_line(document)]
    assert all("\n" not in line and "\x1b" not in line for line in lines + progress.closing(document))
