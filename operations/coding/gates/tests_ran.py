"""The gate on what ran: a test that ran before the change runs after it, whatever keeps it from doing so.

It looks at the reports of both runs and not at the code, so that it finds a test left out by a plugin, a setting or an
alias as well as by a mark. A function that was renamed, moved or deleted is the business of another gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from operations.coding.gates.collected import functions
from operations.coding.gates.subject import Subject, is_test
from operations.coding.gates.verdicts import GateResult, verdict

NAME = "tests ran"
Ran = Mapping[str, Mapping[str, int]]

# What a program of a test command takes its orders from, beside the files that the command names itself.
_ORDERS = {
    "make": ("Makefile", "makefile", "GNUmakefile"), "tox": ("tox.ini",), "nox": ("noxfile.py",),
    "npm": ("package.json",), "yarn": ("package.json",), "pnpm": ("package.json",), "just": ("justfile", "Justfile"),
    "rake": ("Rakefile",), "hatch": ("hatch.toml",), "invoke": ("tasks.py",),
}  # fmt: skip


def judged(subject: Subject, *, before: Ran, after: Ran, command: Sequence[str]) -> GateResult:
    """Red for a test that ran on the base and not with the change, and for a change to what starts the tests."""
    found = [f"{path} says how the tests are started" for path in _orders(subject, command)]
    if not before or not after:
        return verdict(NAME, found, "not compared: the reports do not name the tests")
    for group, tests in before.items():
        for name in tests:
            if not after.get(group, {}).get(name) and _should_run(subject, group, name):
                found.append(f"{group}::{name} ran before the change and does not run any more")
    return verdict(NAME, found, "every test that ran before runs")


def _orders(subject: Subject, command: Sequence[str]) -> Iterable[str]:
    changed = {change.path for change in subject.diff.changes}
    for word in command:
        names = {word.removeprefix("./"), *_ORDERS.get(word.rsplit("/", 1)[-1], ())}
        yield from sorted(path for path in names & changed if not is_test(path))


def _should_run(subject: Subject, group: str, name: str) -> bool:
    """Whether the test still stands where it stood: in a file that did not change, or under its name in one that did.

    ``tests.test_a.TestB`` is a class of ``tests/test_a.py``, or of such a file beneath some folder.
    """
    parts = group.split(".")
    for length in range(len(parts), 0, -1):
        file, classes = "/".join(parts[:length]) + ".py", parts[length:]
        for change in subject.diff.changes:
            if change.path == file or change.path.endswith(f"/{file}"):
                after = subject.python.get(change.path, (None, None))[1]
                return ".".join([*classes, name]) in dict(functions(after))
    # No path of the change fits. What is no Python has names that say nothing of files: any of them may have changed.
    return not any(is_test(change.path) and not change.path.endswith(".py") for change in subject.diff.changes)
