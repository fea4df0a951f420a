"""Changes judged by the gates: real trees in a real vault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from operations.coding import gates
from operations.coding.vault import Vault

LIMITS: dict[str, Any] = {
    "max_files": 40, "max_changed_lines": 2000, "max_file_bytes": 1_000_000, "protected_paths": [],
}  # fmt: skip

Tree = Callable[[dict[str, bytes]], str]
Red = Callable[..., dict[str, str]]


def judging(vault: Vault, tree_from: Tree) -> Red:
    """The gates that stop a change of one or several files, with their words; or those of the gate ``words_of``."""

    def judged(before: dict[str, str], after: dict[str, str], *, words_of: str = "", **limits: Any) -> dict[str, str]:
        old, new = (tree_from({name: text.encode() for name, text in side.items()}) for side in (before, after))
        subject = gates.subject_of(vault=vault, base_tree=old, tree=new, limits={**LIMITS, **limits})
        found = gates.judge(subject)
        return {one.name: one.detail for one in found if (one.name == words_of if words_of else not one.passed)}

    return judged
