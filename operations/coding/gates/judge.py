"""All gates that need nothing but the diff, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Callable

from operations.coding.gates import calls, characters, dependencies, harness, secrets_added, shape, skips, tests_kept
from operations.coding.gates.policies import policy_for
from operations.coding.gates.subject import Subject
from operations.coding.gates.verdicts import GateResult

ALL: tuple[Callable[[Subject], GateResult], ...] = (
    shape.size,
    shape.protected,
    shape.binaries,
    shape.symlinks,
    shape.submodules,
    shape.hooks,
    shape.workflows,
    tests_kept.deleted,
    tests_kept.weakened,
    skips.skips,
    harness.harness,
    secrets_added.secrets,
    characters.invisible,
    calls.dangerous,
    calls.security,
    dependencies.dependencies,
)


def judge(subject: Subject) -> tuple[GateResult, ...]:
    """Each gate's verdict under the template's policy."""
    return tuple(under_policy(gate(subject), subject) for gate in ALL)


def under_policy(result: GateResult, subject: Subject) -> GateResult:
    """A verdict as the template wants it."""
    return result.under(policy_for(result.name, subject.limits))
