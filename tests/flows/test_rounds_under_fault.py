"""Rounds of rework under faults: killed stages, doubled deliveries, forced pushes, races, a forge that is away.

The oracle: one commit for each round, one branch, one pull request, and a ledger of what the provider saw.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from agents.gateway.models import ModelCall
from operations.coding import decisions, upstream, watching
from operations.coding.context import Done
from operations.coding.stages import STAGES
from operations.models import Delivery, Operation, PullRequest, Rework, Stage, Step
from operations.submit import retry
from tests.at_once import at_once
from tests.fakes.github_deliveries import about, deliver
from tests.fakes.github_server import Misfortune
from tests.flows.inline import Inline, left_held
from tests.flows.repositories import PROJECT, make
from tests.flows.test_exactly_once import context_of, up_to
from tests.flows.test_llm import APPROVED, DIAGNOSIS, DONE, MEND, PLAN, edit
from tests.flows.test_pull_requests_come_back import (
    COMMENTED,
    MENDED,
    ROUND,
    TOLD_AGAIN,
    Delivered,
    delivered,
    forge,
    server,
)

__all__ = ["delivered", "forge", "server"]

TOLD_OF_ALL = edit("    # the sum of both\n", "    # the sum of all\n")


def begun(delivered: Delivered, *, stage: str) -> Operation:
    """A check fails, and the round about it has come to this stage."""
    delivered.fails()
    delivered.model.script.extend(ROUND)
    PullRequest.objects.update(looked_at=None)
    deliver("check_run", about(delivered.forge.pulls[0]))
    delivered.inline.run(until=lambda: Operation.objects.get().stage == stage)
    return Operation.objects.get()


def assert_one_round(delivered: Delivered, operation: Operation, *, on: str) -> None:
    assert operation.status == "succeeded", operation.error
    assert delivered.remote.git("rev-parse", f"{delivered.head}^") == on
    assert delivered.remote.git("rev-parse", f"{delivered.head}^{{tree}}") == operation.result["tree"]
    assert delivered.head == operation.result["commit"] == delivered.row.head_commit
    assert sorted(delivered.remote.branches()) == ["main", delivered.row.head_branch]
    assert (len(delivered.forge.pulls), PullRequest.objects.count(), Rework.objects.count()) == (1, 1, 1)
    assert ModelCall.objects.count() == len(delivered.model.requests), "the ledger is what the provider saw"
    assert not delivered.model.script
    assert left_held() == []


@pytest.mark.parametrize("stage", [Stage.COMMIT, Stage.PR])
def test_a_stage_of_a_round_that_was_killed_at_its_very_end_is_repeated_without_a_trace(
    delivered: Delivered, stage: Stage
) -> None:
    first = delivered.head
    begun(delivered, stage=stage.value)
    operation = up_to(delivered.inline, delivered.operation, stage.value)  # the wake-up is lost with its worker
    for _killed in range(2):
        assert isinstance(STAGES[stage](context_of(operation)), Done)
    delivered.inline.wake(operation)
    assert_one_round(delivered, delivered.inline.finish(operation), on=first)


def test_a_kill_between_the_push_of_a_round_and_its_row_is_made_good(delivered: Delivered) -> None:
    first = delivered.head
    begun(delivered, stage="pr")
    operation = up_to(delivered.inline, delivered.operation, "pr")
    made = Step.objects.filter(operation=operation, stage="commit", outcome="done").latest("id").product
    context = context_of(operation)
    upstream.move_branch(
        vault=context.vault, remote=context.remote, branch=made["branch"], expected=first, commit=made["commit"]
    )
    assert delivered.row.head_commit == first
    delivered.inline.wake(operation)
    assert_one_round(delivered, delivered.inline.finish(operation), on=first)


def test_the_same_delivery_eight_times_at_once_and_eight_looks_are_one_round(delivered: Delivered) -> None:
    first = delivered.head
    delivered.fails()
    delivered.model.script.extend(ROUND)
    said = about(delivered.forge.pulls[0])
    PullRequest.objects.update(looked_at=None)
    answers: list[Any] = at_once([partial(deliver, "check_run", said, delivery="the-same-one")] * 8)
    assert [answer.status_code for answer in answers] == [202] * 8
    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * 7
    assert Delivery.objects.filter(delivery_id="the-same-one").count() == 1
    key = delivered.row.pk
    looks = at_once([partial(watching.look, key, now=timezone.now(), actor="system")] * 8)
    assert looks == [None] * 8
    assert_one_round(delivered, delivered.inline.finish(delivered.operation), on=first)


def test_a_push_between_the_last_look_and_our_own_is_never_overwritten(delivered: Delivered) -> None:
    operation, first = begun(delivered, stage="pr"), delivered.head
    branch, theirs = delivered.row.head_branch, []
    last_of_the_look = "GET /repos/team/app/issues/1/comments"
    delivered.forge.afterwards[last_of_the_look] = lambda: theirs.append(
        delivered.remote.commit({**PROJECT, "theirs.py": ""}, branch=branch, parent=first)
    )
    operation = delivered.inline.finish(operation)
    assert (operation.status, operation.error["code"]) == ("failed", "git.branch_diverged")
    assert operation.error["remedy"]
    assert [delivered.head] == theirs
    assert (len(delivered.forge.pulls), Rework.objects.count()) == (1, 1)
    assert left_held() == []


def test_a_branch_that_is_deleted_in_mid_round_ends_it_and_comes_back_by_nobody(delivered: Delivered) -> None:
    operation, branch = begun(delivered, stage="pr"), delivered.row.head_branch
    delivered.remote.git("update-ref", "-d", f"refs/heads/{branch}")
    operation = delivered.inline.finish(operation)
    assert (operation.status, delivered.row.state) == ("succeeded", "closed")
    assert list(delivered.remote.branches()) == ["main"]
    assert left_held() == []


def test_a_base_that_is_force_pushed_in_mid_run_and_again_in_mid_round_ends_up_beneath_the_change(
    inline: Inline, server: Any, forge: Any
) -> None:
    remote = make(inline.roots / "team" / "app.git", PROJECT)
    forge.git = remote.path
    server.script.extend([PLAN, MEND, DONE, APPROVED])
    operation = inline.submit(inline.project(remote, metadata={"forge": "github"}), requirements="sub() subtracts.")
    inline.run(until=lambda: Operation.objects.get().stage == "test")
    again = remote.commit({**PROJECT, "one.py": "X = 1\n"})  # without a parent: what was there is gone
    server.script.extend([PLAN, MEND, DONE, APPROVED])
    operation = inline.run_pauses(operation)
    assert operation.status == "succeeded", operation.error
    assert Step.objects.get(operation=operation, outcome="fault").fault["code"] == "git.base_gone"
    assert remote.git("rev-parse", f"{operation.result['commit']}^") == again
    assert len(forge.pulls) == 1

    forge.pulls[0]["mergeable"] = False
    server.script.append(APPROVED)
    PullRequest.objects.update(looked_at=None)
    deliver("pull_request", about(forge.pulls[0]))
    middle = remote.commit({**PROJECT, "between.py": ""})
    inline.run(until=lambda: Operation.objects.get().stage == "validate")
    assert middle == Operation.objects.get().steps.filter(stage="analyze", outcome="done").last().product["commit"]
    last = remote.commit({**PROJECT, "two.py": "X = 2\n"})
    server.script.append(APPROVED)
    forge.pulls[0]["mergeable"] = True
    operation = inline.run_pauses(operation)

    assert operation.status == "succeeded", operation.error
    head = operation.result["commit"]
    assert remote.git("rev-parse", f"{head}^") == last
    assert remote.git("show", f"{head}:calc.py") == MENDED.strip()
    assert "two.py" in remote.git("ls-tree", "--name-only", head)
    assert (len(forge.pulls), len(remote.branches()), Rework.objects.count()) == (1, 2, 1)
    assert not server.script
    assert left_held() == []


def test_a_branch_and_a_pull_request_that_are_there_already_are_adopted(
    inline: Inline, server: Any, forge: Any
) -> None:
    remote = make(inline.roots / "team" / "app.git", PROJECT)
    forge.git = remote.path
    server.script.extend([PLAN, MEND, DONE, APPROVED])
    asked = inline.submit(inline.project(remote, metadata={"forge": "github"}), requirements="sub() subtracts.")
    operation = up_to(inline, asked, "pr")
    made = Step.objects.get(operation=operation, stage="commit", outcome="done").product
    context = context_of(operation)
    upstream.push(vault=context.vault, remote=context.remote, commit=made["commit"], branch=made["branch"])
    with forge.state:
        forge.add("team/app", {"head": made["branch"], "base": "main", "title": "by hand"})
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert forge.count("POST") == 0
    assert (len(forge.pulls), PullRequest.objects.get().number, len(remote.branches())) == (1, 1, 2)


@pytest.mark.parametrize("after_the_effect", [True, False])
def test_a_body_that_the_forge_answers_502_to_is_written_and_the_round_is_pushed_once(
    delivered: Delivered, after_the_effect: bool
) -> None:
    first = delivered.head
    operation = begun(delivered, stage="pr")
    delivered.forge.script = [Misfortune("PATCH", 502, after_the_effect=after_the_effect)]
    operation = delivered.inline.run_pauses(operation)
    assert_one_round(delivered, operation, on=first)
    assert "## Rounds\n1. Failed checks:" in delivered.forge.pulls[0]["body"]


def test_a_forge_that_is_away_for_long_in_a_round_is_pushed_nothing_and_the_round_goes_on_when_it_is_back(
    delivered: Delivered,
) -> None:
    first = delivered.head
    operation = begun(delivered, stage="pr")
    delivered.forge.script = [Misfortune("GET", 503) for _each in range(60)]
    operation = delivered.inline.run_pauses(operation)
    assert operation.status == "failed"
    assert operation.error["code"].startswith("forge.")
    assert operation.error["remedy"]
    assert delivered.head == first, "whether it was merged meanwhile nobody could say"
    delivered.forge.script.clear()
    retry(by=delivered.inline.user, operation_id=operation.pk)
    assert_one_round(delivered, delivered.inline.run_pauses(operation), on=first)


def test_after_two_rounds_at_the_local_forge_a_person_is_asked_and_their_words_lead_to_a_third(
    inline: Inline, server: Any
) -> None:
    check = ["python", "-c", "import sys; sys.exit('of all' not in open('calc.py').read() and 'say of what')"]
    project = inline.project(metadata={"local_check": {"command": check, "timeout_s": 60}})
    server.script.extend([PLAN, MEND, DONE, APPROVED])
    operation = inline.finish(inline.submit(project, requirements="sub() must subtract."))

    def looked() -> Operation:
        for key in watching.due(now=timezone.now() + timedelta(minutes=2)):
            watching.look(key, now=timezone.now(), actor="system", routine=True)
        return inline.finish(operation)

    for rounds, change in enumerate((COMMENTED, TOLD_AGAIN), start=1):
        server.script.extend([DIAGNOSIS, change, DONE, APPROVED])
        operation = looked()
        assert (operation.status, Rework.objects.count()) == ("succeeded", rounds), operation.error
    operation = looked()
    assert operation.attention["reason"] == "Pull request #1: Checks fail: local check, after 2 rounds."

    server.script.extend([DIAGNOSIS, TOLD_OF_ALL, DONE, APPROVED])
    PullRequest.objects.update(looked_at=None)
    decisions.another_round(by=inline.user, operation_id=operation.pk, text="Say that it is the sum of all.")
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    told = next(r.body["messages"][1]["content"] for r in server.requests if "sum of all" in str(r.body))
    assert "person.asked) (written by the person who asked)" in told.replace("\n", " ")
    assert [check["state"] for check in PullRequest.objects.get().seen["checks"]] == ["passed"]
    assert [rework.cause for rework in Rework.objects.order_by("number")] == ["checks", "checks", "person"]
    assert looked().attention is None
    assert not server.script
