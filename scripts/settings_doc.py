"""Writes docs/settings.md from the table of settings; with --check only says whether it is right."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from config.environment import TABLE  # noqa: E402 - the line above makes it importable from anywhere

DOCUMENT = ROOT / "docs" / "settings.md"
HEAD = """# Settings

Every setting comes from the environment, and a name that is not listed here is not read. An empty value
means the default. A secret can also be given as a file: `NAME_FILE=/path` instead of `NAME=value`.

This page is written by `make docs` from `config/environment.py`; a test compares the two.

| setting | default | what it is for |
|---|---|---|
"""


def rendered() -> str:
    """The page as it should be."""
    rows = (
        f"| `{setting.name}` | {f'`{setting.default}`' if setting.default else '—'} "
        f"| {setting.help.replace('|', '&#124;')}{' *Secret.*' if setting.secret else ''} |\n"
        for setting in TABLE
    )
    return HEAD + "".join(rows)


def main() -> int:
    """0 when the page is (now) right."""
    if sys.argv[1:] != ["--check"]:
        DOCUMENT.write_text(rendered())
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == rendered():
        return 0
    sys.stderr.write("docs/settings.md is not what config/environment.py says: run `make docs`.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
