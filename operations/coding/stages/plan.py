"""PLAN: which engine, and what it means to do. Nothing is changed yet."""

from __future__ import annotations

from dataclasses import asdict

from operations.coding import repository
from operations.coding.context import Context, Done, Outcome
from operations.coding.tasks_for_engines import bench_in, engine_for, task_for
from operations.models import Rework, Stage


def plan(context: Context) -> Outcome:
    """Pick the engine and let it plan on a fresh checkout of the base."""
    rework = context.rework
    if rework is not None and rework.cause == Rework.Cause.CONFLICT:
        return Done({"summary": "Put the change on the base branch as it is now.", "steps": [], "usage": {}})
    engine = engine_for(context)
    context.say(f"engine {engine.kind.value}: {engine.label()}")
    directory = context.workspace / "tree"
    repository.checkout(
        sandbox=context.sandbox, vault=context.vault, tree=context.tree(Stage.ANALYZE),
        directory=directory, cancelled=context.lost,
    )  # fmt: skip
    planned = engine.plan(task_for(context), bench_in(context, directory))
    context.say(planned.summary)
    for step in planned.steps:
        context.say(f"- {step.title}")
    for criterion in planned.criteria:
        context.say(f"it is met when: {criterion}")
    return Done(
        {**asdict(planned), "usage": engine.usage()},
        fields={"engine_kind": engine.kind.value, "engine_label": engine.label()[:120]},
    )
