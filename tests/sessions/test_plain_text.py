"""A terminal's bytes as text that no screen would obey."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.plain_text import plain


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (b"plain\r\n$ ", "plain\n$"),
        (b"\x1b[1;31mred\x1b[0m and \x1b[4munderlined\x1b[m", "red and underlined"),
        (b"\x1b]0;evil title\x07shown", "shown"),
        (b"\x1b]8;;http://example\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bP1$r0m\x1b\\after", "after"),
        (b"10%\r20%\r100%", "100%"),
        (b"abc\rX", "Xbc"),
        (b"typo\b\b\b\bok", "okpo"),
        (b"\x1b(B\x1b=\x1b>text\x1b7\x1b8", "text"),
        (b"bell\x07 nul\x00 del\x7f", "bell nul del"),
        ("right\u202eto left".encode(), "rightto left"),
        (b"caf\xc3\xa9 \xff", "caf\u00e9 \ufffd"),
        (b"\x1b]never ends\nbut the next line is read", "never ends\nbut the next line is read"),
        (b"tab\tkept", "tab\tkept"),
        (b"cut\x1b[", "cut"),
    ],
)
def test_sequences_and_controls_are_gone_and_the_text_stays(printed: bytes, text: str) -> None:
    assert plain(printed, complete=True) == text


def test_first_line_of_a_cut_stream_is_left_out() -> None:
    assert plain(b"1mhalf a sequence\r\nwhole\r\n", complete=False) == "whole\n"


@given(printed=st.binary(max_size=400))
def test_nothing_that_controls_a_screen_is_left_of_any_bytes(printed: bytes) -> None:
    for character in plain(printed, complete=True):
        assert character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cf"}
