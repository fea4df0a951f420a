"""Terminals: echo, throughput, a slow viewer on a flood, a reconnect, people typing — each way beside a raw PTY loop.

``python -m benchmarks.terminals``: at the session host's own socket (one session, no rows, no sandbox), and through the
real web process and session host over a websocket, with terminado at the same client beside it. Rounds of the ways
alternate, and the best round of each counts: what else the machine does slows each of them down for a while.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.report import Figure, at_most, main, shares
from benchmarks.terminal_lines import Line, Web
from benchmarks.terminal_places import Moorings, hosted, moored, raw, terminado, until
from sessions.host.wire import LIVE_ONLY

ECHOES = 300
FLOOD_MB = 8
ROUNDS, MOST_S = 4, 40  # fewer on a machine that is busy with something else
VIEWERS = 20
TYPISTS, KEYS_PER_S, TYPING_S = 50, 5, 6
MB = 2**20
_marks = itertools.count()
# Whoever types has it echoed by the program, not by the terminal: a program's turn is what people wait for.
_SCRIPT = """stty -echo -icanon
printf READY
while read what mark; do
  case $what in
    echo) exec cat ;;
    plain) yes 0123456789abcdef0123456789abcdef0123456789abcdef | head -c {size} ;;
    coloured) cat {coloured} ;;
  esac
  printf "DONE $mark."
done
"""
_LINE = (
    "\x1b[32m2026-11-30 12:00:%02d\x1b[0m \x1b[1;34mINFO\x1b[0m line %d of a log \x1b[38;5;208mwith colours\x1b[0m\n"
)


@dataclass(slots=True)
class Way:
    """What was measured of one way: seconds from a key to its echo, and MB/s of each round of a flood."""

    keys: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    coloured: list[float] = field(default_factory=list)


@contextmanager
def _program() -> Iterator[list[str]]:
    with tempfile.TemporaryDirectory(prefix="moor-") as name:
        coloured, script = Path(name) / "coloured", Path(name) / "script"
        lines = "".join(_LINE % (number % 60, number) for number in range(20_000))
        coloured.write_text(lines * (FLOOD_MB * MB // len(lines)))
        script.write_text(_SCRIPT.format(size=FLOOD_MB * MB, coloured=coloured))
        yield ["sh", str(script)]


def _flood(line: Line, kind: str) -> float:
    """MB/s of one round."""
    mark = next(_marks)
    line.type(f"{kind} {mark}\n".encode())
    started = time.perf_counter()
    count = until(line, f"DONE {mark}.".encode())
    return count / MB / (time.perf_counter() - started)


def _echo(line: Line) -> list[float]:
    line.type(b"echo\n")
    time.sleep(0.2)  # until the shell has become cat
    return [_key(line) for _ in range(ECHOES)]


def _key(line: Line) -> float:
    started = time.perf_counter()
    line.type(b"x")
    until(line, b"x")
    return time.perf_counter() - started


def _ways(moorings: Moorings, argv: list[str]) -> dict[str, Way]:
    with raw(argv) as bare, hosted(argv) as socket, terminado(argv) as other:
        web, recorded = moorings.terminal(argv), moorings.terminal(argv, recording="output")
        lines: dict[str, Callable[[], AbstractContextManager[Line]]] = {
            "raw": lambda: nullcontext(bare),
            "host": lambda: nullcontext(socket),
            # Dialled anew each time: while others have their turn, nobody answers the web process's pings.
            "web": lambda: closing(moorings.line(web)),
            "recorded": lambda: closing(moorings.line(recorded)),
            "terminado": lambda: nullcontext(other),
        }
        found = {name: Way() for name in lines}
        deadline = time.monotonic() + MOST_S
        for turn in range(ROUNDS):
            if turn and time.monotonic() > deadline:
                break
            for name, dial in lines.items():
                with dial() as line:
                    found[name].plain.append(_flood(line, "plain"))
                    found[name].coloured.append(_flood(line, "coloured"))
        for name, dial in lines.items():
            with dial() as line:
                found[name].keys = _echo(line)
    return found


def _compared(found: dict[str, Way]) -> list[Figure]:
    raw_key_ms = median(found["raw"].keys) * 1000
    other = max(found["terminado"].plain)
    figures = []
    for name, title in (
        ("host", "session host's socket"),
        ("web", "websocket"),
        ("terminado", "terminado's websocket"),
    ):
        key_ms, _, slow_ms = shares(found[name].keys)
        ours = name != "terminado"
        figures += [
            Figure(
                f"echo at the {title}, median", round(key_ms, 3), "ms", "≤ 2.5 ms, ≤ 8 x raw" if ours else "",
                key_ms <= 2.5 and key_ms <= 8 * raw_key_ms if ours else None, round(raw_key_ms, 3), "raw PTY loop",
            ),
            Figure(f"echo at the {title}, 99th percentile", slow_ms, "ms"),
        ]  # fmt: skip
    for name, title in (
        ("host", "session host's socket"), ("web", "websocket"), ("recorded", "websocket, recorded"),
        ("terminado", "terminado's websocket"),
    ):  # fmt: skip
        for kind in ("plain", "coloured"):
            rate, beside = max(getattr(found[name], kind)), max(getattr(found["raw"], kind))
            wanted = name == "host"
            figures.append(
                Figure(
                    f"{kind} flood to the {title}", round(rate, 1), "MB/s", "≥ 60 % of raw" if wanted else "",
                    rate >= 0.6 * beside if wanted else None, round(beside, 1), "raw PTY loop",
                )
            )  # fmt: skip
    rate = max(found["web"].plain)
    figures.append(
        Figure("the same flood, beside terminado's", round(rate, 1), "MB/s", "≥ 2 x terminado", rate >= 2 * other,
               round(other, 1), "terminado")
    )  # fmt: skip
    return figures


def _slow_viewer(moorings: Moorings, argv: list[str]) -> list[Figure]:
    """One of twenty does not read, while who is in control floods all of them."""
    terminal = moorings.terminal(argv)
    typist = moorings.line(terminal)
    alone = _flood(typist, "plain")
    others = [moorings.line(terminal, control=False) for _ in range(VIEWERS - 2)]
    readers = [threading.Thread(target=_read_on, args=(other,), daemon=True) for other in others]
    for reader in readers:
        reader.start()
    together = _flood(typist, "plain")
    deaf = moorings.line(terminal, control=False)
    before = {process: process.memory_info().rss for process in (moorings.web, moorings.host)}
    most = dict(before)
    over = threading.Event()
    watching = threading.Thread(target=_watch_memory, args=(most, over))
    watching.start()
    with_deaf = _flood(typist, "plain")
    over.set()
    watching.join()
    grown = {process: (most[process] - before[process]) / MB for process in most}
    backs = [_reconnect(moorings, terminal) for _ in range(5)]
    for line in (typist, deaf, *others):
        line.close()
    return [
        at_most("web process grows by, one deaf viewer of 20", grown[moorings.web], "MB", 10),
        at_most("session host grows by, one deaf viewer of 20", grown[moorings.host], "MB", 10),
        Figure("flood with 18 who watch and a deaf one", round(with_deaf, 1), "MB/s", "", None, round(together, 1),
               "without the deaf one"),
        Figure("flood with 18 who watch", round(together, 1), "MB/s", "", None, round(alone, 1), "alone"),
        at_most("reconnect to the screen through the websocket", median(backs) * 1000, "ms", 200),
    ]  # fmt: skip


def _read_on(viewer: Web) -> None:
    with suppress(OSError, RuntimeError):
        while True:
            viewer.read()


def _watch_memory(most: dict[psutil.Process, int], over: threading.Event) -> None:
    while not over.wait(0.02):
        for process in most:
            most[process] = max(most[process], process.memory_info().rss)


def _reconnect(moorings: Moorings, terminal: object) -> float:
    started = time.perf_counter()
    line = moorings.line(terminal, control=False, offset=LIVE_ONLY)  # type: ignore[arg-type] # a terminal's id
    line.screen()
    taken = time.perf_counter() - started
    line.close()
    return taken


def _typing(moorings: Moorings) -> list[Figure]:
    """Fifty people at fifty shells, five keys a second each."""
    terminals = [moorings.shell() for _ in range(TYPISTS)]
    lines = [moorings.line(terminal) for terminal in terminals]
    time.sleep(1)  # shells that start are not what is measured
    before = [(process, process.cpu_times()) for process in (moorings.web, moorings.host)]
    started = time.perf_counter()
    typists = [threading.Thread(target=_type_on, args=(line, at / TYPISTS)) for at, line in enumerate(lines)]
    for typist in typists:
        typist.start()
    for typist in typists:
        typist.join()
    taken = time.perf_counter() - started
    used = [sum(process.cpu_times()[:2]) - sum(cpu[:2]) for process, cpu in before]
    for line in lines:
        line.close()
    return [
        Figure(
            f"web process, {TYPISTS} sessions of {KEYS_PER_S} keys a second",
            round(used[0] / taken * 100, 1),
            "% of a core",
        ),
        Figure(
            f"session host, {TYPISTS} sessions of {KEYS_PER_S} keys a second",
            round(used[1] / taken * 100, 1),
            "% of a core",
        ),
    ]


def _type_on(line: Web, later: float) -> None:
    time.sleep(later / KEYS_PER_S)
    for _ in range(KEYS_PER_S * TYPING_S):
        line.type(b"x")
        line.read()
        time.sleep(1 / KEYS_PER_S)


def measure() -> list[Figure]:
    """All of it, within two minutes on an idle machine."""
    with _program() as argv, moored(berths=8) as moorings:
        return [
            *_compared(_ways(moorings, argv)),
            *_slow_viewer(moorings, argv),
            *_typing(moorings),
        ]


if __name__ == "__main__":
    main(measure)
