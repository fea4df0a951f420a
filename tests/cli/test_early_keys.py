"""What is typed ahead: sent where it can only be meant for what was seen, else dropped with a word."""

from __future__ import annotations

import pytest

from cli.early_keys import MOST_KEPT, EarlyKeys


def kept(*pieces: bytes, follow: tuple[int, ...] = (6, 7)) -> EarlyKeys:
    keys = EarlyKeys()
    keys.follow(follow)
    for piece in pieces:
        keys.keep(piece)
    return keys


@pytest.mark.parametrize("epoch", [6, 7])
def test_keys_are_sent_once_and_in_order_where_control_follows_on_what_was_seen(epoch: int) -> None:
    keys = kept(b"ls", b" -l\n")
    assert keys.take(epoch) == (b"ls -l\n", "")
    assert keys.take(epoch) == (b"", "")


@pytest.mark.parametrize("epoch", [0, 5, 8, 99])
def test_keys_are_dropped_with_a_word_where_somebody_may_have_had_control_in_between(epoch: int) -> None:
    keys = kept(b"ls\n")
    sent, words = keys.take(epoch)
    assert (sent, "was not sent" in words) == (b"", True)
    assert keys.take(6) == (b"", ""), "nor later"


def test_too_much_is_dropped_whole_and_bounded() -> None:
    keys = kept(*[b"x" * 1000] * 50)
    assert len(keys._keys) == MOST_KEPT
    sent, words = keys.take(6)
    assert (sent, "too much" in words) == (b"", True)
    keys.keep(b"y")
    assert keys.take(6) == (b"y", "")


def test_where_nothing_was_typed_nothing_is_said() -> None:
    assert kept().take(99) == (b"", "")
    assert kept().drop("why") == ""


def test_epochs_turn_over_as_those_of_the_session_host_do() -> None:
    assert kept(b"x", follow=(1 << 32,)).take(0) == (b"x", "")
