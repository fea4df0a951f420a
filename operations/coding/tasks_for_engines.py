"""What an engine is told: the task, built from what earlier stages made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from django.conf import settings

from agents.engines import registry
from agents.engines.protocol import CodeMap, Engine, Feedback, Plan, PlanStep, Task, TestCounts
from agents.models import Fact
from agents.providers import ModelChain, read_chain
from operations.coding.bench import BerthBench
from operations.coding.context import Context
from operations.models import Stage


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
        chain=_chain,
        asked=lambda words: context.seen(Fact.Kind.LAST_MODEL_CALL, words),
        failing_before=list(context.product(Stage.ANALYZE)["baseline"]["failing"]),
        options={
            "seconds": settings.REPAIR_S,
            "candidates": settings.REPAIR_CANDIDATES,
            **context.spec["engine"]["options"],
        },
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
        feedback=tuple(Feedback(fault["code"], _as_text(fault)) for fault in sent_back),
        metadata=context.operation.metadata,
    )


def plan_of(context: Context) -> Plan:
    """The plan that PLAN made, as a person may have seen it."""
    product = context.product(Stage.PLAN)
    steps = tuple(PlanStep(step["title"], tuple(step["files"]), step["detail"]) for step in product["steps"])
    return Plan(product["summary"], steps)


def bench_in(context: Context, directory: Path) -> BerthBench:
    """The workbench on one checkout."""
    return BerthBench(
        sandbox=context.sandbox, directory=directory, say=context.say, cancelled=context.lost,
        observed=lambda words: context.seen(Fact.Kind.LAST_TOOL_RESULT, words),
    )  # fmt: skip


def _chain() -> ModelChain | None:
    chain = read_chain(settings.MODEL_ENVIRONMENT)
    return replace(chain, timeout_s=settings.MODEL_TIMEOUT_S) if chain else None


def _with_answers(context: Context) -> str:
    operation = context.operation
    return "\n\n".join([operation.requirements, *(f"Answer: {answer}" for answer in operation.answers)])


def _as_text(fault: dict[str, object]) -> str:
    facts = fault.get("facts")
    told = {key: value for key, value in facts.items() if key != "tree"} if isinstance(facts, dict) else {}
    listed = "\n".join(f"{key}: {value}" for key, value in told.items())
    return f"{fault['detail']}\n{listed}".strip()
