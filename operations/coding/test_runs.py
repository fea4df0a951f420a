"""Running a project's own tests in the sandbox, on a fresh checkout, and judging them by what was seen.

The verdict comes from the exit code and the JUnit report; no tests run is not a pass; what failed before the change
is told from what fails because of it.
"""

from __future__ import annotations

import fnmatch
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from agents import sizes
from agents.engines.protocol import TestCounts
from events.faults import Fault, FaultClass
from operations.coding import checkouts, junit
from operations.coding.context import Context, Level, Witnessed
from operations.models import Evidence
from resources.files import Beneath, PathTooBig
from resources.sandboxes.protocol import Command

FAILURES_KEPT = 50  # failing tests whose messages stay with the row
OUTPUT_KEPT = 6000  # characters of the output that stay with the evidence
ONE_TEST_SHARE, ONE_TEST_LEAST_S = 60, 10  # one hanging test may take a sixtieth of the whole run's time
KILLED = frozenset({-9, 137})  # by the kernel, most often: whoever takes too much memory
MEMORY_PERCENT = 60  # of the berth's, for the one process of a second run: then the test fails, and the others run
WHOLE_RUN = "(the whole run)"  # stands for tests that left no names
JUNIT = "{junit}"  # stands in a test command for the path of the report


class TestsNotFound(Fault):
    """There is nothing to run: the project has no tests that we know how to start."""

    __test__ = False
    fault_class = FaultClass.CONFIGURATION
    code = "tests.not_found"
    remedy = "Add tests to the repository, or give the template a test command (spec.tests.command)."


class TestsFailed(Fault):
    """The change breaks tests, or no test ran."""

    __test__ = False
    code = "tests.failed"
    remedy = "Look at the failing tests in the evidence; change the requirement or the engine, then retry."


class TestsUnrunnable(Fault):
    """The test command could not be started, or left no report."""

    __test__ = False
    fault_class = FaultClass.CONFIGURATION
    code = "tests.unrunnable"
    remedy = "Check the test command, and that the toolchain or image has what it needs."


@dataclass(frozen=True, slots=True)
class TestRun:
    """One run of the tests on one tree."""

    __test__ = False

    tree: str
    command: tuple[str, ...]
    exit_code: int | None
    counts: TestCounts
    failing: dict[str, str]
    output: str
    timed_out: bool
    duration_s: float
    tier: str
    ran: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # as in the report; empty where nobody knows
    kept: bool = False  # seen earlier, on this very tree in this very environment

    @property
    def clean(self) -> bool:
        """Exit code 0, at least one test passed, none failed or broke."""
        counts = self.counts
        return self.exit_code == 0 and counts.passed > 0 and counts.failed == counts.errors == 0

    def new_failures(self, before: Collection[str]) -> dict[str, str]:
        """Tests that fail now and did not before."""
        return {name: message for name, message in self.failing.items() if name not in before}

    def passes(self, before: Collection[str]) -> bool:
        """Clean; or whatever fails failed before, something passed, and the command ended by itself."""
        if self.clean:
            return True
        only_old = bool(self.failing) and not self.new_failures(before)
        return only_old and self.counts.passed > 0 and self.exit_code == 1 and not self.timed_out

    def product(self) -> dict[str, Any]:
        """For the step row."""
        return {
            "tree": self.tree,
            "command": list(self.command),
            "exit_code": self.exit_code,
            "counts": asdict(self.counts),
            # Every name, or an old failure would count as new; the messages of the first ones.
            "failing": {
                name: message if place < FAILURES_KEPT else ""
                for place, (name, message) in enumerate(self.failing.items())
            },
            "ran": self.ran,
            "duration_s": round(self.duration_s, 2),
        }


# How a project's tests are started, by the files it has: first match wins. Each command writes a JUnit report.
DETECT: tuple[tuple[str, Sequence[str], tuple[str, ...]], ...] = (
    (
        "pytest",
        ("test_*.py", "*_test.py", "*/test_*.py", "*/*_test.py", "conftest.py", "*/conftest.py"),
        (
            "python",
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            f"--junitxml={JUNIT}",
        ),
    ),
    (
        "node",
        ("*.test.js", "*/*.test.js", "*.test.mjs", "*/*.test.mjs", "test/*.js"),
        ("node", "--test", "--test-reporter=junit", f"--test-reporter-destination={JUNIT}"),
    ),
)


def command_for(*, files: Sequence[str], configured: Sequence[str]) -> tuple[str, ...]:
    """The template's command, else the one that the files call for. Raises TestsNotFound."""
    if configured:
        return tuple(configured)
    for _name, patterns, command in DETECT:
        if any(fnmatch.fnmatch(file, pattern) for file in files for pattern in patterns):
            return command
    raise TestsNotFound("the repository has no tests that we know how to run")


def run(
    context: Context,
    *,
    tree: str,
    command: tuple[str, ...],
    directory: str,
    instead: Mapping[str, bytes] = MappingProxyType({}),
) -> TestRun:
    """Check ``tree`` out afresh and run the tests there. Raises TestsUnrunnable when there is no verdict to be had.

    ``instead`` are files of other content than in the tree.
    """
    checkout = context.workspace / directory
    checkouts.make(context, tree=tree, directory=checkout)
    for path, content in instead.items():
        Beneath(checkout).write(path, content)
    outputs = Beneath(context.workspace)
    outputs.make_directory("out")
    report_path = f"out/junit-{secrets.token_hex(6)}.xml"
    argv = tuple(part.replace(JUNIT, str(context.workspace / report_path)) for part in command)
    context.say(f"$ {' '.join(command)}")
    timeout_s = context.spec["tests"]["timeout_s"]
    environment = {}
    if "PYTEST_TIMEOUT" not in context.spec["environment"]:
        # pytest-timeout reads it: a test that hangs fails by itself, and the others still have their say.
        environment["PYTEST_TIMEOUT"] = str(max(timeout_s // ONE_TEST_SHARE, ONE_TEST_LEAST_S))
    wish = Command(argv=argv, cwd=checkout, timeout_s=timeout_s, environment=environment)
    outcome = context.equipped.run(wish, cancelled=context.lost)
    context.check()
    if outcome.exit_code in KILLED and not outputs.exists(report_path):
        memory_mb = sizes.size_taken(context.agent.resolved).memory_mb * MEMORY_PERCENT // 100
        context.say(f"the tests were killed, as one that fills the memory is; once more, with {memory_mb} MB at most")
        bounded = ("prlimit", f"--as={memory_mb << 20}", "--", *argv)
        again = context.equipped.run(replace(wish, argv=bounded), cancelled=context.lost)
        context.check()
        outcome = again if outputs.exists(report_path) else outcome
    output = outcome.text(OUTPUT_KEPT)
    context.say(output, level=Level.INFO if outcome.ok else Level.WARNING)
    context.say(f"exit {outcome.exit_code} after {outcome.duration_s:.1f} s, {outcome.tier}", level=Level.DEBUG)
    report = _report(
        outputs, report_path, exit_code=outcome.exit_code, output=output, timed_out=outcome.timed_out,
        clean=context.mask.data,
    )  # fmt: skip
    return TestRun(
        tree=tree, command=command, exit_code=outcome.exit_code, counts=report.counts, failing=report.failing,
        output=output, timed_out=outcome.timed_out, duration_s=outcome.duration_s, tier=outcome.tier.value,
        ran=report.ran,
    )  # fmt: skip


def witness(
    context: Context,
    test_run: TestRun,
    *,
    kind: Evidence.Kind,
    passed: bool,
    before: Collection[str] = (),
    flaky: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Keep the run as evidence, with the failures that are new, and with those that a second run did not have."""
    context.witness(
        Witnessed(
            kind=kind,
            tree=test_run.tree,
            passed=passed,
            command=test_run.command,
            exit_code=test_run.exit_code,
            counts=asdict(test_run.counts),
            detail={
                "failing": dict(list(test_run.failing.items())[:FAILURES_KEPT]),
                "new_failures": sorted(test_run.new_failures(before))[:FAILURES_KEPT],
                "flaky": dict(list(flaky.items())[:FAILURES_KEPT]),
                "kept": test_run.kept,
                "timed_out": test_run.timed_out,
                "duration_s": round(test_run.duration_s, 2),
                "output": test_run.output,
            },
            tier=test_run.tier,
        )
    )


def _report(
    outputs: Beneath,
    path: str,
    *,
    exit_code: int | None,
    output: str,
    timed_out: bool,
    clean: Callable[[bytes], bytes] = bytes,
) -> junit.Report:
    if timed_out:
        return junit.Report(TestCounts(), {WHOLE_RUN: "the tests did not end within the time limit"})
    try:
        return junit.parse(clean(outputs.read(path, limit_bytes=junit.LIMIT_BYTES)))
    except FileNotFoundError:
        if exit_code in {126, 127}:
            raise TestsUnrunnable(f"the test command cannot be started: {output[-300:]}") from None
        message = f"exit code {exit_code} and no JUnit report: {output[-500:]}"
        return junit.Report(TestCounts(errors=1), {WHOLE_RUN: message})
    except (junit.Unreadable, PathTooBig) as error:
        return junit.Report(TestCounts(errors=1), {WHOLE_RUN: str(error)})
