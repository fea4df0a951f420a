"""The way to the program in the sandbox: one command per question, one line of JSON as its answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from agents.engines.protocol import Workbench
from agents.engines.repair import survey
from agents.engines.repair.faults import NotLoadable, SearchBroken, SearchStopped, Unsupported
from agents.engines.repair.options import Options
from agents.engines.repair.proposals import Candidate

LOADER = "import json, sys; job = json.load(sys.stdin); exec(job.pop('loader'))"
# Its own package name, so that it is in nobody's way: the project may have packages called as ours are.
REGISTER = """
import types
package = sys.modules["moorage_repair"] = types.ModuleType("moorage_repair")
package.__path__ = []
for name, source in job.pop("modules"):
    module = types.ModuleType("moorage_repair." + name)
    module.__package__ = "moorage_repair"
    sys.modules[module.__name__] = module
    exec(compile(source, "<" + module.__name__ + ">", "exec"), module.__dict__)
sys.modules["moorage_repair.program"].main(job)
"""
# Each after those that it imports.
MODULES = ("naming", "pool", "tracing", "state", "bay", "surveying", "trial", "program")
SCRATCH, JOURNAL = "../repair-copy", "../repair-{name}.jsonl"
OWN = ("-s", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--continue-on-collection-errors")
WHOLE_RUN = "(the whole run)"  # stands for tests that left no names
GRACE_S = 30.0  # beyond what the program allows itself
HANG_S, PATIENT_S = 1.0, 30.0  # processor seconds of a test that failed before, and of one that passed


@dataclass(frozen=True, slots=True)
class Command:
    """How the project starts pytest: the program, and pytest's own arguments."""

    program: str
    module_run: bool
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one candidate did: ``passes``, ``fails``, ``breaks``, ``time``, ``died``, ``invalid``, ``same``
    as another, or ``refused``: an earlier attempt chose it, and it was sent back.
    """

    identity: str
    verdict: str
    fixed: int  # of the failing tests that were run
    known: bool = False  # read from the journal


VERDICTS = frozenset({"passes", "fails", "breaks", "time", "died", "invalid", "same", "refused"})


def command_of(argv: Sequence[str]) -> Command:
    """Read a test command. Raises Unsupported for what is not pytest."""
    words = [word for word in argv if "{junit}" not in word]
    name = words[0].rpartition("/")[2] if words else ""
    if name in {"pytest", "py.test"}:
        return Command("python", module_run=False, arguments=tuple(words[1:]))
    if name.startswith("python") and words[1:3] == ["-m", "pytest"]:
        return Command(words[0], module_run=True, arguments=tuple(words[3:]))
    raise Unsupported(f"The tests are started by `{' '.join(argv)[:200]}`; repair understands pytest only.")


class Harness:
    """Asks the program in the sandbox. ``name`` is of the state that is repaired: its journal is for that alone.

    Tests in ``aside`` are left out of everything.
    """

    def __init__(
        self, bench: Workbench, *, command: Command, options: Options, name: str, attempt: int,
        aside: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.bench, self.command, self.options, self.attempt_number = bench, command, options, attempt
        self._aside = list(aside)
        inside = resources.files("agents.engines.repair.inside")
        self._modules = [(name, inside.joinpath(f"{name}.py").read_text("utf-8")) for name in MODULES]
        self._journal = JOURNAL.format(name="".join(char for char in name if char.isalnum())[:40] or "tree")

    def survey(self, *, failing: Sequence[str], seconds: float, words: Collection[str] = ()) -> survey.Survey:
        """Run every test by itself, those to mend first, and those that matter under the tracer. Raises NotLoadable.

        ``words`` of the requirement tell which are to mend where ``failing`` names none that is there.
        """
        answer = self._ask(
            "survey", seconds, failing=list(failing), words=sorted(words), hang_s=HANG_S, patient_s=PATIENT_S
        )
        try:
            found = survey.read(answer)
        except ValueError as error:
            raise SearchBroken(f"The sandbox answered with something else: {error}.") from error
        if not found.tests:
            raise NotLoadable(f"pytest found no test that could be run: {', '.join(found.broken)[:500] or 'none'}.")
        return found

    def attempt(
        self, candidates: Sequence[Candidate], *, tests: Mapping[str, Sequence[str]], quick: int,
        shapes: Sequence[str], limit_s: float, seconds: float, stop: bool, again: bool,
    ) -> tuple[list[Verdict], list[str]]:  # fmt: skip
        """Try them in order for so many seconds; verdicts of those that were reached, and the shapes seen so far.

        ``quick``: so many failing tests, from the first, fail at once.
        """
        answer = self._ask(
            "try", seconds, candidates=[candidate.as_json() for candidate in candidates], shapes=list(shapes),
            quick=quick, limit_s=limit_s, stop=stop, again=again,
            **{name: list(names) for name, names in tests.items()},
        )  # fmt: skip
        verdicts = [
            Verdict(entry[0], entry[1], entry[2], len(entry) > 3)
            for entry in answer.get("results", [])
            if isinstance(entry, list) and len(entry) in {3, 4} and entry[1] in VERDICTS and isinstance(entry[2], int)
        ]
        return verdicts, [shape for shape in answer.get("shapes", []) if isinstance(shape, str)]

    def confirm(self, candidate: Candidate, *, only: Sequence[str], seconds: float) -> tuple[str, ...]:
        """Run these tests of the suite with this one, in a fresh process; those that fail."""
        answer = self._ask("confirm", seconds, candidates=[candidate.as_json()], only=list(only))
        failed = answer.get("failed")
        if not isinstance(failed, list) or not (failed or answer.get("passed")):
            return (WHOLE_RUN,)
        return tuple(str(name) for name in failed)

    def _ask(self, mode: str, seconds: float, **fields: Any) -> dict[str, Any]:
        job = {
            "loader": REGISTER, "modules": self._modules, "mode": mode, "seconds": seconds, "scratch": SCRATCH,
            "aside": self._aside, "journal": self._journal, "attempt": self.attempt_number,
            "arguments": [*self.command.arguments, *OWN], "module_run": self.command.module_run,
            "workers": self.options.workers, "memory_mb": self.options.memory_mb, **fields,
        }  # fmt: skip
        argv = (self.command.program, "-c", LOADER)
        outcome = self.bench.run(argv, timeout_s=seconds + GRACE_S, stdin=json.dumps(job).encode())
        if outcome.cancelled or self.bench.cancelled():
            raise SearchStopped("The search was cancelled.")
        answer = _last_line(outcome.stdout)
        if answer is None:
            raise SearchBroken(f"The search ended with exit code {outcome.exit_code}: {outcome.text(800)}")
        if "nothing" in answer:
            raise NotLoadable(f"pytest could not start: {str(answer['nothing'])[-800:]}")
        return answer


def _last_line(output: bytes) -> dict[str, Any] | None:
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
