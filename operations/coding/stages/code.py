"""CODE: the engine edits a checkout; what it left there becomes a tree in the vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.engines.protocol import EngineKind, Task
from events.faults import Fault
from operations import takeover
from operations.coding import changes, checkouts, repository, syntax, vault
from operations.coding.context import Context, Done, Level, Outcome
from operations.coding.git_faults import ContentRefused
from operations.coding.tasks_for_engines import engine_for, plan_of, task_for, within_limits
from operations.models import Stage

DIFF_KEPT = 400_000  # characters of the diff that the step row keeps, for people; the vault has all of it

# Engines whose next attempt is about what the last one left; the others start from the base again.
GO_ON_FROM_LAST = frozenset({EngineKind.LLM, EngineKind.REPLAY})


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

    After a person worked in the berth, what lies there is the attempt.
    """
    operation = context.operation
    if (back := takeover.handed_back(operation)) and (done := _by_hand(context, by=back["by"], stage=back["stage"])):
        return done
    engine, task = engine_for(context), task_for(context)
    base_tree = context.tree(Stage.ANALYZE)
    start = _last_tree(context, task) if engine.kind in GO_ON_FROM_LAST else None
    directory = context.workspace / "tree"
    context.say(f"attempt {task.attempt} with {engine.label()}")
    beside = checkouts.make(context, tree=start or base_tree, directory=directory)
    edits = within_limits(context, directory, lambda bench: engine.code(task, plan_of(context), bench))
    context.check()
    tree = _taken(context, directory, base_tree=base_tree, leave_out=beside)
    if tree == base_tree:
        raise NoChanges("after this attempt the code is what it was before", tree=base_tree)
    return _kept(
        context, directory, tree=tree, base_tree=base_tree,
        product={"summary": edits.summary, "attempt": task.attempt, "usage": engine.usage()},
        # After the call it names the models that really answered.
        label=engine.label(),
    )  # fmt: skip


def _by_hand(context: Context, *, by: str, stage: str) -> Done | None:
    """What a person left in the berth, as this attempt; None where it is the base, and the engine's turn.

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
    if tree == base_tree:
        context.say(f"{by} handed the berth back without a change to the base")
        return None
    context.say(f"{by} handed the berth back with changes by hand")
    return _kept(
        context, directory, tree=tree, base_tree=base_tree,
        product={"summary": f"Changed by hand by {by}.", "attempt": before.get("attempt", 0), "usage": {}},
        label=f"{context.operation.engine_label[:80]} + by hand ({by[:30]})",
    )  # fmt: skip


def _kept(context: Context, directory: Path, *, tree: str, base_tree: str, product: dict[str, Any], label: str) -> Done:
    """The tree in the vault, if all of it can be parsed, with its difference to the base. Raises DoesNotCompile."""
    operation = context.operation
    vault.preserve(vault=context.vault, name=tree, operation_id=operation.pk, label=f"turn-{operation.turn}")
    diff = changes.diff(vault=context.vault, base_tree=base_tree, tree=tree)
    if broken := syntax.broken_by(context, diff, base_tree=base_tree, directory=directory):
        context.say(broken, level=Level.WARNING)
        raise DoesNotCompile(broken, tree=tree)
    context.say(f"{diff.files} files, +{diff.insertions} -{diff.deletions}")
    counts = {"files": diff.files, "insertions": diff.insertions, "deletions": diff.deletions}
    made = {"tree": tree, "diffstat": counts, "diff": diff.shortened(DIFF_KEPT).as_dict(), **product}
    return Done(made, fields={"engine_label": label[:120]})


def _last_tree(context: Context, task: Task) -> str | None:
    """What the last attempt left, be it sent back by CODE itself; None where the vault of this host lacks it."""
    if task.attempt == 1:
        return None
    facts = context.sent_back()[-1].get("facts") or {}
    tree = str(facts.get("tree") or context.product(Stage.CODE).get("tree") or "")
    return tree if tree and vault.has(context.vault, tree) else None


def _taken(context: Context, directory: Path, *, base_tree: str, leave_out: tuple[str, ...]) -> str:
    try:
        return repository.snapshot(
            sandbox=context.sandbox, vault=context.vault, directory=directory, base_tree=base_tree,
            leave_out=leave_out, cancelled=context.lost,
        )  # fmt: skip
    except ContentRefused as fault:  # the next attempt starts without what this one left, and must be told
        fault.facts["note"] = "Nothing of this attempt was kept: the files are what they were before it."
        raise
