"""Gates on what was agreed with this engine and its commands. They always refuse: no policy speaks of them."""

from __future__ import annotations

from operations.coding.gates.subject import Subject
from operations.coding.gates.verdicts import GateResult, verdict
from operations.coding.permissions import Permissions
from resources.operator_secrets import Mask


def permitted(subject: Subject, permissions: Permissions) -> GateResult:
    """Whatever changed a file: the engine's own edits were asked before, the commands that it ran were not."""
    changed = [change.path for change in subject.diff.changes if not permissions.may_change(change.path)]
    found = [f"{path} is not the engine's to change" for path in changed]
    return verdict("engine permissions", found, "only what the engine may change")


def kept_secrets(subject: Subject, mask: Mask) -> GateResult:
    """No secret that the operator keeps for these berths. The line itself is never repeated."""
    found = [f"{line.path} line {line.number} holds a kept secret" for line in subject.added if mask.holds(line.text)]
    return verdict("kept secrets", found, "none of the secrets that its commands were given")
