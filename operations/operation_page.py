"""An operation as its console page shows it: stages, attempts, plan, evidence, what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents import size_choice
from agents.gateway import spend
from agents.gateway.limits import State
from agents.gateway.money import usd
from agents.gateway.spend import Spend
from events import journal
from events.plain_text import plain, span, tail
from events.recorded import Recorded
from operations import budgets, diff_lines, foresight, permission, snapshots, step_logs, takeover
from operations.coding import decisions, pull_requests, rounds
from operations.coding.recovery import Action
from operations.models import Evidence, Operation, Stage, Step
from operations.step_logs import FINISHED_SHOWN, SHOWN
from resources.reasons import in_words

EVENTS = 60


@dataclass(frozen=True, slots=True)
class StageMark:
    """One of the nine stages in the timeline. ``state`` is an outcome, ``next`` or ``ahead``."""

    name: str
    label: str
    state: str
    attempts: int
    duration: str
    note: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One step with its fault and the end of its log."""

    step: Step
    duration: str
    outcome: str
    then: str
    fault: str
    remedy: str
    log: step_logs.ShownLog


@dataclass(frozen=True, slots=True)
class Proof:
    """One row of evidence; ``current`` when it is about the tree that the result has, or no tree is decided yet."""

    row: Evidence
    title: str
    words: str
    output: str
    current: bool


@dataclass(frozen=True, slots=True)
class Account:
    """What one account has spent and may, in words."""

    name: str
    spent: str
    held: str
    limit: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the planner said it would do."""

    summary: str
    steps: tuple[dict[str, str], ...]
    edited_by: str


@dataclass(frozen=True, slots=True)
class OperationPage:
    """All that the page shows of one operation."""

    title: str
    requirement: str
    size: str
    pull_request_link: str
    stages: tuple[StageMark, ...]
    attempts: tuple[Attempt, ...]
    plan: Plan | None
    proofs: tuple[Proof, ...]
    attention: dict[str, Any]
    error: dict[str, str] | None
    waits: tuple[str, ...]
    position: int | None
    duration: str
    percent: int
    diff: diff_lines.DiffView | None
    events: tuple[Recorded, ...]
    cursor: int
    can: dict[str, bool]
    impact: dict[str, str]
    stages_to_retry: tuple[Stage, ...]
    spend: Spend
    accounts: tuple[Account, ...]


def of(operation: Operation, *, now: datetime) -> OperationPage:
    """Read the page. The cursor is that of the journal before the rest was read, so that no event is missed."""
    cursor = journal.head(operation.topic)
    operation.refresh_from_db(fields=["status", "stage", "turn", "attention", "error", "result", "completed_at"])
    steps = list(operation.steps.all())
    attention = snapshots.attention(operation)
    ended, can = operation.completed_at or now, possible(operation)
    return OperationPage(
        title=plain(operation.title),
        requirement=plain(operation.requirements[:SHOWN]),
        size=size_choice.in_words(operation.size),
        pull_request_link=_pull_request_link(operation),
        stages=timeline(operation, steps, now=now),
        attempts=tuple(_attempt(step, now=now) for step in steps),
        plan=_plan(steps),
        proofs=tuple(_proof(row, operation) for row in operation.evidence.all()),
        attention={**attention, "reason": plain(attention["reason"])},
        error={key: plain(str(value)) for key, value in operation.error.items()} if operation.error else None,
        waits=tuple(plain(in_words(reason)) for reason in snapshots.blocked_by(operation)),
        position=snapshots.queue_position(operation),
        duration=span(ended - operation.created_at),
        percent=round(operation.progress * 100),
        diff=_diff(operation),
        events=tuple(journal.replay(operation.topic, after=max(0, cursor - EVENTS))[::-1]),
        cursor=cursor,
        can=can,
        impact=impact(operation, can),
        stages_to_retry=_reached(operation),
        spend=spend.of_run(operation.pk),
        accounts=tuple(_account(state) for state in budgets.accounts(operation, now=now) if _of_interest(state)),
    )


def possible(operation: Operation) -> dict[str, bool]:
    """Which verbs make sense now. The doors decide again when one is asked for."""
    waits_for = snapshots.waits_for(operation) if operation.status == Operation.Status.WAITING else "nothing"
    asked = permission.is_asked(operation)
    return {
        "cancel": operation.status in Operation.ACTIVE,
        "retry": operation.status in {Operation.Status.FAILED, Operation.Status.CANCELLED},
        "approve": waits_for == "approval_required",
        "answer": waits_for == "input_required",
        "answer_budget": waits_for == "budget",
        "take_over": takeover.possible(operation),
        "hand_back": waits_for == takeover.TAKEN_OVER,
        "give_up_berth": bool(takeover.promised(operation)),
        "raise_budget": operation.status in Operation.ACTIVE,
        "decide": rounds.is_asked(operation),
        **decisions.possible(operation),
        "edit_plan": waits_for == "approval_required" and operation.stage == Stage.CODE and not asked,
        "refuse": waits_for == "approval_required" and asked,
    }


def impact(operation: Operation, can: Mapping[str, bool]) -> dict[str, str]:
    """What each verb that makes sense now would do, in a sentence: read before the button is pressed."""
    foreseen = {"cancel": foresight.cancel, "retry": foresight.retry, "approve": foresight.approve}
    said = {verb: f"It {tell(operation)}" for verb, tell in foreseen.items() if can[verb]}
    return {**said, **foresight.ALWAYS}


def _reached(operation: Operation) -> tuple[Stage, ...]:
    """Where a retry may begin, the stage that it came to first."""
    reached = Stage(operation.resume_at or operation.stage)
    return tuple(reversed([stage for stage in Stage if stage.position <= reached.position]))


_PAYERS = {
    "run": "this operation", "agent": "its agent", "user": "whoever asked, this month",
    "project": "the project, this month", "day": "everybody, today",
}  # fmt: skip


def _of_interest(state: State) -> bool:
    return bool(state.calls or state.spent_nanos or state.limit.nanos is not None)


def _account(state: State) -> Account:
    limit = state.limit.nanos
    return Account(
        name=_PAYERS.get(state.place.scope, state.place.scope),
        spent=f"${usd(state.spent_nanos):,.2f}", held=f"${usd(state.held_nanos):,.2f}" if state.held_nanos else "",
        limit="no limit" if limit is None else f"${usd(limit):,.2f}",
    )  # fmt: skip


def timeline(operation: Operation, steps: Sequence[Step], *, now: datetime) -> tuple[StageMark, ...]:
    """The nine stages in order, each by its last attempt."""
    return tuple(_mark(stage, operation, [step for step in steps if step.stage == stage], now=now) for stage in Stage)


def _mark(stage: Stage, operation: Operation, steps: list[Step], *, now: datetime) -> StageMark:
    here = operation.stage == stage and operation.status in Operation.ACTIVE
    last = steps[-1] if steps else None
    state = str(last.outcome) if last else ("next" if here else "ahead")
    if here and last and last.outcome != Step.Outcome.RUNNING:
        state = "waiting" if operation.status == Operation.Status.WAITING else "next"
    lasted = [(step.finished_at or now) - step.started_at for step in steps]
    if lasted and state == Step.Outcome.WAITING:
        lasted[-1] = now - steps[-1].started_at  # the attempt is over, the waiting is not
    note = ""
    if last and last.fault and state == Step.Outcome.FAULT:
        note = ": ".join(filter(None, [str(last.fault.get("code", "")), next_in_words(last.action)]))
    return StageMark(
        name=stage.value,
        label=stage.label,
        state=state,
        # A stage that only waited was entered, but not tried.
        attempts=sum(step.outcome != Step.Outcome.WAITING for step in steps),
        duration=span(sum(lasted[1:], lasted[0])) if lasted else "",
        note=plain(note),
    )


_NEXT: Mapping[str, str] = {
    Action.RETRY: "tried again", Action.REWORK: "coded again", Action.RECREATE_ENVIRONMENT: "on in a new berth",
    Action.FRESH_CLONE: "on from a fresh clone", Action.WAIT_FOR_BUDGET: "waits for money",
    Action.WAIT_FOR_PROVIDER: "waits for the provider", Action.ASK: "asks you",
    Action.ASK_PERMISSION: "asks for permission", Action.ESCALATE: "over to you",
}  # fmt: skip


def next_in_words(action: str) -> str:
    """What was done about a fault; empty where nothing was decided."""
    return _NEXT.get(action, "")


def _attempt(step: Step, *, now: datetime) -> Attempt:
    fault = step.fault or {}
    open_now = step.outcome in {Step.Outcome.RUNNING, Step.Outcome.FAULT}
    log = step_logs.shown(step, limit=SHOWN if open_now else FINISHED_SHOWN)
    return Attempt(
        step=step,
        duration=span((step.finished_at or now) - step.started_at),
        outcome="waited" if step.outcome == Step.Outcome.WAITING else str(step.outcome),
        then=next_in_words(step.action),
        fault=plain(": ".join(filter(None, [str(fault.get("code", "")), str(fault.get("detail", ""))]))),
        remedy=plain(str(fault.get("remedy", ""))),
        log=log,
    )


def _plan(steps: Sequence[Step]) -> Plan | None:
    done = [step for step in steps if step.stage == Stage.PLAN and step.outcome == Step.Outcome.DONE]
    if not done:
        return None
    product = done[-1].product
    lines = [
        {
            "title": plain(str(line.get("title", ""))),
            "detail": plain(str(line.get("detail", ""))),
            "files": plain(", ".join(map(str, line.get("files") or []))),
            "after": plain(", ".join(map(str, line.get("after") or []))),
        }
        for line in product.get("steps") or []
        if isinstance(line, dict)
    ]
    return Plan(plain(str(product.get("summary", ""))), tuple(lines), plain(str(product.get("edited_by", ""))))


def _proof(row: Evidence, operation: Operation) -> Proof:
    counts = {name: row.counts.get(name, 0) for name in ("passed", "failed", "errors", "skipped")}
    words = ", ".join(f"{number} {name}" for name, number in counts.items() if number or name in {"passed", "failed"})
    tree = (operation.result or {}).get("tree")
    return Proof(
        row=row,
        title=plain(row.name).capitalize() if row.name else row.get_kind_display(),
        words=words if row.counts else plain(str(row.detail.get("text", ""))),
        output=plain(tail(str(row.detail.get("output", "")), limit=SHOWN)[0]),
        current=tree is None or row.tree == tree or row.kind == Evidence.Kind.BASELINE,
    )


def _diff(operation: Operation) -> diff_lines.DiffView | None:
    diff = pull_requests.diff_of(operation)
    return diff_lines.lines_of(diff.text, cut=diff.truncated) if diff.text else None


def _pull_request_link(operation: Operation) -> str:
    """Where its pull request is; empty for an address that a forge made up to be something else than a page."""
    url = str(((operation.result or {}).get("pull_request") or {}).get("url", ""))
    return url if url.startswith(("/admin/", "https://", "http://")) else ""
