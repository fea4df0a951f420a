"""COMPLETE: the result, put together from what the stages made. The berth is given back by the engine."""

from __future__ import annotations

from django.utils import timezone

from agents import health
from agents.models import Fact
from operations.coding.context import Context, Done, Outcome
from operations.models import Evidence, Stage


def complete(context: Context) -> Outcome:
    """Write the result that the API shows."""
    analysis, made = context.product(Stage.ANALYZE), context.product(Stage.COMMIT)
    opened = context.product(Stage.PR)
    proofs = Evidence.objects.filter(operation=context.operation, tree__in=[made["tree"], analysis["tree"]])
    health.observe(context.agent.pk, Fact.Kind.LAST_COMMIT, now=timezone.now(), detail=made["commit"])
    result = {
        "branch": made["branch"],
        "base_branch": analysis["branch"],
        "base_commit": analysis["commit"],
        "commit": made["commit"],
        "tree": made["tree"],
        "pull_request": {key: opened[key] for key in ("number", "url", "state", "title")},
        "diffstat": context.product(Stage.CODE)["diffstat"],
        "tests": {"before": analysis["baseline"]["counts"], "after": context.product(Stage.TEST)["counts"]},
        "evidence": [proof.pk for proof in proofs],
        "tier": context.product(Stage.INIT)["tier"],
    }
    return Done({"branch": made["branch"]}, fields={"result": result})
