"""VALIDATE: the gates on the diff, then the engine's own reviewer, who may veto and can never overrule a gate."""

from __future__ import annotations

from events.faults import Fault
from operations.coding import changes, gates, permissions
from operations.coding.context import Context, Done, Level, Outcome, Witnessed
from operations.coding.tasks_for_engines import bench_in, engine_for, plan_of, task_for
from operations.models import Evidence, Stage


class GatesFailed(Fault):
    """A gate is red."""

    code = "gates.failed"
    remedy = "Change what the gate names; an operator may relax the template's gates."


class ReviewVetoed(Fault):
    """The reviewer does not agree with the change."""

    code = "review.vetoed"
    remedy = "Read the review; change the requirement, or retry."


def validate(context: Context) -> Outcome:
    """Judge the diff of the tested tree."""
    tree, base_tree = context.tree(Stage.CODE), context.tree(Stage.ANALYZE)
    diff = changes.diff(vault=context.vault, base_tree=base_tree, tree=tree)
    changed = {change.path for change in diff.changes}
    files = changes.list_files(vault=context.vault, tree=tree)
    sizes = {file.path: file.size for file in files if file.path in changed}
    limits = context.spec["gates"]
    results = gates.judge(
        diff, sizes=sizes, limits=limits, permissions=permissions.read(context.spec), mask=context.secrets_seen
    )
    for result in results:
        mark, level = ("✓", Level.INFO) if result.passed else ("✗", Level.WARNING)
        context.say(f"{mark} {result.name}: {result.detail}", level=level)
        context.witness(
            Witnessed(kind=Evidence.Kind.GATE, name=result.name, tree=tree, passed=result.passed,
                      detail={"text": result.detail})
        )  # fmt: skip
    red = [f"{result.name}: {result.detail}" for result in results if not result.passed]
    blocking = {result.name for result in results if not result.passed}
    if red and not (limits.get("on_violation") == "ask" and blocking <= gates.ASKABLE):
        raise GatesFailed("; ".join(red))
    product = {"tree": tree, "gates": [result.name for result in results], **_review(context, tree, diff)}
    if not red:
        return Done(product)
    return Done({**product, "asked": sorted(blocking)}, ask=f"Look at the diff: {'; '.join(red)}. Let it pass?"[:1000])


def _review(context: Context, tree: str, diff: changes.Diff) -> dict[str, object]:
    engine = engine_for(context)
    facts = {"tests": context.product(Stage.TEST)["counts"], "files": diff.files}
    bench = bench_in(context, context.workspace / "check")
    review = engine.review(task_for(context), plan_of(context), diff.text, facts, bench)
    for comment in review.comments:
        context.say(f"review: {comment}")
    if review.comments or not review.approved:
        context.witness(
            Witnessed(kind=Evidence.Kind.REVIEW, name=engine.kind.value, tree=tree, passed=review.approved,
                      detail={"comments": list(review.comments), "by": engine.label()})
        )  # fmt: skip
    if not review.approved:
        raise ReviewVetoed("; ".join(review.comments) or "the reviewer gave no reason")
    return {"review": list(review.comments), "usage": engine.usage()}
