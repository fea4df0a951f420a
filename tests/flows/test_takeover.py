"""A person takes over the berth of an operation, works there by hand, and hands it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from events.journal import replay
from operations import faults, snapshots, takeover
from operations.coding import engine
from operations.models import Evidence, Operation, Stage
from operations.submit import answer, approve, cancel, retry
from resources.sandboxes import selection
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, make
from tests.flows.test_fences import DONE, in_thread, running, sleepy, up_to, wait_for


def tree_of(operation: Operation) -> Path:
    """Where the files of its berth lie."""
    operation.refresh_from_db()
    assert operation.agent is not None
    sandbox = selection.adopt(operation.agent.sandbox)  # type: ignore[arg-type] # it runs
    return Path(sandbox.reference()["profile"]["workspace"]) / "tree"


def taken(inline: Inline, operation: Operation) -> Operation:
    takeover.take_over(by=inline.user, operation_id=operation.pk)
    return Operation.objects.get(pk=operation.pk)


def test_what_a_person_changed_by_hand_is_tested_judged_and_delivered(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.submit(inline.project(remote))
    up_to(inline, operation, "validate")
    operation = taken(inline, operation)
    inline.wake(operation)
    assert inline.finish(operation).status == "waiting", "nothing runs in a berth that a person has"
    (waits,) = snapshots.blocked_by(operation)
    assert (waits["kind"], waits["by"], waits["berth"]) == ("taken_over", "ada", "free")
    assert snapshots.attention(operation)["kind"] == "input_required"
    calc = tree_of(operation) / "calc.py"
    calc.write_text(calc.read_text() + "\n# by hand\n")
    takeover.hand_back(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert stages(operation) == [*[("init", "waiting"), ("init", "done")], *DONE[:4], *DONE[2:]]
    assert operation.result is not None
    assert "by hand" in remote.git("show", f"{operation.result['branch']}:calc.py")
    tested = Evidence.objects.filter(operation=operation, kind=Evidence.Kind.TESTS).values_list("tree", flat=True)
    assert len(set(tested)) == 2, "what was seen on the tree of before proves nothing of the new one"
    assert operation.result["tree"] == list(tested)[-1]
    assert "by hand (ada)" in operation.engine_label
    kinds = [event.kind for event in replay(operation.topic, after=0)]
    assert kinds.index("operation.taken_over") < kinds.index("operation.handed_back")
    assert left_held() == []


def test_a_stage_that_runs_leaves_the_berth_and_the_row_says_when_it_has(inline: Inline) -> None:
    flag = inline.roots / "hold"
    operation = inline.submit(inline.project(make(inline.roots / "r.git", sleepy(flag))))
    up_to(inline, operation, "test")
    flag.touch()
    turn = Operation.objects.get(pk=operation.pk).turn
    runner = in_thread(lambda: engine.run_stage(operation.pk, turn=turn, worker="worker:a"))
    wait_for(lambda: running(operation, "test"))
    operation = taken(inline, operation)
    assert snapshots.blocked_by(operation)[0]["berth"] == "being_left"
    runner.join(20)
    operation.refresh_from_db()
    assert snapshots.blocked_by(operation)[0]["berth"] == "free"
    assert [event.kind for event in replay(operation.topic, after=0)][-1] == "operation.berth_left"
    flag.unlink()
    takeover.hand_back(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert stages(operation).count(("code", "done")) == 2, "it looked at what was handed back"
    assert stages(operation).count(("test", "done")) == 1, "and went on with the stage in which it was taken over"
    assert operation.engine_label.endswith("no AI was used"), "nobody changed a thing by hand"


@pytest.mark.parametrize("stage", ["analyze", "plan"])
def test_before_there_is_code_the_berth_is_promised_and_what_is_changed_by_hand_is_kept(
    inline: Inline, stage: str
) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = inline.submit(inline.project(remote))
    up_to(inline, operation, stage)
    assert (taken(inline, operation).status, takeover.promised(taken(inline, operation))) == ("running", "ada")
    inline.wake(operation)
    operation = inline.finish(operation)
    assert (operation.status, operation.stage, operation.take_over_by) == ("waiting", "code", "")
    (waits,) = snapshots.blocked_by(operation)
    assert (waits["kind"], waits["by"], waits["berth"]) == ("taken_over", "ada", "free")
    calc = tree_of(operation) / "calc.py"
    add, sub = calc.read_text().split("def sub")
    calc.write_text(f"{add}def sub{sub.replace('+', '-')}\n# by hand\n")
    takeover.hand_back(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert operation.result is not None
    assert "by hand" in remote.git("show", f"{operation.result['branch']}:calc.py")
    assert "by hand (ada)" in operation.engine_label
    assert stages(operation).count(("plan", "done")) == 1
    assert left_held() == []


def test_a_promised_berth_that_is_given_up_or_handed_back_unchanged_is_the_engine_s_again(inline: Inline) -> None:
    given_up = inline.submit()
    up_to(inline, given_up, "plan")
    taken(inline, given_up)
    takeover.hand_back(by=inline.user, operation_id=given_up.pk)
    inline.wake(given_up)
    assert inline.finish(given_up).status == "succeeded"
    assert ("code", "waiting") not in stages(given_up)
    unchanged = inline.submit()
    up_to(inline, unchanged, "plan")
    taken(inline, unchanged)
    inline.wake(unchanged)
    assert inline.finish(unchanged).status == "waiting"
    takeover.hand_back(by=inline.user, operation_id=unchanged.pk)
    unchanged = inline.finish(unchanged)
    assert unchanged.status == "succeeded", unchanged.error
    assert "by hand" not in unchanged.engine_label
    kinds = [event.kind for event in replay(given_up.topic, after=0)]
    assert kinds.index("operation.take_over_promised") < kinds.index("operation.take_over_withdrawn")


def test_a_promised_berth_is_handed_over_after_the_plan_was_approved_and_to_nobody_else(
    inline: Inline, django_user_model: Any
) -> None:
    operation = inline.submit(approval="plan")
    up_to(inline, operation, "plan")
    taken(inline, operation)
    admin = django_user_model.objects.create(username="root", is_staff=True, is_superuser=True)
    with pytest.raises(faults.NotPossibleNow, match="promised to ada"):
        takeover.take_over(by=admin, operation_id=operation.pk)
    inline.wake(operation)
    operation = inline.finish(operation)
    assert snapshots.attention(operation)["kind"] == "approval_required"
    approve(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert snapshots.waits_for(operation) == "taken_over"
    cancel(by=inline.user, operation_id=operation.pk)
    inline.run()
    assert left_held() == []


def test_a_promise_ends_with_the_operation(inline: Inline) -> None:
    operation = inline.submit()
    up_to(inline, operation, "plan")
    taken(inline, operation)
    cancel(by=inline.user, operation_id=operation.pk)
    inline.run()
    retry(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error


def test_only_who_may_steer_takes_over_and_an_answer_hands_nothing_back(inline: Inline, django_user_model: Any) -> None:
    operation = inline.submit()
    with pytest.raises(faults.NotPossibleNow):
        takeover.take_over(by=inline.user, operation_id=operation.pk)  # it has no berth yet
    up_to(inline, operation, "code")
    with pytest.raises(faults.OperationNotFound):
        takeover.take_over(by=django_user_model.objects.create(username="eve"), operation_id=operation.pk)
    with pytest.raises(faults.NotPossibleNow):
        takeover.hand_back(by=inline.user, operation_id=operation.pk)
    taken(inline, operation)
    assert taken(inline, operation).turn == taken(inline, operation).turn, "taking over twice changes nothing"
    admin = django_user_model.objects.create(username="root", is_staff=True, is_superuser=True)
    with pytest.raises(faults.NotPossibleNow, match="ada has taken it over"):
        takeover.take_over(by=admin, operation_id=operation.pk)
    with pytest.raises(faults.NotPossibleNow):
        answer(by=inline.user, operation_id=operation.pk, text="yes")
    cancel(by=inline.user, operation_id=operation.pk)
    inline.run()
    assert left_held() == []


def test_over_http_it_is_taken_and_handed_back(inline: Inline) -> None:
    operation = inline.submit()
    up_to(inline, operation, "code")
    client = APIClient()
    client.force_authenticate(inline.user)
    path = f"/api/v1/operations/{operation.pk}"
    taken_over = client.post(f"{path}/take-over/")
    assert taken_over.status_code == 200
    assert taken_over.json()["blocked_by"][0]["kind"] == "taken_over"
    handed_back = client.post(f"{path}/hand-back/")
    assert handed_back.status_code == 202
    again = client.post(f"{path}/hand-back/")
    assert (again.status_code, again.json()["code"]) == (409, "operation.not_possible")
    assert Operation.objects.get(pk=operation.pk).stage == Stage.CODE
