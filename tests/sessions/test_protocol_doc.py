"""docs/terminal-protocol.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessions.host.wire import ASKED, MOST_PAYLOAD, SUBPROTOCOL, TOLD, Kind, Problem, Shape

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "terminal-protocol.md").read_text()


def _rows(title: str) -> list[list[str]]:
    section = PAGE.split(f"### {title}\n")[1].split("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _payload(shape: Shape) -> list[str]:
    return [*shape.fields, *([f"{shape.rest}…"] if shape.rest else [])]


@pytest.mark.parametrize(("title", "shapes"), [("From the client", ASKED), ("From the session host", TOLD)])
def test_table_of_frames_is_that_of_the_code(title: str, shapes: dict[Kind, Shape]) -> None:
    documented = [(row[0], row[1], re.findall(r"`([^`]+)`", row[2])) for row in _rows(title)]
    coded = [(f"0x{kind:02x}", kind.name, _payload(shapes[kind])) for kind in sorted(shapes)]
    assert documented == coded
    assert all(row[3] for row in _rows(title))


def test_problems_are_those_of_the_code() -> None:
    assert [(int(row[0]), row[1]) for row in _rows("What an ERROR says")] == [(p.value, p.name) for p in Problem]


def test_limits_and_subprotocol_are_those_of_the_code() -> None:
    assert f"3 to {3 + MOST_PAYLOAD:,}".replace(",", " ") in PAGE
    assert f"`{SUBPROTOCOL}`" in PAGE
