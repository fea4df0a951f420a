"""Every command line that README.md and docs/cli.md show is one that the client takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cli.main import parser

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"(?:^\$ (?:\S*/)?|`(?:[^`|]*\| )?)moorage ([a-z][^`\n]*)", re.M)


def shown() -> list[str]:
    """What stands behind ``moorage`` at a prompt or in backticks, without comments and brackets."""
    texts = [(ROOT / name).read_text("utf-8") for name in ("README.md", "docs/cli.md")]
    lines = [re.sub(r"\s+#.*|[\[\]…]", "", line).strip() for text in texts for line in SHOWN.findall(text)]
    return sorted(set(lines))


def test_there_are_command_lines_to_look_at() -> None:
    assert any(line.startswith("run --project") for line in shown()), "README.md"
    assert "operation watch OPERATION" in shown(), "docs/cli.md"


@pytest.mark.parametrize("line", shown())
def test_a_documented_command_line_is_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        given = parser().parse_args(shlex.split(line))
    except SystemExit as refused:
        pytest.fail(f"moorage {line}: {capsys.readouterr().err} ({refused.code})")
    assert callable(given.handler)
