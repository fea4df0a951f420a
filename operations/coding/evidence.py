"""Evidence: the only thing that opens COMMIT and PR, and only for the very tree that it was seen on."""

from __future__ import annotations

from events.faults import Fault
from operations.models import Evidence, Operation


class EvidenceMissing(Fault):
    """The tree was not proved: its tests or a gate are missing, red, or were seen on another tree."""

    code = "evidence.missing"
    remedy = "It is tested once more by itself; if that does not help, look at its evidence and retry."


def require(operation: Operation, *, tree: str) -> list[Evidence]:
    """The evidence on this tree, the newest per kind and name. Raises EvidenceMissing unless all of it is green.

    Tests and at least one gate must be there. A review is superseded by a later judgement of the same tree, also when
    the reviewer had nothing to say there.
    """
    newest: dict[tuple[str, str], Evidence] = {}
    for row in Evidence.objects.filter(operation=operation, tree=tree).order_by("id"):
        newest[row.kind, row.name] = row
    judged = max((row.turn for row in newest.values() if row.kind == Evidence.Kind.GATE), default=0)
    rows = [
        row
        for row in newest.values()
        if row.kind != Evidence.Kind.BASELINE and (row.kind != Evidence.Kind.REVIEW or row.turn >= judged)
    ]
    lacking = {Evidence.Kind.TESTS, Evidence.Kind.GATE} - {Evidence.Kind(row.kind) for row in rows}
    if lacking:
        raise EvidenceMissing(f"no evidence of {', '.join(sorted(lacking))} on tree {tree[:12]}")
    red = [f"{row.kind} {row.name}".strip() for row in rows if not row.passed]
    if red:
        raise EvidenceMissing(f"red on tree {tree[:12]}: {', '.join(red)}")
    return rows
