"""ANALYZE: what is there, and how do its tests do before anything is changed?"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Any

from operations.coding import changes, kept_results, test_runs, upstream, vault
from operations.coding.context import Context, Done, Outcome
from operations.models import Evidence

LANGUAGES = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".ts": "typescript", ".go": "go", ".rs": "rust",
    ".java": "java", ".rb": "ruby", ".c": "c", ".cc": "c++", ".cpp": "c++", ".cs": "c#", ".php": "php", ".sh": "shell",
}  # fmt: skip
FILES_KEPT = 5000  # in the step row; the tree itself has all of them


def analyze(context: Context) -> Outcome:
    """Fetch the base, map the files, run the tests as they are."""
    operation = context.operation
    base = upstream.fetch_base(
        vault=context.vault, remote=context.remote, branch=operation.project.base_branch or None,
        operation_id=operation.pk, credentials=context.credentials,
    )  # fmt: skip
    vault.preserve(vault=context.vault, name=base.commit, operation_id=operation.pk, label="base-commit")
    context.say(f"base {base.branch} at {base.commit[:12]}")
    found = kept_results.analysis(
        context, tree=base.tree, by=[LANGUAGES, FILES_KEPT], make=lambda: _files(context, base.tree)
    )
    command = test_runs.command_for(
        files=[path for path, _ in found["files"]], configured=context.spec["tests"]["command"]
    )
    baseline = kept_results.tests(context, tree=base.tree, command=command, directory="baseline")
    test_runs.witness(context, baseline, kind=Evidence.Kind.BASELINE, passed=baseline.clean)
    return Done(
        {
            "branch": base.branch,
            "commit": base.commit,
            "tree": base.tree,
            **found,
            "baseline": baseline.product(),
        }
    )


def _files(context: Context, tree: str) -> dict[str, Any]:
    files = changes.list_files(vault=context.vault, tree=tree)
    languages = Counter(LANGUAGES[suffix] for file in files if (suffix := PurePosixPath(file.path).suffix) in LANGUAGES)
    return {
        "files": [[file.path, file.size] for file in files[:FILES_KEPT]],
        "file_count": len(files),
        "languages": dict(languages.most_common()),
    }
