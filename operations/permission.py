"""What an agent program asks for and a template leaves to a person: the question stands in the step that ended so.

The person's decision is written into that step, so that the program's next start finds it, whoever runs it.
"""

from __future__ import annotations

from operations.models import Operation, Step

ABOUT = "permission"
ACTION = "ask_permission"  # of the step; what recovery calls it

_YES = frozenset({"yes", "y", "ok", "allow", "approve", "approved", "ja"})


def is_asked(operation: Operation) -> bool:
    """Whether the operation waits for a permission."""
    return (operation.attention or {}).get("about") == ABOUT


def is_yes(answer: str) -> bool:
    """Whether a person's words let it through."""
    return answer.strip().strip(".!").lower() in _YES


def decide(operation: Operation, *, allowed: bool) -> None:
    """Keep the decision on what was asked last. Inside the transaction that resumes the operation."""
    step = operation.steps.filter(action=ACTION).latest("id")
    step.product = {**step.product, "allowed": allowed}
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
