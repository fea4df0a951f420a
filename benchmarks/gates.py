"""False alarms of the gates on real history: every merged change of this repository, judged as an agent's would be.

Each was accepted by people and tests, so whatever a gate guesses wrongly or rightly is counted as a false alarm. Gates
that only state a fact for a person or a template to decide (a new dependency, a hook of the test runner, a picture) are
counted apart.
``python -m benchmarks.gates -v`` names them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.report import Figure, at_most

ROOT = Path(__file__).resolve().parent.parent
COMMITS, LEAST = 400, 60
LIMITS: dict[str, Any] = {
    "max_files": 40, "max_changed_lines": 2000, "max_file_bytes": 1_000_000, "on_violation": "refuse",
    "policy": {}, "protected_paths": [".git/**", ".github/workflows/**"],
}  # fmt: skip

FACTS = frozenset({
    "size", "protected paths", "binaries", "symlinks", "submodules", "workflow files", "dependencies", "test harness",
})  # fmt: skip


def git(*arguments: str) -> str:
    """What git says of this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def changes_of_history() -> list[tuple[str, str, str]]:
    """Tree before, tree after, and the subject line of commits with one parent; only what is of a fix's size."""
    found = []
    for line in git("log", "--no-merges", "--min-parents=1", "--shortstat", "--format=%x01%P %T %s").split("\x01")[1:]:
        head, _, stat = line.partition("\n")
        parent, tree, subject = head.split(" ", 2)
        words = stat.split()
        lines = sum(int(words[at - 1]) for at, word in enumerate(words) if word.startswith(("insertion", "deletion")))
        if words and int(words[0]) <= LIMITS["max_files"] and lines <= LIMITS["max_changed_lines"]:
            found.append((git("rev-parse", f"{parent}^{{tree}}"), tree, subject))
        if len(found) == COMMITS:
            break
    return found


def measure() -> list[Figure]:
    """The share of changes that some gate would have refused, and what a change costs to judge."""
    from operations.coding import gates
    from operations.coding.vault import Vault

    vault = Vault(Path(git("rev-parse", "--path-format=absolute", "--git-common-dir")))
    history = changes_of_history()
    if len(history) < LEAST:
        raise SystemExit(f"{len(history)} changes are too few to say anything: this needs the whole history")
    alarms, stated, fixes, refused_fixes, spent = 0, 0, 0, 0, []
    for before, after, words in history:
        subject = gates.subject_of(vault=vault, base_tree=before, tree=after, limits=LIMITS)
        began = time.process_time()
        red = [result for result in gates.judge(subject) if not result.passed]
        spent.append((time.process_time() - began) * 1000)
        is_fix = words.startswith("fix")
        guessed = any(result.name not in FACTS for result in red)
        fixes, alarms, stated = fixes + is_fix, alarms + guessed, stated + bool(red)
        refused_fixes += is_fix and bool(red)
        if red and "-v" in sys.argv:
            print(words, *(f"\n    {result.name}: {result.detail}" for result in red))
    return [
        Figure(f"stopped of {len(history)} merged changes, facts included", round(100 * stated / len(history), 2), "%"),
        at_most(f"false alarms in {len(history)} merged changes", 100 * alarms / len(history), "%", 2),
        at_most(f"stopped of {fixes} merged fixes among them", 100 * refused_fixes / max(fixes, 1), "%", 2),
        at_most("judging one change, median", median(spent), "ms", 250),
    ]


if __name__ == "__main__":
    report.main(measure)
