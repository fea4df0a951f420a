"""What people decide about a delivered pull request: another round, it is theirs, it is closed. Over HTTP and git."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents.roles.prompts import Trust
from operations import faults
from operations.coding import decisions, watching
from operations.models import Operation, PullRequest, Rework
from tests.fakes.github_server import Misfortune
from tests.flows import test_hints_at_pull_requests as hints
from tests.flows.test_hints_at_pull_requests import Delivered, delivered, forge, kinds

__all__ = ["delivered", "forge"]


@pytest.fixture
def tired(delivered: Delivered) -> Delivered:
    """Its check fails still, after two rounds: a person is asked."""
    for number in (1, 2):
        Rework.objects.create(
            pull_request=delivered.row, number=number, cause="checks", head_commit=str(number) * 40, fault={},
            base_commit="2" * 40, turn=number, created_at=timezone.now(),
        )  # fmt: skip
    delivered.fails()
    assert delivered.hint().attention["reason"] == "Pull request #1: Checks fail: lint, after 2 rounds."
    PullRequest.objects.update(looked_at=None)
    return delivered


def followed(delivered: Delivered) -> Operation:
    """What the door asked for is done, up to where a round would be worked on."""
    delivered.inline.run(until=lambda: Operation.objects.get().status == "queued")
    delivered.operation.refresh_from_db()
    return delivered.operation


def test_another_round_is_told_the_persons_words_and_what_is_the_matter_each_with_its_trust(tired: Delivered) -> None:
    decisions.another_round(by=tired.inline.user, operation_id=tired.operation.pk, text="Use ruff's own fix.")
    operation = followed(tired)
    assert (operation.status, operation.resume_at, operation.attention) == ("queued", "code", None)
    rework = Rework.objects.get(cause="person")
    assert (rework.number, rework.fault["code"]) == (3, "person.asked")
    assert rework.fault["facts"] == {"trust": Trust.REQUESTER.value, "wanted": "Use ruff's own fix."}
    (besides,) = rework.fault["besides"]
    assert (besides["code"], besides["facts"]["trust"]) == ("checks.failed", Trust.TOOL.value)
    assert tired.row.decided is None
    assert "operation.rework_began" in kinds(operation)


def test_asking_twice_at_once_is_one_round(tired: Delivered) -> None:
    for words in ("first", "second"):
        decisions.another_round(by=tired.inline.user, operation_id=tired.operation.pk, text=words)
    followed(tired)
    assert [rework.fault["facts"]["wanted"] for rework in Rework.objects.filter(cause="person")] == ["second"]
    with pytest.raises(faults.NotPossibleNow):
        decisions.another_round(by=tired.inline.user, operation_id=tired.operation.pk)


def test_one_that_a_person_takes_is_calm_and_left_alone_until_a_round_is_asked_for(tired: Delivered) -> None:
    decisions.leave(by=tired.inline.user, operation_id=tired.operation.pk)
    assert followed(tired).attention is None
    assert tired.row.note == "ada takes care of it: Moorage leaves it alone"
    assert tired.hint().attention is None
    assert not decisions.possible(tired.operation)["leave"]
    decisions.another_round(by=tired.inline.user, operation_id=tired.operation.pk)
    PullRequest.objects.update(looked_at=None)
    assert followed(tired).status == "queued"


def test_closing_closes_it_at_the_forge_and_keeps_the_branch(tired: Delivered) -> None:
    decisions.close(by=tired.inline.user, operation_id=tired.operation.pk)
    operation = followed(tired)
    assert tired.forge.pulls[0]["state"] == "closed"
    assert (tired.row.state, tired.row.look_due_at, operation.attention) == ("closed", None, None)
    assert hints.BRANCH in tired.remote.branches()
    assert kinds(operation)[-2:] == ["operation.pull_request_closed", "operation.attention_over"]


def test_closing_what_was_merged_meanwhile_finds_it_merged(tired: Delivered) -> None:
    decisions.close(by=tired.inline.user, operation_id=tired.operation.pk)
    tired.forge.pulls[0].update(state="closed", merged=True, merge_commit_sha="a" * 40)
    followed(tired)
    assert tired.row.state == "merged"
    assert tired.forge.count("PATCH") == 0


def test_closing_while_the_forge_is_away_is_done_once_it_is_back(tired: Delivered) -> None:
    tired.forge.script = [Misfortune("GET", 503) for _each in range(3)]
    decisions.close(by=tired.inline.user, operation_id=tired.operation.pk)
    followed(tired)
    assert (tired.row.state, tired.row.note[:18]) == ("open", "forge.unavailable:")
    tired.forge.script.clear()
    watching.look(tired.row.pk, now=timezone.now(), actor="system")
    assert (tired.row.state, tired.forge.pulls[0]["state"]) == ("closed", "closed")


def test_a_closed_one_is_polled_no_more_and_seen_again_when_somebody_asks(delivered: Delivered) -> None:
    delivered.forge.pulls[0]["state"] = "closed"
    delivered.hint("pull_request")
    assert (delivered.row.state, delivered.row.look_due_at) == ("closed", None)
    delivered.forge.pulls[0]["state"] = "open"
    PullRequest.objects.update(looked_at=None)
    decisions.look(by=delivered.inline.user, operation_id=delivered.operation.pk)
    followed(delivered)
    assert delivered.row.state == "open"
    assert delivered.row.look_due_at is not None


def test_one_that_is_closed_in_mid_round_and_opened_again_asks_a_person_and_breaks_nothing(
    delivered: Delivered,
) -> None:
    delivered.fails()
    assert delivered.hint().status == "queued"
    delivered.forge.pulls[0]["state"] = "closed"
    watching.look(delivered.row.pk, now=timezone.now(), actor="system")
    delivered.forge.pulls[0]["state"] = "open"
    watching.look(delivered.row.pk, now=timezone.now(), actor="system")
    delivered.operation.refresh_from_db()
    assert "the round about it was ended" in delivered.operation.attention["reason"]
    assert Rework.objects.count() == 1


def test_what_makes_no_sense_is_refused_with_the_way_on(delivered: Delivered) -> None:
    user, key = delivered.inline.user, delivered.operation.pk
    Operation.objects.update(engine_kind="patch")
    with pytest.raises(faults.NotPossibleNow) as same_again:
        decisions.another_round(by=user, operation_id=key)
    assert "very same" in same_again.value.detail
    assert same_again.value.remedy_text
    Operation.objects.update(engine_kind="llm")
    with pytest.raises(faults.AnswerRefused):
        decisions.another_round(by=user, operation_id=key, text="a\0b")
    PullRequest.objects.update(state="merged")
    for door in (decisions.another_round, decisions.leave, decisions.close, decisions.look):
        with pytest.raises(faults.NotPossibleNow):
            door(by=user, operation_id=key)


def test_the_reactions_are_those_of_the_template_as_it_is_now_even_where_the_agent_is_gone(
    delivered: Delivered, data_directory: Any
) -> None:
    path = data_directory / "templates" / "plain.yaml"
    path.write_text(path.read_text() + "  reactions: {rounds: 0}\n")
    delivered.fails()
    assert delivered.hint().attention["reason"].endswith("Checks fail: lint, after 0 rounds.")


def test_the_console_shows_why_and_each_way_on_and_does_it(tired: Delivered, admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:operations_operation_change", args=[tired.operation.pk]))
    html = page.content.decode()
    for words in (
        "Needs you",
        "Checks fail: lint, after 2 rounds.",
        "Another round",
        "I take it from here",
        "Close it",
    ):
        assert words in html
    do = reverse("admin:operations_operation_do", args=[tired.operation.pk, "rework"])
    assert admin_client.post(do, {"text": "Use ruff."}).status_code == 302
    assert followed(tired).status == "queued"


def test_the_api_takes_the_decisions(tired: Delivered, admin_client: Client) -> None:
    path = f"/api/v1/operations/{tired.operation.pk}/"
    assert admin_client.post(f"{path}leave/").status_code == 202
    assert tired.row.decided["do"] == "leave"
    assert admin_client.post(f"{path}rework/", {"text": "Go."}, "application/json").status_code == 202
    assert tired.row.decided == {"do": "round", "by": "admin", "text": "Go."}
    assert tired.row.note == "admin asked for another round: as soon as the forge was read"
    assert admin_client.post(f"{path}close/").status_code == 202
    assert admin_client.post(f"{path}look/").status_code == 202
