"""Gates on the diff. Door: :func:`judge`. What was there before a change is never held against it."""

from operations.coding.gates.judge import ALL, judge
from operations.coding.gates.policies import Policy
from operations.coding.gates.subject import Source, Subject, subject_of
from operations.coding.gates.verdicts import GateResult, verdict

__all__ = ["ALL", "GateResult", "Policy", "Source", "Subject", "judge", "subject_of", "verdict"]
