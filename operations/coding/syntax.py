"""Do changed Python files still parse? Asked inside the sandbox, of the very python that will run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from operations.coding import changes
from operations.coding.context import Context
from operations.coding.limits import LIMITS
from resources.sandboxes.protocol import Command, Outcome

TIMEOUT_S = 120.0
_NOT_THERE = frozenset({126, 127})

# Reads names from standard input and compiles each: nothing is imported, nothing is written. One JSON line per failure.
_OF_FILES = """
import json, sys
for name in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\\0"):
    if name:
        try:
            with open(name, "rb") as file:
                compile(file.read(), name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
            print(json.dumps([name, f"{name}:{getattr(error, 'lineno', None) or 0}: {error}"]))
"""
_OF_INPUT = 'import sys; compile(sys.stdin.buffer.read(), "before", "exec", dont_inherit=True)'


def broken_by(context: Context, diff: changes.Diff, *, base_tree: str, directory: Path) -> str:
    """What cannot be parsed any more, one line each; empty when all can. What could not before is left alone.

    Warnings of the compiler are no failure, and neither is a sandbox without python: its project is not ours to judge.
    """
    paths = {change.path: change for change in diff.changes if change.status != "D" and change.path.endswith(".py")}
    if not paths:
        return ""
    outcome = _python(context, _OF_FILES, "\0".join(paths).encode("utf-8", "surrogateescape"), directory=directory)
    if outcome.exit_code in _NOT_THERE:
        context.say("there is no python3 in the sandbox: the syntax is left to the tests")
        return ""
    if not outcome.ok:
        context.check()
        ended = "did not end in time" if outcome.timed_out else f"ended with exit code {outcome.exit_code}"
        return f"the compiler {ended}: {outcome.text(2000)}".strip()
    found = dict(json.loads(line) for line in outcome.stdout.decode("utf-8", "replace").splitlines())
    new = [words for path, words in found.items() if not _was_broken(context, path, base_tree, directory=directory)]
    if old := len(found) - len(new):
        context.say(f"{old} changed files could not be parsed before either")
    return "\n".join(new)[:3000]


def _was_broken(context: Context, path: str, base_tree: str, *, directory: Path) -> bool:
    before = changes.read_blob(vault=context.vault, tree=base_tree, path=path, limit_bytes=LIMITS.blob_bytes)
    return before is not None and _python(context, _OF_INPUT, before, directory=directory).exit_code == 1


def _python(context: Context, program: str, stdin: bytes, *, directory: Path) -> Outcome:
    # -W ignore: a SyntaxWarning is printed to standard error, and is none of our business.
    argv: Sequence[str] = ("python3", "-I", "-W", "ignore", "-c", program)
    command = Command(argv=tuple(argv), cwd=directory, stdin=stdin, timeout_s=TIMEOUT_S)
    return context.watched.run(command, cancelled=context.lost)
