"""However much is printed and wherever it is cut: the screen is that of an emulator that saw every byte."""

from __future__ import annotations

import codecs
import random
from collections.abc import Callable

import avt
import pytest

from sessions.host import scrolled
from sessions.host.screen import Emulated, Modes

Piece = Callable[[random.Random], bytes]
MUCH = 400_000  # bytes; several times what may wait for the emulator


def everything(data: bytes, *, columns: int, rows: int) -> bytes:
    """What an emulator that is fed all of it would draw."""
    terminal, modes = avt.Vt(columns, rows, 0), Modes()
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    for at in range(0, len(text), 4096):
        terminal.feed_str(text[at : at + 4096])
    for at in range(0, len(data), 4096):
        modes.feed(data[at : at + 4096])
    return modes.dump() + terminal.dump().replace("\x9b", "\x1b[").encode()


LINES: list[Piece] = [
    lambda chance: b"line %d of it\r\n" % chance.randint(0, 9999),
    lambda chance: b"x" * chance.randint(1, 300) + b"\r\n",
    lambda chance: b"\x1b[%dm" % chance.choice([0, 1, 7, 31, 42]),
    lambda chance: b"\x1b[38;5;%dmcolour\x1b[m\r\n" % chance.randint(0, 255),
    lambda chance: b"\x1b[48;2;1;2;3m",
    lambda _: b"\x1b[01;31m\x1b[Kmatch\x1b[m\x1b[K\r\n",
    lambda _: "naïve 漢字 — e\u0301\r\n".encode(),
    lambda _: b"\t\b\x07bell\r\n",
    lambda _: b"\x1b]0;a title\x07\x1b]8;;https://a.example\x1b\\link\x1b]8;;\x1b\\\r\n",
    lambda _: b"\x1b(0qqqq\x1b(B\r\n",
    lambda _: b"progress\r\x1b[2Kanew\x1b[5Gmid\x1b[3D\x1b[2P\x1b[3@\x1b[2X\r\n",
    lambda _: b"bare line end\n",
]
EDITOR: list[Piece] = [
    lambda chance: b"\x1b[%d;%dH\x1b[1;33mdef\x1b[m name():\x1b[K" % (chance.randint(1, 24), chance.randint(1, 80)),
    lambda _: b"\x1b[?1049h\x1b[?2004h\x1b[?1h\x1b=\x1b[1;24r\x1b[?25l",
    lambda _: b"\x1b[5;20r\x1b[20;1H\r\n\x1b[1;24r",
    lambda _: b"\x1bM\x1b[L\x1b[M\x1b7\x1b[H\x1b8",
    lambda _: b"\x1b[?25h\x1b[2 q\x1b[?1049l\x1b[?2004l",
]
PAGER: list[Piece] = [
    lambda chance: b"\x1b[24;1H\r\x1b[Kline %d of a text\r\n\x1b[7m:\x1b[27m" % chance.randint(0, 999),
    lambda _: b"\x1b[H\x1bM\x1b[Kone up\x1b[24;1H",
    lambda _: b"\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=",
    lambda _: b"\r\x1b[K\x1b[?1l\x1b>\x1b[?1049l\x1b[23;0;0t",
]
TOP: list[Piece] = [
    lambda chance: b"\x1b[H\x1b[2J\x1b[mtop - up %d min\x1b[K\r\n\x1b[7m  PID USER\x1b[m\r\n" % chance.randint(0, 99),
    lambda chance: b"%5d ada  %d.%d python\x1b[K\r\n" % (chance.randint(0, 9999), chance.randint(0, 99), 3),
    lambda _: b"\x1b[J",
]
HOSTILE: list[Piece] = [
    lambda _: b"\x1b[2;10r",
    lambda _: b"\x1b[?6h\x1b[?7l\x1b[4h",
    lambda _: b"\x1b[?6l\x1b[?7h\x1b[4l\x1b[r",
    lambda _: b"\x1b]0;without an end",
    lambda _: b"\x1bP+q544e\x1b\\",
    lambda _: b"\xc2\x9b5;9r",
    lambda _: b"\xc2\x85\xc2\x9d0;title",
    lambda _: b"\xe2\x82",
    lambda _: b"\x1b[3\n1m\x1b[\x18",
    lambda _: b"\x0e\x0f\x18\x1a\x0b\x0c",
    lambda _: b"\x1bc",
    lambda _: b"\x1b[?1049h\x1b[3A\x1b[?1049l",
]
PROGRAMS = {"shell": LINES, "editor": EDITOR + LINES, "pager": PAGER + LINES, "top": TOP + LINES}


def flood(pieces: list[Piece], *, seed: int, odd: float = 0.0, size: int = MUCH) -> bytes:
    chance, data = random.Random(seed), bytearray()
    while len(data) < size:
        data += chance.choice(HOSTILE if chance.random() < odd else pieces)(chance)
    return bytes(data)


def fed(data: bytes, *, columns: int, rows: int, pieces: list[int], seed: int) -> Emulated:
    """A screen that was given the data in such pieces, and looked at now and then."""
    screen, chance, at = Emulated(columns=columns, rows=rows), random.Random(seed), 0
    while at < len(data):
        size = chance.choice(pieces)
        screen.feed(data[at : at + size])
        at += size
        if chance.random() < 0.01 * size / max(pieces):
            screen.dump()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (132, 43), (20, 5)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("program", PROGRAMS)
def test_screen_after_a_flood_is_the_one_that_all_of_it_would_show(
    program: str, seed: int, size: tuple[int, int]
) -> None:
    data = flood(PROGRAMS[program], seed=seed)
    screen = fed(data, columns=size[0], rows=size[1], pieces=[1, 100, 4095, 32_768], seed=seed)
    assert screen.dump() == (everything(data, columns=size[0], rows=size[1]), True)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_hostile_amid_a_flood_makes_the_screen_another(seed: int) -> None:
    data = flood(LINES, seed=seed, odd=0.001)
    screen = fed(data, columns=80, rows=24, pieces=[7, 1000, 32_768], seed=seed)
    assert screen.dump()[0] == everything(data, columns=80, rows=24)


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_may_be_cut_behind_every_byte(program: str) -> None:
    data = flood(PROGRAMS[program], seed=7, odd=0.002)
    screen = fed(data, columns=80, rows=24, pieces=[1], seed=7)
    assert screen.dump()[0] == everything(data, columns=80, rows=24)


def test_screen_that_goes_on_in_another_process_amid_a_flood_is_the_same() -> None:
    data = flood(LINES, seed=3)
    first, second = Emulated(columns=80, rows=24), Emulated(columns=80, rows=24)
    first.feed(data[:200_001])
    second.unpack(first.pack())
    second.feed(data[200_001:])
    assert second.dump()[0] == everything(data, columns=80, rows=24)


@pytest.mark.parametrize(
    "before",
    [
        b"\x1b[44;31m",
        b"\x1b[1m\x1b(0",
        b"\x1b[2;10r\x1b[20;1H",
        b"\x1b[5;24r\x1b[24;1H",
        b"\x1b]0;without an end",
        b"\xe2\x82",
    ],
)
@pytest.mark.parametrize("looked_at", [True, False])
def test_what_was_set_before_a_flood_holds_behind_it(before: bytes, looked_at: bool) -> None:
    lines = b"".join(b"line %d\r\n" % number for number in range(20_000))
    screen, rest = Emulated(columns=80, rows=24), lines + b"\x07" + lines
    screen.feed(b"above\r\n" + before)
    if looked_at:
        screen.dump()
    screen.feed(rest[:150_000])
    screen.feed(rest[150_000:] + b"behind it")
    assert screen.dump()[0] == everything(b"above\r\n" + before + rest + b"behind it", columns=80, rows=24)


def test_only_lines_that_cannot_be_seen_any_more_are_left_out() -> None:
    output = b"\x1b[31mred line\x1b(0\r\n" * 10 + b"seen\r\n" * 9
    cut = scrolled.away(output, rows=4)
    assert cut is not None
    assert output[cut:].count(b"\r\n") == 8
    assert scrolled.left_by(output[:cut]) == b"\x1b(0" + b"\x1b[31m" * 10


@pytest.mark.parametrize(
    "sequence", [b"\x1b[2;5r", b"\x1b[3A", b"\x1b[H", b"\x1b[?1049h", b"\x0e", b"\x1bM", b"\xc2\x9b"]
)
def test_what_acts_beyond_its_line_lets_nothing_be_left_out(sequence: bytes) -> None:
    assert scrolled.away(b"a line\r\n" * 50 + sequence + b"a line\r\n" * 50, rows=4) is None


def test_lines_without_a_return_are_not_left_out() -> None:
    assert scrolled.away(b"a line\n" * 100, rows=4) is None
