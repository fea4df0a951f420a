"""The ring against the obvious model: all bytes ever written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.ring import OffsetGone, Ring

chunks = st.lists(st.binary(max_size=40), max_size=30)
capacities = st.integers(min_value=1, max_value=17)


@given(capacity=capacities, written=chunks)
def test_ring_holds_exactly_the_last_bytes_at_their_offsets(capacity: int, written: list[bytes]) -> None:
    ring, everything = Ring(capacity), b""
    for chunk in written:
        ring.append(chunk)
        everything += chunk
        assert ring.head == len(everything)
        assert ring.start == max(0, len(everything) - capacity)
        for offset in range(ring.start, ring.head + 1):
            assert ring.read(offset, capacity) == everything[offset:]


@given(capacity=capacities, written=chunks, limit=st.integers(min_value=0, max_value=50))
def test_tail_is_the_end_of_what_was_written(capacity: int, written: list[bytes], limit: int) -> None:
    ring = Ring(capacity)
    for chunk in written:
        ring.append(chunk)
    everything = b"".join(written)
    offset, data = ring.tail(limit)
    expected = everything[-min(limit, capacity) :] if limit else b""
    assert data == expected
    assert offset == len(everything) - len(expected)


@given(capacity=capacities, written=chunks, steps=st.lists(st.integers(min_value=1, max_value=9), max_size=20))
def test_reader_that_follows_in_pieces_sees_the_stream_unbroken(
    capacity: int, written: list[bytes], steps: list[int]
) -> None:
    ring, everything, cursor = Ring(capacity), b"", 0
    for chunk, step in zip(written, steps, strict=False):
        ring.append(chunk)
        everything += chunk
        cursor = max(cursor, ring.start)
        piece = ring.read(cursor, step)
        assert piece == everything[cursor : cursor + step]
        cursor += len(piece)


@pytest.mark.parametrize("offset", [0, 1, 9, 2**64 - 1])
def test_offsets_outside_the_ring_are_refused(offset: int) -> None:
    ring = Ring(4)
    ring.append(b"12345678")
    with pytest.raises(OffsetGone):
        ring.read(offset, 1)


def test_ring_that_keeps_nothing_is_no_ring() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Ring(0)
