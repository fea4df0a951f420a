"""The codemod engine: the requirement names registered codemods, one per line; they run inside the
sandbox.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from agents.engines import snapshots
from agents.engines.faults import AttemptsExhausted, CodemodFailed, CodemodToolMissing, CodemodUnknown
from agents.engines.patch import LABEL
from agents.engines.protocol import Edits, EngineKind, Plan, PlanStep, Review, Task, Workbench

TIMEOUT_S = 300.0
MAX_CODEMODS = 20
FILES_PER_RUN = 500
PYTHON = (".py", ".pyi")
PYTHON_ALONE = ("python", "-I")  # a project's own ruff.py or re.py must not be taken for the library

_NAMED = re.compile(r"^[ \t]*(?:[-*][ \t]+)?`?codemod:(.*)$", re.M | re.I)
_RULES = re.compile(r"[A-Z]{1,6}[0-9]{0,4}(?:,[A-Z]{1,6}[0-9]{0,4})*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Run:
    """One program run of a codemod.

    ``per_file`` appends the Python files to ``argv``; ``configured`` appends the project's own ruff configuration.
    """

    title: str
    argv: tuple[str, ...]
    stdin: bytes = b""
    per_file: bool = False
    configured: bool = False


@dataclass(frozen=True, slots=True)
class Codemod:
    """A registered codemod: how it is written, and how its arguments become a run (None: wrong arguments)."""

    usage: str
    build: Callable[[Sequence[str]], Run | None]


def carries_codemod(text: str) -> bool:
    """Whether the text has a ``codemod:`` line."""
    return _NAMED.search(text) is not None


def parse(text: str) -> tuple[Run, ...]:
    """The runs that the text names, in order; :class:`CodemodUnknown` for what is not registered."""
    named = [match[1].strip("` \t\r") for match in _NAMED.finditer(text)]
    if not named or len(named) > MAX_CODEMODS:
        raise CodemodUnknown(f"The requirement names {len(named)} codemods; 1 to {MAX_CODEMODS} are run. {_listed()}")
    return tuple(_run(line) for line in named)


def _run(line: str) -> Run:
    name, *arguments = line.split() or [""]
    codemod = REGISTRY.get(name.casefold())
    if codemod is None:
        close = difflib.get_close_matches(name.casefold(), REGISTRY, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise CodemodUnknown(f"There is no codemod {name!r}.{hint} {_listed()}", known=sorted(REGISTRY))
    run = codemod.build(arguments)
    if run is None:
        raise CodemodUnknown(f"{line!r} is not how it is written: `codemod: {codemod.usage}`.", known=sorted(REGISTRY))
    return run


def _listed() -> str:
    return "Registered: " + "; ".join(f"`codemod: {codemod.usage}`" for codemod in REGISTRY.values()) + "."


def _ruff(arguments: Sequence[str]) -> Run | None:
    rules = "".join(arguments)
    if not _RULES.fullmatch(rules):
        return None
    fixes = ("check", "--fix", "--exit-zero", "--no-cache", "--quiet", "--select", rules, ".")
    return Run(f"Apply ruff's safe fixes for {rules}", (*PYTHON_ALONE, "-m", "ruff", *fixes), configured=True)


def _pyupgrade(arguments: Sequence[str]) -> Run | None:
    if len(arguments) != 1 or not re.fullmatch(r"--py3(?:[6-9]|1[0-4])?-plus", arguments[0]):
        return None
    argv = (*PYTHON_ALONE, "-m", "pyupgrade", "--exit-zero-even-if-changed", arguments[0])
    return Run(f"Modernise the syntax with pyupgrade {arguments[0]}", argv, per_file=True)


def _rename(arguments: Sequence[str]) -> Run | None:
    if len(arguments) != 2 or not all(_DOTTED.fullmatch(name) for name in arguments):
        return None
    old, new = arguments
    if keyword.iskeyword(new.rpartition(".")[2]) or ("." in new and new.rpartition(".")[0] != old.rpartition(".")[0]):
        return None
    return _libcst(f"Rename {old} to {new} across the project", "rename", old, new.rpartition(".")[2])


def _remove_unused_imports(arguments: Sequence[str]) -> Run | None:
    return None if arguments else _libcst("Remove imports that nothing uses", "remove-unused-imports")


def _libcst(title: str, *arguments: str) -> Run:
    script = resources.files("agents.engines.codemods").joinpath("libcst_codemods.py").read_bytes()
    return Run(title, (*PYTHON_ALONE, "-", *arguments), stdin=script)


REGISTRY: dict[str, Codemod] = {
    "ruff": Codemod("ruff RULES (such as UP,I,F401)", _ruff),
    "rename": Codemod("rename OLD NEW (OLD is a module-level name, dotted where it is not unique)", _rename),
    "remove-unused-imports": Codemod("remove-unused-imports", _remove_unused_imports),
    "pyupgrade": Codemod("pyupgrade --py311-plus", _pyupgrade),
}


class CodemodEngine:
    """Runs the named codemods in order. Has one attempt: it would do the same again."""

    kind = EngineKind.CODEMOD

    def label(self) -> str:
        return LABEL

    def usage(self) -> dict[str, int]:
        """No model is called."""
        return {}

    def plan(self, task: Task, bench: Workbench) -> Plan:
        runs = parse(task.requirements)
        steps = tuple(PlanStep(run.title, detail=" ".join(run.argv[:12])) for run in runs)
        return Plan(f"Run {len(runs)} registered codemod{'s' if len(runs) != 1 else ''}.", steps)

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits:
        """Run them; what changed is read from the files, not from what a tool says.

        Codemods are idempotent, so a run repeated after a crash ends in the same files; the engine's caller
        compares with the base commit.
        """
        if task.attempt > 1 and task.feedback:
            raise AttemptsExhausted(f"The codemods ran as named, and were sent back: {task.feedback[-1].code}.")
        runs = parse(task.requirements)
        before = snapshots.hashes(bench, suffixes=PYTHON)
        for run in runs:
            bench.say(run.title)
            _execute(run, bench)
        after = snapshots.hashes(bench, suffixes=PYTHON)
        changed = snapshots.changed(before, after)
        return Edits(changed, "; ".join(run.title for run in runs) + f": {len(changed)} file(s) changed.")

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        return Review(approved=True)


def _python_files(bench: Workbench) -> list[str]:
    return [path for path in bench.files() if path.endswith(PYTHON)]


def _execute(run: Run, bench: Workbench) -> None:
    if not run.per_file:
        _completed(run, (*run.argv, *(_ruff_configuration(bench) if run.configured else ())), bench)
        return
    files = [f"./{path}" for path in _python_files(bench)]  # "./" keeps a file called "--help.py" a file
    for at in range(0, len(files), FILES_PER_RUN):
        _completed(run, (*run.argv, *files[at : at + FILES_PER_RUN]), bench)


def _ruff_configuration(bench: Workbench) -> tuple[str, ...]:
    """The project's own file by name, else none: left to itself, ruff looks for one in every folder above."""
    found = next((name for name in ("ruff.toml", ".ruff.toml", "pyproject.toml") if bench.exists(name)), "")
    return ("--config", found) if found else ("--isolated",)


def _completed(run: Run, argv: Sequence[str], bench: Workbench) -> None:
    if bench.cancelled():
        raise CodemodFailed(f"{run.title} was cancelled.")
    outcome = bench.run(argv, timeout_s=TIMEOUT_S, stdin=run.stdin)
    said = outcome.text(1500).strip()
    if said:
        bench.say(said)
    if outcome.ok:
        return
    if "No module named" in said or outcome.exit_code == 127:
        raise CodemodToolMissing(f"{run.title}: {said[-300:]}")
    ended = "was stopped at its time limit" if outcome.timed_out else f"ended with exit code {outcome.exit_code}"
    raise CodemodFailed(f"{run.title} {ended}: {said[-1200:]}")
