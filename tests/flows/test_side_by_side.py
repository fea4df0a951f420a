"""Independent steps of a plan in the nine stages: one berth, one tree, one bill."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agents.gateway.models import Account, ModelCall
from events.journal import replay
from operations import budgets, plans, submit
from operations.models import Operation, Step
from resources.transcripts import directory_of
from tests.fakes.llm_server import Behaviour, LlmServer, Once, Say
from tests.flows.inline import Inline, left_held
from tests.flows.repositories import PROJECT
from tests.flows.test_llm import APPROVED, MEND, REQUIREMENT, server
from tests.flows.test_templates_keep_their_word import finished, worn

__all__ = ["server"]

ONE, TWO, REST = (
    "Carry out step 1 of the plan", "Carry out step 2 of the plan", "Of the plan, carry out these steps now"
)  # fmt: skip
STEPS = [{"title": "Mend sub()", "files": ["calc.py"]}, {"title": "Tell of it", "files": ["NEWS.txt"]}]
PLAN = Say(calls=(("SubmitPlan", {"summary": "Mend and tell.", "steps": STEPS}),))
WRITE = Say(calls=(("EditFiles", {"edits": [{"path": "NEWS.txt", "search": "", "replace": "sub() subtracts.\n"}]}),))
LOOK = Say(calls=(("RunCommand", {"argv": ["ls"]}),))
DONE = Say(calls=(("Done", {"summary": "It is done."}),))


def play(server: LlmServer, *, one: tuple[Behaviour, ...], two: tuple[Behaviour, ...], **more: Any) -> None:
    server.script.extend([PLAN, APPROVED])
    server.parts = {ONE: deque(one), TWO: deque(two), REST: deque(more.get("rest", ()))}


def overlapping(server: LlmServer) -> None:
    """Each step's first answer comes when the other has asked, too."""
    play(server, one=(Once(MEND, TWO), LOOK, DONE), two=(Once(WRITE, ONE), LOOK, DONE))


def test_two_steps_overlap_in_one_berth_and_leave_the_tree_of_one_after_the_other(
    inline: Inline, server: LlmServer, data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlapping(server)
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "test")
    (workspace,) = (data_directory / "workspaces").glob("*")
    transcript = "".join(path.read_text() for path in sorted(directory_of(workspace).iterdir()))
    assert all(f"[code, step {number}] $ ls" in transcript for number in (1, 2))
    assert [path.name for path in workspace.glob("tree*")] == ["tree"]
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert not server.script
    assert not any(server.parts.values())

    server.parts = {}
    server.script.extend([PLAN, MEND, WRITE, DONE, APPROVED])
    in_order = finished(
        inline, worn(data_directory, "  engine: {limits: {side_by_side: 1}}\n"), requirements=REQUIREMENT
    )
    assert in_order.result["tree"] == operation.result["tree"]

    coded = operation.steps.get(stage="code", outcome="done")
    assert coded.product["usage"]["calls"] == 6
    assert coded.product["summary"] == "Step 1: It is done.\nStep 2: It is done."
    for line in ("steps 1, 2: at one time", "[step 1] edited calc.py", "[step 2] edited NEWS.txt", "[step 2] $ ls"):
        assert line in coded.log.splitlines()
    told = [event.data["step"] for event in replay(operation.topic, after=0) if event.kind == "operation.plan_step"]
    assert told[:2] == [{"number": 1, "title": "Mend sub()", "state": "begun"},
                        {"number": 2, "title": "Tell of it", "state": "begun"}]  # fmt: skip
    assert sorted((step["number"], step["state"]) for step in told[2:]) == [(1, "done"), (2, "done")]
    assert left_held() == []


def test_what_a_lost_worker_had_paid_for_is_answered_again_step_by_step(inline: Inline, server: LlmServer) -> None:
    overlapping(server)
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "test")
    # As after kill -9 of CODE's worker: its step was never finished, and the turn is claimed anew.
    coded = Step.objects.get(stage="code")
    tree = coded.product["tree"]
    Step.objects.filter(pk=coded.pk).update(outcome="lost")
    Operation.objects.update(stage="code", turn=coded.turn, claim="", wake_up_at=timezone.now())
    inline.queued()
    inline.wake(operation)

    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert operation.result["tree"] == tree
    assert len(server.requests) == 8 == ModelCall.objects.count()
    assert sorted(ModelCall.objects.values_list("replays", flat=True)) == [0, 0, 1, 1, 1, 1, 1, 1]
    assert sum(ModelCall.objects.values_list("cost_nanos", flat=True)) == Account.objects.get(scope="day").spent_nanos


def test_a_budget_that_ends_in_the_middle_waits_and_pays_nothing_twice(
    inline: Inline, server: LlmServer, settings: Any
) -> None:
    settings.BUDGET = {"run.calls": 4}  # the plan, and three of the six answers
    overlapping(server)
    operation = inline.finish(inline.submit(requirements=REQUIREMENT))
    assert (operation.status, operation.stage) == ("waiting", "code")
    assert (len(server.requests), ModelCall.objects.count()) == (4, 4)
    assert Account.objects.get(scope="run").calls == 4

    budgets.raise_run(by=inline.user, operation_id=operation.pk, usd=None, calls=20, now=timezone.now())
    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert (len(server.requests), ModelCall.objects.count()) == (8, 8)
    assert Account.objects.get(scope="run").calls == 8
    assert not any(server.parts.values())


def test_a_cancellation_stops_both_steps_and_leaves_nothing(inline: Inline, server: LlmServer) -> None:
    operation = inline.submit(requirements=REQUIREMENT)

    class Cancelling(deque[Behaviour]):
        """Cancels as soon as the step asks."""

        def popleft(self) -> Behaviour:
            try:
                submit.cancel(by=inline.user, operation_id=operation.pk)
            finally:
                connection.close()  # of the server's thread
            return super().popleft()

    play(server, one=(), two=(Once(WRITE, ONE), LOOK, DONE))
    server.parts[ONE] = Cancelling([Once(MEND, TWO), LOOK, DONE])
    operation = inline.finish(operation)
    assert operation.status == "cancelled"
    assert left_held() == []
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("step")]


def test_a_person_may_say_that_one_step_needs_the_other(inline: Inline, server: LlmServer) -> None:
    server.script.extend([PLAN, MEND, WRITE, DONE, APPROVED])
    operation = inline.finish(inline.submit(requirements=REQUIREMENT, approval="plan"))
    steps = (plans.EditedStep("Mend", ("calc.py",)), plans.EditedStep("Tell", ("NEWS.txt",), "", (1,)))
    plans.edit(by=inline.user, operation_id=operation.pk, summary=None, steps=steps)
    submit.approve(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert not server.holding(ONE)
    assert "(after 1)" in server.requests[1].body["messages"][1]["content"]


def test_a_template_with_setup_hooks_goes_in_order(inline: Inline, server: LlmServer, data_directory: Path) -> None:
    server.script.extend([PLAN, MEND, WRITE, DONE, APPROVED])
    operation = finished(
        inline, worn(data_directory, "  hooks: {setup: [['true']]}\n"), PROJECT, requirements=REQUIREMENT
    )
    assert operation.status == "succeeded", operation.error
    assert not server.holding(ONE)
