"""CODE: the engine edits a checkout; what it left there becomes a tree in the vault."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from events.faults import Fault
from operations import permission, takeover
from operations.coding import carrying, changes, checkouts, hiring, repository, syntax, vault
from operations.coding.context import Context, Done, HandOver, Level, Outcome
from operations.coding.git_faults import ContentRefused
from operations.coding.recovery import GO_ON_FROM_LAST
from operations.coding.tasks_for_engines import engine_for, plan_of, task_for, within_limits
from operations.models import Rework, Stage, Step

DIFF_KEPT = 400_000  # characters of the diff that the step row keeps, for people; the vault has all of it


class DoesNotCompile(Fault):
    """A changed file cannot be parsed any more."""

    code = "code.does_not_compile"
    remedy = "Correct the syntax at the places named."


class NoChanges(Fault):
    """The engine left the code as it was."""

    code = "code.no_changes"
    remedy = "Say more exactly what should change, or check whether it is there already."


def code(context: Context) -> Outcome:
    """One attempt. It starts from the base, or, for engines that correct themselves, from their last attempt.

    In a round of rework it starts from the pull request's branch, put on the base as that is now. After a person worked
    in the berth, what lies there is the attempt. A berth that was promised to a person is handed over first.
    """
    operation, rework = context.operation, context.rework
    if takeover.promised(operation):
        return _hand_over(context)
    if (back := takeover.handed_back(operation)) and (done := _by_hand(context, by=back["by"], stage=back["stage"])):
        return done
    base_tree = context.tree(Stage.ANALYZE)
    directory = context.workspace / "tree"
    if rework is not None and rework.cause == Rework.Cause.CONFLICT and not context.sent_back_here():
        tree = carrying.branch_on_base(context, rework, directory=directory)
        context.say(f"the change of {rework.head_commit[:12]} fits on the new base without conflicts")
        summary = f"{_last_summary(context)} (Put on {context.product(Stage.ANALYZE)['commit'][:12]}.)"
        return _finished(context, directory, tree, summary=summary)
    engine, task = engine_for(context), task_for(context)
    start = None
    if engine.kind in GO_ON_FROM_LAST:
        stopped = hiring.stopped_at(context)
        start = (stopped.tree if stopped else _last_tree(context)) or (
            carrying.branch_on_base(context, rework, directory=directory) if rework else None
        )
    context.say(f"attempt {task.attempt} with {engine.label()}")
    beside = checkouts.make(context, tree=start or base_tree, directory=directory)
    try:
        edits = within_limits(context, directory, lambda bench: engine.code(task, plan_of(context), bench))
    except Fault as fault:
        if fault.code == permission.ASKED:
            fault.facts["tree"] = _kept(context, directory, base_tree=base_tree, leave_out=beside)
        raise
    context.check()
    tree = _taken(context, directory, base_tree=base_tree, leave_out=beside)
    if tree == base_tree:
        raise NoChanges("after this attempt the code is what it was before", tree=base_tree)
    if rework is not None and tree == carrying.delivered_tree(context, rework):
        raise NoChanges("after this attempt the code is what the pull request holds already", tree=tree)
    _preserve(context, tree)
    return _finished(
        context, directory, tree, summary=edits.summary, attempt=task.attempt, usage=engine.usage(),
        # After the call it names the models that really answered.
        fields={"engine_label": engine.label()[:120]},
    )  # fmt: skip


def _hand_over(context: Context) -> HandOver:
    """A fresh checkout, set up, of what the engine would begin with."""
    directory, rework = context.workspace / "tree", context.rework
    tree = _last_tree(context)
    if tree is None and rework is not None and rework.cause != Rework.Cause.CONFLICT:
        tree = carrying.branch_on_base(context, rework, directory=directory)
    tree = tree or context.tree(Stage.ANALYZE)
    checkouts.make(context, tree=tree, directory=directory)
    context.say(f"the berth is handed over to {takeover.promised(context.operation)}")
    return HandOver(tree)


def _by_hand(context: Context, *, by: str, stage: str) -> Done | None:
    """What a person left in the berth, as this attempt; None where it is what the engine would begin with: its turn.

    Where the tree is the one of before, all that was seen on it still holds, and the work goes on in ``stage``.
    """
    directory, base_tree = context.workspace / "tree", context.tree(Stage.ANALYZE)
    if not directory.is_dir():
        return None
    beside = checkouts.left_by_hooks(context, tree=base_tree)
    tree = _taken(context, directory, base_tree=base_tree, leave_out=beside)
    context.check()
    before = context.product(Stage.CODE)
    if tree == before.get("tree"):
        context.say(f"{by} handed the berth back with the files as they were")
        return Done(before, fields={"resume_at": "" if stage == Stage.CODE else stage})
    if tree in (base_tree, context.handed_over()):
        context.say(f"{by} handed the berth back without a change to what there was")
        return None
    context.say(f"{by} handed the berth back with changes by hand")
    _preserve(context, tree)
    label = f"{context.operation.engine_label[:80]} + by hand ({by[:30]})"
    return _finished(
        context, directory, tree, summary=f"Changed by hand by {by}.", attempt=before.get("attempt", 1),
        fields={"engine_label": label[:120]},
    )  # fmt: skip


def _finished(
    context: Context, directory: Path, tree: str, *, summary: str, attempt: int = 1,
    usage: Mapping[str, Any] | None = None, fields: Mapping[str, Any] | None = None,
) -> Done:  # fmt: skip
    """The product for a tree that still parses."""
    base_tree = context.tree(Stage.ANALYZE)
    diff = changes.diff(vault=context.vault, base_tree=base_tree, tree=tree)
    if broken := syntax.broken_by(context, diff, base_tree=base_tree, directory=directory):
        context.say(broken, level=Level.WARNING)
        raise DoesNotCompile(broken, tree=tree)
    context.say(f"{diff.files} files, +{diff.insertions} -{diff.deletions}")
    return Done(
        {
            "tree": tree,
            "summary": summary,
            "diffstat": {"files": diff.files, "insertions": diff.insertions, "deletions": diff.deletions},
            "diff": diff.shortened(DIFF_KEPT).as_dict(),
            "attempt": attempt,
            "usage": dict(usage or {}),
        },
        fields=fields or {},
    )


def _kept(context: Context, directory: Path, *, base_tree: str, leave_out: tuple[str, ...]) -> str:
    """What is there of an attempt that goes on later; empty where none of it may be kept."""
    try:
        tree = _taken(context, directory, base_tree=base_tree, leave_out=leave_out)
    except ContentRefused as refused:
        context.say(f"what it left is not kept: {refused.detail}", level=Level.WARNING)
        return ""
    _preserve(context, tree)
    return tree


def _preserve(context: Context, tree: str) -> None:
    operation = context.operation
    vault.preserve(vault=context.vault, name=tree, operation_id=operation.pk, label=f"turn-{operation.turn}")


def _last_tree(context: Context) -> str | None:
    """What the last attempt left, be it sent back by CODE itself; None where the vault of this host lacks it."""
    sent_back = context.sent_back_here()
    if not sent_back:
        return None
    facts = sent_back[-1].get("facts") or {}
    tree = str(facts.get("tree") or context.product(Stage.CODE).get("tree") or "")
    return tree if tree and vault.has(context.vault, tree) else None


def _last_summary(context: Context) -> str:
    """What the delivered change was said to be."""
    coded = context.operation.steps.filter(stage=Stage.CODE, outcome=Step.Outcome.DONE).order_by("-id").first()
    return str(coded.product.get("summary", "")) if coded else ""


def _taken(context: Context, directory: Path, *, base_tree: str, leave_out: tuple[str, ...]) -> str:
    try:
        return repository.snapshot(
            sandbox=context.sandbox, vault=context.vault, directory=directory, base_tree=base_tree,
            leave_out=leave_out, cancelled=context.lost,
        )  # fmt: skip
    except ContentRefused as fault:  # the next attempt starts without what this one left, and must be told
        fault.facts["note"] = "Nothing of this attempt was kept: the files are what they were before it."
        raise
