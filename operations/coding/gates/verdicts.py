"""What a gate answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from operations.coding.gates.policies import Policy

SHOWN, KEPT = 10, 200


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict; ``detail`` says what it found, in words; ``findings`` are the single ones."""

    name: str
    passed: bool
    detail: str
    findings: tuple[str, ...] = ()
    policy: Policy = Policy.DENY

    @property
    def asks(self) -> bool:
        """Whether a person decides."""
        return not self.passed and self.policy is Policy.ASK

    def under(self, policy: Policy) -> GateResult:
        """The same by this policy: what is allowed is green, and still says what it found."""
        if self.findings and policy is Policy.ALLOW:
            return replace(self, passed=True, policy=policy, detail=f"allowed by the template: {self.detail}")
        return replace(self, policy=policy)

    def allowed_by_person(self) -> GateResult:
        """The same after a person said yes to these very findings."""
        return replace(self, passed=True, detail=f"allowed by a person: {self.detail}")


def verdict(name: str, found: Sequence[str], fine: str) -> GateResult:
    """Red when something was found; ``fine`` is said when nothing was."""
    unique = list(dict.fromkeys(found))
    more = f"; and {len(unique) - SHOWN} more" if len(unique) > SHOWN else ""
    return GateResult(name, not unique, "; ".join(unique[:SHOWN]) + more or fine, tuple(unique[:KEPT]))
