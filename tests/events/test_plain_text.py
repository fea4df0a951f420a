"""Text from outside on a screen: escapes go, what is unseen is seen, and nothing else is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events.plain_text import ago, plain, span, tail


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;https://example.org\x1b\\link", "link"),
        ("\x1b]unended\nnext", "unended\nnext"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
        ("tab\tand\r\nline", "tab\tand\nline"),
        ("over\rwritten", "over⟨U+000D⟩written"),
        ("back\b", "back⟨U+0008⟩"),
        ("exe\u202egnp", "exe⟨U+202E⟩gnp"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("\x9b31mC1", "C1"),
        ("Übergröße — 船", "Übergröße — 船"),
    ],
)
def test_plain_keeps_the_text_and_drops_what_acts(hostile: str, shown: str) -> None:
    assert plain(hostile) == shown


def test_plain_is_quick_on_long_hostile_text() -> None:
    began = datetime.now(UTC)
    plain("\x1b]" * 100_000 + "\x1bP" * 100_000 + "\x1b[" + "0" * 500_000)
    assert datetime.now(UTC) - began < timedelta(seconds=2)


def test_tail_cuts_at_the_start_of_a_line_where_there_is_one() -> None:
    assert tail("one\ntwo\nthree", limit=9) == ("three", True)
    assert tail("x" * 20, limit=9) == ("x" * 9, True)
    assert tail("short", limit=9) == ("short", False)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.34, "340 ms"), (4.25, "4.2 s"), (6, "6 s"), (59.9, "59 s"), (185, "3 min 5 s"), (3599, "59 min"),
     (7800, "2 h 10 min"), (7200, "2 h"), (500_000, "5 d"), (-3, "0 ms")],
)  # fmt: skip
def test_a_span_is_said_in_at_most_two_parts(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_a_moment_is_never_just_now_or_ago() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert ago(None, now=now) == "never"
    assert ago(now + timedelta(seconds=5), now=now) == "just now"
    assert ago(now - timedelta(minutes=12), now=now) == "12 min ago"
