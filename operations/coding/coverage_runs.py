"""Which lines the project's tests execute: measured in the sandbox on a fresh checkout, beside the run that counts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from operations.coding import checkouts
from operations.coding.context import Context
from operations.coding.gates import coverage
from operations.coding.gates.judge import under_policy
from operations.coding.gates.subject import Subject
from operations.coding.gates.verdicts import GateResult
from operations.coding.test_runs import JUNIT
from resources.files import Beneath, PathTooBig
from resources.sandboxes.protocol import Command

REPORT_BYTES = 20_000_000
REPORT_S = 120.0
# Ours and not the project's: a change could leave itself out there. Nor does a comment in the code leave it out.
SETTINGS = b"""\
[run]
relative_files = true
disable_warnings = no-data-collected, module-not-imported
[report]
exclude_lines =
    if (typing\\.)?TYPE_CHECKING:
"""


def judged(context: Context, subject: Subject, *, tree: str, command: Sequence[str]) -> GateResult:
    """The gate's verdict on a tree whose tests ``command`` runs, as far as the template wants one."""
    if coverage.mode(subject.limits) == coverage.OFF:
        return coverage.not_measured("the template has gates.coverage off")
    if not coverage.paths(subject):
        return coverage.GateResult(coverage.NAME, True, "no Python code was changed but tests")
    if (pytest := _pytest_of(command)) is None:
        return coverage.not_measured("the tests are not run by pytest")
    report = _report(context, tree, pytest, coverage.paths(subject))
    return under_policy(coverage.judge(subject, report), subject) if report else coverage.not_measured(
        "the tests left no data; is coverage in the sandbox?"
    )  # fmt: skip


def _pytest_of(command: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """The interpreter and pytest's arguments without its report; None for what is not pytest."""
    words = list(command)
    if words[:1] == ["pytest"]:
        python, rest = "python", words[1:]
    elif len(words) >= 3 and words[0].rpartition("/")[2].startswith("python") and words[1:3] == ["-m", "pytest"]:
        python, rest = words[0], words[3:]
    else:
        return None
    return python, tuple(word for word in rest if JUNIT not in word)


def _report(context: Context, tree: str, pytest: tuple[str, tuple[str, ...]], paths: Sequence[str]) -> bytes:
    """coverage.py's JSON report; empty where there is none."""
    python, arguments = pytest
    checkout, name = context.workspace / "cover", f"coverage-{secrets.token_hex(6)}"
    checkouts.make(context, tree=tree, directory=checkout)
    outputs = Beneath(context.workspace)
    outputs.make_directory("out")
    outputs.write(f"out/{name}.cfg", SETTINGS)
    place = context.workspace / "out" / name
    ours = (f"--rcfile={place}.cfg", f"--data-file={place}.data")
    context.say("measuring which added lines the tests execute")
    for argv, limit_s in (
        ((python, "-m", "coverage", "run", *ours, "-m", "pytest", *arguments), context.spec["tests"]["timeout_s"]),
        # In the same place, since the report reads the sources; only of what was changed, since it is bounded.
        ((python, "-m", "coverage", "json", *ours, "-q", "-i", f"--include={','.join(paths)}", "-o", f"{place}.json"),
         REPORT_S),
    ):  # fmt: skip
        outcome = context.equipped.run(Command(argv=argv, cwd=checkout, timeout_s=limit_s), cancelled=context.lost)
        context.check()
        if outcome.timed_out:
            return b""
    try:
        return outputs.read(f"out/{name}.json", limit_bytes=REPORT_BYTES)
    except (FileNotFoundError, PathTooBig):
        return b""
