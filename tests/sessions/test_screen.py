"""The screen that a late viewer is shown is the one that the terminal shows."""

from __future__ import annotations

import random

import avt
import pytest

from sessions.host.screen import MOST_DUMP, Emulated, Modes

EDITOR = (
    b"\x1b[?1049h\x1b[?2004h\x1b[?1h\x1b=\x1b[1;24r\x1b[H\x1b[2J"
    b"\x1b[7m file.py \x1b[0m\r\n\x1b[38;5;81mdef\x1b[0m main():\r\n"
    b"\x1b[12;30H\x1b[1;4mhere\x1b[0m\x1b[?25l\x1b[2 q\xe2\x82\xac"
)


def shown(data: bytes, *, columns: int = 80, rows: int = 24) -> list[str]:
    terminal = avt.Vt(columns, rows, 0)
    terminal.feed_str(data.decode("utf-8", "replace"))
    return [line.text.rstrip() for line in terminal.view()]


def test_a_dump_draws_the_same_screen_on_another_emulator() -> None:
    first, second = Emulated(columns=80, rows=24), Emulated(columns=80, rows=24)
    first.feed(EDITOR)
    drawn, exact = first.dump()
    assert exact
    second.feed(drawn)
    assert second.dump() == first.dump()
    assert second.text()[11][29:33] == "here"


@pytest.mark.parametrize("seed", range(8))
def test_it_does_not_matter_where_the_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    whole, pieces = Emulated(columns=80, rows=24), Emulated(columns=80, rows=24)
    data = EDITOR * 3 + "naïve — ümläut 漢字\r\n".encode() * 40 + b"\x1b[?1000;1006h\x1b[5 q"
    whole.feed(data)
    while data:
        cut = chance.randint(1, 9)
        pieces.feed(data[:cut])
        data = data[cut:]
    assert pieces.dump() == whole.dump()


def test_a_flood_of_lines_ends_on_the_screen_that_all_of_it_would_show() -> None:
    screen, everything = Emulated(columns=80, rows=24), bytearray()
    for number in range(60_000):
        line = b"line %d of a flood\r\n" % number
        everything += line
        screen.feed(line)
    assert screen.text() == shown(bytes(everything[-200_000:]))


def test_text_without_line_ends_is_not_skipped() -> None:
    screen = Emulated(columns=80, rows=24)
    screen.feed(b"kept above\r\n")
    for number in range(40_000):
        screen.feed(b"\rprogress %d" % number)
    assert screen.text()[:2] == ["kept above", "progress 39999"]


def test_modes_that_the_emulator_does_not_know_are_set_again_and_forgotten_by_a_reset() -> None:
    modes = Modes()
    modes.feed(b"\x1b[?1000;1006h\x1b[?2004h\x1b[?1000l\x1b=\x1b[4 q")
    assert modes.dump() == b"\x1b[?1000l\x1b[?1006h\x1b[?2004h\x1b=\x1b[4 q"
    modes.feed(b"\x1bc")
    assert modes.dump() == b""


def test_what_is_dumped_asks_the_terminal_nothing() -> None:
    screen = Emulated(columns=80, rows=24)
    screen.feed(b"before\x1b[6n\x1b[c\x1b[>c\x1b[5n\x1b]10;?\x07\x1bP+q544e\x1b\\after")
    drawn, _ = screen.dump()
    assert b"beforeafter" in drawn
    for query in (b"6n", b"5n", b"[c", b">c", b"]10", b"\x1bP"):
        assert query not in drawn


def test_a_screen_that_would_take_too_much_is_shown_without_colours_and_says_so() -> None:
    screen = Emulated(columns=1000, rows=1000)
    screen.feed(b"\x1b[31;48;5;200mx\x1b[32my" * 400_000)
    drawn, exact = screen.dump()
    assert not exact
    assert len(drawn) <= MOST_DUMP
    assert drawn.startswith(b"xyxy")


def test_hostile_bytes_do_not_end_it() -> None:
    screen = Emulated(columns=2, rows=1)
    screen.feed(bytes(range(256)) * 50 + b"\x1b[" + b"9" * 5000 + b";;;m" + b"\xff\xfe\xf8\x88")
    screen.resize(1, 1)
    screen.feed(b"\x1b[999999999;999999999H\x1b[999999999b!")
    assert screen.dump()[0]
