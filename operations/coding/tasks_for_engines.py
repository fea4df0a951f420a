"""What an engine is told: the task, built from what earlier stages made."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from agents.engines import registry
from agents.engines.protocol import CodeMap, Engine, Feedback, Plan, PlanStep, Task, TestCounts
from agents.gateway import limits, ways
from agents.gateway.money import nanos
from agents.gateway.tokens import Run
from agents.models import Fact
from agents.providers import ModelChain
from events.faults import Fault
from operations.coding import hiring, kept_results, permissions
from operations.coding.bench import OUTPUT_BYTES, BerthBench
from operations.coding.context import Context
from operations.models import Stage, Step


def engine_for(context: Context) -> Engine:
    """The engine of this operation: the one that PLAN picked, else what the request or the template names."""
    operation = context.operation
    requested = operation.engine_kind or operation.engine
    if requested == "auto":
        requested = context.spec["engine"]["kind"]
    return registry.pick(
        requested,
        requirements=operation.requirements,
        metadata=operation.metadata,
        chain=cache(lambda: _chain(context)),  # asked twice, it would give out two tokens
        asked=lambda words: context.seen(Fact.Kind.LAST_MODEL_CALL, words),
        told=lambda number, title, state: _tell(context, number, title, state),
        outlines=lambda texts: kept_results.outlines(context, texts),
        failing_before=list(context.product(Stage.ANALYZE)["baseline"]["failing"]),
        options={
            "seconds": settings.REPAIR_S,
            "candidates": settings.REPAIR_CANDIDATES,
            **context.spec["engine"]["options"],
        },
        hire=lambda: _hired(context),
    )


def task_for(context: Context) -> Task:
    """The requirement with what is known about the code base and about earlier attempts."""
    analysis = context.product(Stage.ANALYZE)
    sent_back = context.sent_back()
    return Task(
        requirements=_with_answers(context),
        code_map=CodeMap(
            files=tuple((path, size) for path, size in analysis["files"]),
            languages=analysis["languages"],
            test_command=tuple(analysis["baseline"]["command"]),
            baseline=TestCounts(**analysis["baseline"]["counts"]),
            failing_before=tuple(analysis["baseline"]["failing"]),
        ),
        base_tree=analysis["tree"],
        attempt=1 + len(sent_back),
        feedback=tuple(_feedback(fault) for fault in sent_back),
        metadata=context.operation.metadata,
    )


def plan_of(context: Context) -> Plan:
    """The plan that PLAN made, as a person may have seen it."""
    product = context.product(Stage.PLAN)
    steps = tuple(
        PlanStep(step["title"], tuple(step["files"]), step["detail"], tuple(step.get("after", ())))
        for step in product["steps"]
    )
    return Plan(product["summary"], steps, tuple(product.get("criteria", ())))


def bench_in(context: Context, directory: Path, *, cancelled: Callable[[], bool] | None = None) -> BerthBench:
    """The workbench on one checkout, as far as the template lets the engine go there."""
    limits = context.spec["engine"].get("limits", {})
    return BerthBench(
        sandbox=context.equipped, directory=directory, say=context.say, cancelled=cancelled or context.lost,
        observed=lambda words: context.seen(Fact.Kind.LAST_TOOL_RESULT, words),
        permissions=permissions.read(context.spec), output_bytes=limits.get("output_bytes", OUTPUT_BYTES),
        errands=context.sandbox,
    )  # fmt: skip


class EngineTimeLimit(Fault):
    """The engine was at work for longer than the template lets it."""

    code = "engine.time_limit"
    remedy = (
        "Ask for less at a time, or give the template a larger engine.limits.timeout_s or budgets.wall_s; then retry."
    )


T = TypeVar("T")


def within_limits(context: Context, directory: Path, work: Callable[[BerthBench], T]) -> T:
    """Let the engine work on a checkout until its template's time is up: then it is stopped like a cancelled one."""
    timeout_s = context.spec["engine"].get("limits", {}).get("timeout_s")
    left_s = _time_left_s(context)
    if left_s <= 0:
        raise EngineTimeLimit(f"the {context.spec['budgets']['wall_s']} s that its template gives this work are over")
    ends_s = min(timeout_s or math.inf, left_s)
    until = time.monotonic() + ends_s

    def over() -> bool:
        return context.lost() or time.monotonic() > until

    try:
        return work(bench_in(context, directory, cancelled=over))
    except Fault as fault:
        if context.lost() or time.monotonic() <= until:
            raise
        raise EngineTimeLimit(f"the engine was ended after {ends_s:g} s, as its template says") from fault


def _time_left_s(context: Context) -> float:
    """What ``budgets.wall_s`` leaves after all that stages have worked since the operation was last asked for."""
    wall_s = context.spec.get("budgets", {}).get("wall_s")
    if not wall_s:
        return math.inf
    operation = context.operation
    steps = Step.objects.filter(operation_id=operation.pk, turn__gte=operation.counting_from).only(
        "started_at", "finished_at"
    )
    worked = sum((step.finished_at - step.started_at).total_seconds() for step in steps if step.finished_at)
    return float(wall_s - worked)


def _chain(context: Context) -> ModelChain | None:
    """The configured models through the gateway, with a token of this attempt."""
    now = timezone.now()
    _bound(context, now=now)
    chain = ways.chain_for(_run(context), now=now)
    if chain is None:
        return None
    bounds = context.spec["engine"].get("limits", {})
    # What a hook installs may be tied to the path of the one checkout: in a copy, commands would see the other's files.
    beside = 1 if context.spec["hooks"]["setup"] else bounds.get("side_by_side", 1)
    return replace(chain, iterations=bounds.get("steps") or chain.iterations, side_by_side=beside)


def _tell(context: Context, number: int, title: str, state: str) -> None:
    """What became of a step of the plan is an event of the operation."""
    words = context.secrets_seen.text(title)[:300]
    context.record("operation.plan_step", step={"number": number, "title": words, "state": state})


def _hired(context: Context) -> Engine:
    """The template's agent program, within the template's budgets."""
    _bound(context, now=timezone.now())
    return hiring.hire(context, run=_run(context))


def _run(context: Context) -> Run:
    operation = context.operation
    return Run(
        run_id=operation.pk, lineage=_lineage(context), agent_id=operation.agent_id, project_id=operation.project_id,
        user=operation.created_by,
    )  # fmt: skip


def _bound(context: Context, *, now: datetime) -> None:
    """The template's budgets become those of the run; 0 says nothing."""
    said = context.spec.get("budgets", {})
    cents, tokens, calls = (said.get(name) or None for name in ("cost_cents", "tokens", "model_calls"))
    within = limits.Limit(None if cents is None else nanos(cents / 100), tokens, calls)
    limits.bound_run(context.operation.pk, within, template=context.agent.template, now=now)


def _lineage(context: Context) -> str:
    """What attempts at the same work share: the stage since something was last finished, sent back, or asked anew.

    An answer that could not be read is no answer to keep: after one, everything is asked again.
    """
    operation = context.operation
    ended = Q(outcome=Step.Outcome.DONE) | Q(action="rework") | Q(fault__code="llm.malformed")
    turns = Step.objects.filter(ended, operation_id=operation.pk).exclude(stage=Stage.INIT)
    since = turns.aggregate(last=Max("turn"))["last"]
    return f"{operation.pk}:{operation.stage}:{max(operation.counting_from, -1 if since is None else since)}"


def _with_answers(context: Context) -> str:
    operation = context.operation
    return "\n\n".join([operation.requirements, *(f"Answer: {answer}" for answer in operation.answers)])


def _feedback(fault: dict[str, Any]) -> Feedback:
    facts = fault.get("facts") or {}
    return Feedback(fault["code"], _as_text(fault), trust=str(facts.get("trust", "")))


def _as_text(fault: dict[str, Any]) -> str:
    facts = fault.get("facts") or {}
    told = {key: value for key, value in facts.items() if key not in {"tree", "trust"}}
    listed = "\n".join(f"{key}: {value}" for key, value in told.items())
    return f"{fault['detail']}\n{listed}".strip()
