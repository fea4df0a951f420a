"""What an agent program asks for and a template leaves to a person: the question stands in the step that ended so.

The person's decision is written into that step, so that the program's next start finds it, whoever runs it.
"""

from __future__ import annotations

from agents.engines.external.assignment import Stopped
from operations.models import Operation, Stage, Step

ABOUT = "permission"
ACTION = "ask_permission"  # of the step; what recovery calls it
ASKED = "external.permission_asked"  # the fault's code

_YES = frozenset({"yes", "y", "ok", "allow", "approve", "approved", "ja"})


def is_asked(operation: Operation) -> bool:
    """Whether the operation waits for a permission."""
    return (operation.attention or {}).get("about") == ABOUT


def is_yes(answer: str) -> bool:
    """Whether a person's words let it through."""
    return answer.strip().strip(".!").lower() in _YES


def decide(operation: Operation, *, allowed: bool, said: str = "") -> None:
    """Keep the decision on what was asked last. Inside the transaction that resumes the operation."""
    step = operation.steps.filter(action=ACTION).latest("id")
    step.product = {**step.product, "allowed": allowed, "said": said}
    step.save(update_fields=["product"])


def decided(operation: Operation) -> dict[str, bool]:
    """Every decision since the work was last asked for, by the fingerprint of what was asked; the latest one counts."""
    steps = Step.objects.filter(operation_id=operation.pk, action=ACTION, turn__gte=operation.counting_from)
    rows = steps.order_by("id").values_list("fault", "product")
    return {
        str(fault["facts"]["asked"]): bool(product["allowed"])
        for fault, product in rows
        if "allowed" in product and fault
    }


def stopped(operation: Operation) -> Stopped | None:
    """Where the program was stopped for a person's decision, if nothing has come of its work since.

    Once it was started again and its worker was lost, its session may know more than the files hold: it begins anew.
    """
    coded = Step.objects.filter(
        operation_id=operation.pk, stage=Stage.CODE, turn__gte=operation.counting_from, finished_at__isnull=False
    ).order_by("-id")
    *lost, last = [*coded.filter(outcome=Step.Outcome.LOST), coded.exclude(outcome=Step.Outcome.LOST).first()]
    if last is None or last.action != ACTION or "allowed" not in last.product:
        return None
    facts = (last.fault or {}).get("facts", {})
    known = {name: str(facts.get(name, "")) for name in ("session", "told", "tree")}
    if any(step.pk > last.pk for step in lost):
        known["session"] = ""
    return Stopped(
        asked=str(facts.get("words", "")), allowed=bool(last.product["allowed"]),
        said=str(last.product.get("said", "")), **known,
    )  # fmt: skip
