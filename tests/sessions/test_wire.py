"""Frames: whatever pieces they arrive in, and whatever else arrives instead."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.host import wire
from sessions.host.wire import ASKED, TOLD, BadFrame, Frame, Kind, Problem, Refused, Splitter

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 65_535), st.binary(max_size=300))


def _raw(frame: Frame) -> bytes:
    return struct.pack(">IBH", 3 + len(frame.payload), frame.kind, frame.channel) + frame.payload


def _problem(frame: Frame) -> Problem | None:
    try:
        wire.unpack(ASKED, frame)
    except Refused as refused:
        return refused.problem
    return None


@given(sent=st.lists(frames, max_size=8), cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_frames_are_the_same_in_whatever_pieces_they_arrive(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(map(_raw, sent))
    splitter, at = Splitter(), 0
    arrived: list[Frame] = []
    for cut in [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]:
        arrived += splitter.feed(stream[at:cut])
        at = cut
    assert arrived == sent


@given(garbage=st.binary(max_size=3000))
def test_garbage_is_frames_or_a_bad_frame_and_nothing_else(garbage: bytes) -> None:
    splitter = Splitter()
    try:
        arrived = list(splitter.feed(garbage))
    except BadFrame:
        return
    for frame in arrived:
        assert _problem(frame) in {None, Problem.UNKNOWN_TYPE, Problem.MALFORMED}


@pytest.mark.parametrize("length", [0, 1, 2, 3 + wire.MOST_PAYLOAD + 1, 2**32 - 1])
def test_length_that_no_frame_has_is_refused_before_its_bytes_arrive(length: int) -> None:
    with pytest.raises(BadFrame):
        list(Splitter().feed(struct.pack(">I", length)))


def test_frames_before_the_bad_one_are_still_heard() -> None:
    good = Frame(Kind.PING, 5, b"x")
    arriving = Splitter().feed(_raw(good) + struct.pack(">I", 1))
    assert next(arriving) == good
    with pytest.raises(BadFrame):
        next(arriving)


_VALUES = {
    "u8": st.integers(0, 2**8 - 1),
    "u16": st.integers(0, 2**16 - 1),
    "u32": st.integers(0, 2**32 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "i32": st.integers(-(2**31), 2**31 - 1),
    "uuid": st.binary(min_size=16, max_size=16),
}


@given(draw=st.data(), asked=st.booleans())
def test_every_payload_comes_back_as_it_was_packed(draw: Any, asked: bool) -> None:
    shapes = ASKED if asked else TOLD
    kind = draw.draw(st.sampled_from(sorted(shapes)))
    shape = shapes[kind]
    values = [draw.draw(_VALUES[field.partition(":")[2]]) for field in shape.fields]
    rest = draw.draw(st.binary(max_size=shape.most_rest))
    unpacked = wire.unpack(shapes, Frame(kind, 1, wire.pack(shapes, kind, *values, rest=rest)))
    assert unpacked == ((*values, rest) if shape.rest else tuple(values))


@pytest.mark.parametrize("kind", sorted(ASKED))
def test_payload_too_short_or_too_long_is_refused(kind: Kind) -> None:
    shape = ASKED[kind]
    bounds = [shape.layout.size + shape.most_rest + 1] + ([shape.layout.size - 1] if shape.layout.size else [])
    for size in bounds:
        with pytest.raises(Refused) as refused:
            wire.unpack(ASKED, Frame(kind, 1, bytes(size)))
        assert refused.value.problem == Problem.MALFORMED


def test_types_that_only_the_host_may_send_are_unknown_from_a_client() -> None:
    with pytest.raises(Refused) as refused:
        wire.unpack(ASKED, Frame(Kind.DATA, 1, bytes(8)))
    assert refused.value.problem == Problem.UNKNOWN_TYPE


def test_largest_frame_fits_the_limit() -> None:
    for shapes in (ASKED, TOLD):
        for shape in shapes.values():
            assert shape.layout.size + shape.most_rest <= wire.MOST_PAYLOAD
