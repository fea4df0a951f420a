"""The patch engine: the requirement carries the change itself, as a unified diff or as search/replace
blocks.
"""

from __future__ import annotations

from typing import Any

from agents.engines import diffs, edits, hunks
from agents.engines.faults import AlreadyApplied, AttemptsExhausted
from agents.engines.protocol import EditRefused, Edits, EngineKind, Plan, PlanStep, Review, Task, Workbench

LABEL = "Deterministic change — no AI was used"


class PatchEngine:
    """Applies what the requirement carries, exactly or not at all. Has one attempt: it would do the same
    again.
    """

    kind = EngineKind.PATCH

    def label(self) -> str:
        return LABEL

    def usage(self) -> dict[str, int]:
        """No model is called."""
        return {}

    def plan(self, task: Task, bench: Workbench) -> Plan:
        """The files and hunks; computed once without writing, so that a conflict shows before CODE."""
        change = _read(task)
        changes, applied = computed(change, bench)
        if not differing(changes, bench):
            raise AlreadyApplied("The repository is already in the state that this patch would make.")
        steps = [patch_step(patch, done=patch.path in applied) for patch in change.patches]
        steps += [PlanStep(f"Replace one block in {edit.path}", (edit.path,)) for edit in change.blocks]
        count = len({path for step in steps for path in step.files})
        return Plan(f"Apply the given change to {count} file{'s' if count != 1 else ''}.", tuple(steps))

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits:
        """Write the change. A run repeated after a crash finds it applied, file by file, and finishes it."""
        if task.attempt > 1 and task.feedback:
            raise AttemptsExhausted(f"The given change was applied as it is, and sent back: {task.feedback[-1].code}.")
        changes, applied = computed(_read(task), bench)
        written = edits.write(changes, bench)
        for path in written:
            bench.say(f"patched {path}")
        changed = tuple(sorted({*written, *applied}))
        return Edits(changed, f"Applied the given change to {', '.join(changed)}.")

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        return Review(approved=True)


def computed(change: diffs.Change, bench: Workbench) -> tuple[dict[str, bytes | None], tuple[str, ...]]:
    """The files' new contents after all diffs and blocks, and the paths found applied. Writes nothing."""
    after = hunks.compute(change.patches, bench)
    changes, applied = dict(after.changes), list(after.applied)
    for number, block in enumerate(change.blocks, start=1):
        data = changes[block.path] if block.path in changes else edits.current(bench, block.path)
        if edits.stands_replaced(block, data):
            bench.say(f"block {number} of {block.path} is applied already")
            applied.append(block.path)
        else:
            changes = edits.compute([block], bench, on=changes)
    return changes, tuple(dict.fromkeys(applied))


def differing(changes: edits.Changes, bench: Workbench) -> tuple[str, ...]:
    """The paths whose computed content is not what is there now."""
    return tuple(sorted(path for path, content in changes.items() if edits.current(bench, path) != content))


def _read(task: Task) -> diffs.Change:
    change = diffs.parse(task.requirements)
    if not change:
        raise EditRefused(
            "The requirement carries no unified diff and no search/replace block.",
            remedy="Put a unified diff into the requirement, or choose another engine.",
        )
    return change


def patch_step(patch: diffs.FilePatch, *, done: bool) -> PlanStep:
    """One file's patch in words."""
    verb = {
        diffs.Operation.CREATE: f"Create {patch.path}",
        diffs.Operation.DELETE: f"Delete {patch.path}",
        diffs.Operation.RENAME: f"Rename {patch.source} to {patch.path}",
        diffs.Operation.MODIFY: f"Change {patch.path}",
    }[patch.operation]
    places = [f"hunk {hunk.number} at line {hunk.start}: {_counted(hunk)}" for hunk in patch.hunks]
    detail = "; ".join((["applied already"] if done else []) + places)
    files = (patch.path,) if patch.path == patch.source else (patch.path, patch.source)
    return PlanStep(verb, files, detail)


def _counted(hunk: diffs.Hunk) -> str:
    added, removed = (sum(sign == wanted for sign, _ in hunk.lines) for wanted in "+-")
    return f"+{added} −{removed}"
