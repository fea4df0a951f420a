"""The gate of the project's own linters: run in the sandbox where the project is set up for them, new lines judged.

A change to a file that holds nothing but a linter's settings is a finding of its own: it would relax its own rules.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from operations.coding.gates.subject import Subject
from operations.coding.gates.verdicts import GateResult, verdict
from resources.sandboxes.protocol import Command, Outcome

NAME = "linters"
TIMEOUT_S = 300.0
_NOT_THERE = frozenset({126, 127})
_LINE = re.compile(r"^(?P<path>[^:\n]+):(?P<line>\d+):(?:\d+:)? ?(?P<words>.+)$", re.MULTILINE)

Run = Callable[[Command], Outcome]
Read = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Linter:
    """A linter: the files that set it up (with the heading that must be there), and how it is started on files."""

    name: str
    settings: Mapping[str, str]
    argv: tuple[str, ...]


# A heading is a table of TOML or a section of an INI file; empty for a file of the linter's own.
LINTERS = (
    Linter("ruff", {"ruff.toml": "", ".ruff.toml": "", "pyproject.toml": "tool.ruff"},
           ("-m", "ruff", "check", "--no-fix", "--no-cache", "--force-exclude", "--output-format=concise")),
    Linter("flake8", {".flake8": "", "setup.cfg": "flake8", "tox.ini": "flake8"}, ("-m", "flake8")),
    Linter("mypy", {"mypy.ini": "", ".mypy.ini": "", "pyproject.toml": "tool.mypy", "setup.cfg": "mypy"},
           ("-m", "mypy", "--no-error-summary", "--hide-error-context", "--no-pretty", "--no-color-output",
            "--cache-dir=/dev/null")),
)  # fmt: skip


def linters(subject: Subject, *, read: Read, run: Run, directory: Path) -> GateResult:
    """What the project's linters say of added lines in changed Python files.

    ``read`` gives the base's text of a file, ``run`` runs a command in the sandbox, ``directory`` holds the new tree.
    """
    paths = sorted(
        change.path for change in subject.diff.changes if change.status != "D" and change.path.endswith((".py", ".pyi"))
    )
    found: list[str] = []
    said: list[str] = []
    for linter in LINTERS if paths else ():
        settings = next((file for file, heading in linter.settings.items() if _sets_up(read(file), heading)), None)
        if settings is None:
            continue
        if any(change.path == settings for change in subject.diff.changes):
            found += [] if settings in {"pyproject.toml", "setup.cfg", "tox.ini"} else [f"{settings} was changed"]
        files = tuple(f"./{path}" for path in paths)  # no path can pass for an option
        outcome = run(Command(argv=("python3", *linter.argv, *files), cwd=directory, timeout_s=TIMEOUT_S))
        text = outcome.text(1_000_000)
        if outcome.exit_code in _NOT_THERE or f"No module named {linter.name}" in text:
            said.append(f"{linter.name} is not in the sandbox, and did not run")
        elif outcome.exit_code not in {0, 1}:
            said.append(f"{linter.name} came to no verdict")
        else:
            said.append(f"{linter.name} is content with the added lines")
            found += _new(text, subject, linter.name)
    return verdict(NAME, found, "; ".join(said) or "the project has none set up")


def _new(text: str, subject: Subject, name: str) -> list[str]:
    return [
        f"{path} line {match['line']}: {match['words'].strip()[:160]} ({name})"
        for match in _LINE.finditer(text)
        if ((path := match["path"].removeprefix("./")), int(match["line"])) in subject.added_numbers
        and not match["words"].strip().startswith("note:")
    ]


def _sets_up(text: str | None, heading: str) -> bool:
    if text is None:
        return False
    if not heading:
        return True
    if "." not in heading:
        return f"[{heading}]" in text
    try:
        return heading.split(".")[1] in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        return False
