"""The repair engine on seeded defects: how many it mends within its default budget, and how fast it tries.

``python -m benchmarks.repair [NAME …]`` runs some by name; ``--seconds N`` changes the budget of each; ``--unseen``
and ``--held-out`` take the sets that were run before any operator was tuned on them. The held-out set keeps some tests
from the engine: ``✓`` passes those too, ``~`` passes only what the engine saw, ``=`` is the text before the defect.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.engines.protocol import CodeMap, TestCounts
from agents.engines.protocol import Task as EngineTask
from agents.engines.repair import candidates
from agents.engines.repair.engine import RepairEngine
from agents.engines.repair.harness import Command, Harness
from agents.engines.repair.options import Options
from agents.engines.repair.search import limit_s_of
from agents.engines.repair.source import Source
from benchmarks.defects.held_out_defects import HELD_OUT, HeldOut
from benchmarks.defects.seeded import DEFECTS, Defect
from benchmarks.defects.unseen_defects import UNSEEN, Unseen
from benchmarks.report import Figure, main
from events.faults import Fault
from resources.sandboxes.protocol import Outcome
from tests.fakes.workbench import DirectoryWorkbench

ROOT = Path(__file__).resolve().parent.parent
SAMPLE, SAMPLE_S = 10, 18  # of the defects, in `make bench`: all of them take minutes
RATED = next(place for place, defect in enumerate(DEFECTS) if defect.name == "sequences.both")
COMMAND = Command("python", module_run=True, arguments=("-q",))
GOAL = 0.65


class ToolchainBench(DirectoryWorkbench):
    """A directory and the toolchain's python, without a sandbox around them: what is measured is the search."""

    loud = False

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        toolchain = ROOT / ".toolchain" / "bin" / "python"
        return super().run(
            [str(toolchain), *argv[1:]] if argv[0] == "python" else argv, timeout_s=timeout_s, stdin=stdin
        )

    def say(self, line: str) -> None:
        super().say(line)
        if self.loud:
            print(f"    {line}", flush=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """One defect: whether all tests pass afterwards, how it ended, and in what time."""

    name: str
    mended: bool
    right: bool  # the tests that were kept from the engine pass too
    exact: bool  # the very text that was there before the defect was seeded
    seconds: float
    cpu_s: float  # of all processes: what it would take alone on one core
    words: str


def attempt(
    files: dict[str, str],
    *,
    name: str,
    seconds: float,
    loud: bool = False,
    wanted: str = "",
    kept: dict[str, str] | None = None,
) -> Trial:
    """Repair one project in a directory of its own, and run its tests afresh; then those that were ``kept`` from it."""
    with tempfile.TemporaryDirectory(prefix="repair-") as directory:
        root = Path(directory) / "tree"
        bench = ToolchainBench(root)
        bench.loud = loud
        for path, text in files.items():
            bench.put(path, text)
        code_map = CodeMap(
            files=(), languages={"python": 1}, test_command=("python", "-m", "pytest", "-q", "--junitxml={junit}"),
            baseline=TestCounts(), failing_before=("(the whole run)",),
        )  # fmt: skip
        task = EngineTask("Mend it.", code_map, base_tree="0" * 40)
        engine = RepairEngine(Options(seconds=seconds))
        began, spent = time.monotonic(), _cpu_s()
        try:
            edits = engine.code(task, engine.plan(task, bench), bench)
            words = edits.summary
        except Fault as fault:
            words = f"{fault.code}: {fault.detail}"
        took, cpu_s = time.monotonic() - began, _cpu_s() - spent
        mended, exact = _green(root), wanted in {bench.text(path) for path in files}
        for path, text in (kept or {}).items():
            bench.put(path, text)
        return Trial(name, mended, mended and _green(root), exact, took, cpu_s, words)


def _bounded() -> None:
    """What is not mended may fill the memory."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


def _cpu_s() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _green(root: Path) -> bool:
    shutil.rmtree(root / "__pycache__", ignore_errors=True)
    argv = [str(ROOT / ".toolchain" / "bin" / "python"), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(argv, cwd=root, capture_output=True, timeout=30, check=False, preexec_fn=_bounded)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _kept(defect: Defect | Unseen | HeldOut) -> dict[str, str]:
    if not isinstance(defect, HeldOut):
        return {}
    seen = defect.files()
    return {path: text for path, text in defect.files(hidden=True).items() if seen[path] != text}


def run(defects: Sequence[Defect | Unseen | HeldOut], *, seconds: float, loud: bool) -> list[Trial]:
    """Each defect, one after the other."""
    trials = []
    for defect in defects:
        trial = attempt(
            defect.files(), name=defect.name, seconds=seconds, loud=loud, wanted=defect.text, kept=_kept(defect)
        )
        trials.append(trial)
        mark = ("✓" if trial.right else "~" if trial.mended else "✗") + ("=" if trial.exact else " ")
        print(
            f"{mark} {trial.name:22} {trial.seconds:6.1f} s {trial.cpu_s:6.1f} s cpu  {trial.words[:150]}",
            flush=True,
        )
    return trials


def rate() -> tuple[float, float]:
    """Candidates a second and core on the warm process, and test runs a second by starting pytest for each."""
    with tempfile.TemporaryDirectory(prefix="repair-") as directory:
        bench = ToolchainBench(Path(directory) / "tree")
        for path, text in DEFECTS[RATED].files().items():
            bench.put(path, text)
        harness = Harness(bench, command=COMMAND, options=Options(), name="rate", attempt=1)
        survey = harness.survey(failing=(), seconds=20)
        path = f"{DEFECTS[RATED].program}.py"
        listed = candidates.single([Source(path, bench.read(path))], survey)[:1500]
        tests = {"failing": [test.name for test in survey.failing], "passing": [test.name for test in survey.passing]}
        began = time.monotonic()
        verdicts, _ = harness.attempt(
            listed, tests=tests, quick=len(survey.failing), shapes=(), limit_s=limit_s_of(survey), seconds=8,
            stop=False, again=False,
        )  # fmt: skip
        warm = sum(verdict.verdict != "same" for verdict in verdicts) / (time.monotonic() - began)
        began = time.monotonic()
        for _ in range(3):
            _green(bench.root)
        return warm / (os.cpu_count() or 1), 3 / (time.monotonic() - began)


def measure() -> list[Figure]:
    """For `make bench`: the rate, and a sample."""
    warm, cold = rate()
    chosen = DEFECTS[:: max(len(DEFECTS) // SAMPLE, 1)][:SAMPLE]
    trials = run(chosen, seconds=SAMPLE_S, loud=False)
    share = sum(trial.mended for trial in trials) / len(trials)
    times = sorted(trial.seconds for trial in trials)
    return [
        Figure("candidates tried per core", round(warm, 1), "/s", baseline=round(cold, 2), baseline_name="pytest each"),
        Figure("seeded defects mended", round(100 * share), "%", goal=f"≥ {GOAL:.0%}", met=share >= GOAL),
        Figure("median time to the edit", round(times[len(times) // 2], 1), "s"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--unseen", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--loud", action="store_true")
    options = parser.parse_args()
    if options.names or options.all or options.unseen or options.held_out:
        known: Sequence[Defect | Unseen | HeldOut] = (
            UNSEEN if options.unseen else HELD_OUT if options.held_out else DEFECTS
        )
        chosen = [one for one in known if not options.names or any(name in one.name for name in options.names)]
        trials = run(chosen, seconds=options.seconds, loud=options.loud)
        mended, right = sum(trial.mended for trial in trials), sum(trial.right for trial in trials)
        kept = f", {right} of them right by the tests kept from the engine" if options.held_out else ""
        print(f"{mended} of {len(trials)} mended on {os.cpu_count()} cores{kept}")
    else:
        main(measure)
