"""What follows from what a forge shows: every row of the decision, without a forge."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from operations.coding import reactions
from operations.coding.forges.logs import failing_step, masked
from operations.coding.forges.protocol import Check, CheckState, Comment, Seen
from operations.coding.reactions import Nothing, Person, Round, Situation
from operations.coding.wishes import Reaction, Reactions, SettingRefused, check, local_check, pull_request
from operations.coding.wishes import reactions as reactions_of
from operations.models import Rework

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
OURS = "1" * 40
CALM = Seen(state="open", head_commit=OURS, base_branch="main")
FAILED = Check("build", CheckState.FAILED)
SAID = Comment("comment-1", "ada", may_write=True, body="Use minus.", created_at="2026-11-30T11:00:00Z")


def situation(**more: Any) -> Situation:
    usual = Situation(
        ours=OURS, base_branch="main", rounds=(), busy=False, ended_well=True, reworkable=True, engine="llm",
        handled=(), reactions=Reactions(2, Reaction(2, 3600), Reaction(2, 0)), troubled_since=None,
    )  # fmt: skip
    return replace(usual, **more)


def decided(seen: Seen, **more: Any) -> reactions.Decision:
    return reactions.decide(seen, situation(**more), now=NOW)


def test_where_all_is_well_nothing_is_done() -> None:
    assert decided(CALM) == Nothing()
    assert decided(replace(CALM, checks=(Check("build", CheckState.PASSED),))) == Nothing()


@pytest.mark.parametrize(
    "more", [{"busy": True}, {"ended_well": False}, {"ours": "2" * 40}, {"base_branch": "release"}]
)
def test_what_is_not_ours_to_touch_now_is_left_alone_and_says_why(more: dict[str, Any]) -> None:
    decision = decided(replace(CALM, checks=(FAILED,), conflicts=True, comments=(SAID,)), **more)
    assert isinstance(decision, Nothing)
    assert decision.note


def test_conflicts_come_first_then_checks_then_reviews() -> None:
    all_of_it = replace(CALM, checks=(FAILED,), conflicts=True, comments=(SAID,))
    assert decided(all_of_it) == Round(Rework.Cause.CONFLICT)
    assert decided(replace(all_of_it, conflicts=False)) == Round(Rework.Cause.CHECKS, checks=(FAILED,))
    assert decided(replace(CALM, comments=(SAID,))) == Round(Rework.Cause.REVIEW, comments=(SAID,))


def tried(*causes: str) -> list[tuple[str, str]]:
    return [(cause, str(number) * 40) for number, cause in enumerate(causes, start=2)]


def test_rounds_are_counted_in_all_and_then_a_person_is_asked_in_the_templates_time() -> None:
    failing = replace(CALM, checks=(FAILED,))
    assert isinstance(decided(failing, rounds=tried("review")), Round)
    tired = decided(failing, rounds=tried("checks", "review"))
    assert tired == Person("Checks fail: build, after 2 rounds.", in_s=3600.0)
    later = decided(failing, rounds=tried("checks", "checks"), troubled_since=NOW - timedelta(minutes=50))
    assert later == Person("Checks fail: build, after 2 rounds.", in_s=600.0)
    assert decided(replace(CALM, comments=(SAID,)), rounds=tried("checks", "conflict")) == Person(
        "1 comments by ada, after 2 rounds.", in_s=0.0
    )
    conflicting = decided(replace(CALM, conflicts=True), rounds=tried("checks", "checks"))
    assert conflicting == Person("It conflicts with its base branch, after 2 rounds.")


def test_a_template_that_wants_more_or_fewer_rounds_gets_them() -> None:
    failing = replace(CALM, checks=(FAILED,))
    assert isinstance(decided(failing, reactions=Reactions(2, Reaction(0))), Person)
    assert isinstance(decided(failing, reactions=Reactions(0)), Person)
    patient = Reactions(5, Reaction(1), Reaction(5))
    assert isinstance(decided(failing, reactions=patient, rounds=tried("checks")), Person)
    more = decided(replace(CALM, comments=(SAID,)), reactions=patient, rounds=tried("checks", "review", "conflict"))
    assert isinstance(more, Round)
    assert reactions_of({"reactions": {"rounds": 3}}) == Reactions(3, Reaction(3), Reaction(3))
    assert reactions_of({}) == Reactions(2, Reaction(2, 0), Reaction(2, 0))


def test_a_round_that_a_person_asks_for_has_all_that_is_the_matter_and_the_count_begins_anew() -> None:
    all_of_it = replace(CALM, checks=(FAILED,), comments=(SAID,))
    past = tried("checks", "review")
    wanted = decided(all_of_it, rounds=past, asked="Use minus.")
    assert wanted == Round(Rework.Cause.PERSON, checks=(FAILED,), comments=(SAID,), words="Use minus.")
    assert decided(CALM, rounds=past, asked="") == Round(Rework.Cause.PERSON), "also where nothing is the matter"
    first = decided(replace(all_of_it, conflicts=True), rounds=past, asked="Use minus.")
    assert first == Round(Rework.Cause.CONFLICT), "on a base that moved it is put first"
    assert isinstance(decided(all_of_it, rounds=tried("checks", "review", "person", "checks")), Round)
    assert isinstance(decided(all_of_it, rounds=tried("checks", "person", "checks", "review")), Person)


def test_one_that_a_person_takes_care_of_is_left_alone() -> None:
    all_of_it = replace(CALM, checks=(FAILED,), conflicts=True, comments=(SAID,))
    assert decided(all_of_it, left_to="ada") == Nothing("ada takes care of it: Moorage leaves it alone")


def test_the_same_trouble_on_the_same_commit_does_not_begin_a_second_round() -> None:
    """It was closed in mid round, which ended that, and opened again."""
    decision = decided(replace(CALM, checks=(FAILED,)), rounds=[("checks", OURS)])
    assert decision == Person(
        "Checks fail: build, and the round about it was ended before it delivered anything.", in_s=3600.0
    )


def test_only_what_people_with_write_access_said_and_no_round_was_about_counts() -> None:
    stranger = replace(SAID, id="comment-2", may_write=False)
    seen = replace(CALM, comments=(SAID, stranger, replace(SAID, id="comment-3", body="")))
    assert reactions.new_comments(seen, ()) == [SAID]
    assert decided(seen, handled=["comment-1"]) == Nothing()


def test_a_review_that_is_being_written_is_waited_for() -> None:
    fresh = replace(SAID, id="comment-2", created_at="2026-11-30T11:59:30Z")
    decision = decided(replace(CALM, comments=(SAID, fresh)))
    assert isinstance(decision, Nothing)
    assert decision.look_in_s == 30.0
    odd = replace(SAID, created_at="yesterday")
    assert isinstance(decided(replace(CALM, comments=(odd,))), Round), "a time that is none holds nothing up"


@pytest.mark.parametrize(
    "metadata",
    [
        {"pull_request": []},
        {"pull_request": {"draft": "yes"}},
        {"pull_request": {"labels": [""]}},
        {"pull_request": {"reviewers": ["ada; rm"]}},
        {"pull_request": {"reviewers": ["a"] * 16}},
        {"pull_request": {"colour": "red"}},
        {"local_check": {"command": "make check"}},
        {"local_check": {"command": ["true"], "timeout_s": 0}},
        {"local_check": {"command": ["\0"]}},
    ],
)
def test_settings_that_could_not_be_followed_are_refused_by_name(metadata: dict[str, Any]) -> None:
    with pytest.raises(SettingRefused) as caught:
        check(metadata)
    assert caught.value.pointer.startswith("/metadata/")


def test_a_projects_settings_go_before_its_templates() -> None:
    spec = {
        "pull_request": {"draft": True, "labels": ["a"]},
        "reactions": {"local_check": {"command": ["make", "check"], "timeout_s": 5}},
    }
    assert (pull_request(spec, {}).draft, pull_request(spec, {}).labels) == (True, ("a",))
    own = {"pull_request": {"labels": ["b"]}, "local_check": {"command": ["true"]}}
    check(own)
    assert (pull_request(spec, own).draft, pull_request(spec, own).labels) == (True, ("b",))
    found, theirs = local_check(spec, {}), local_check(spec, own)
    assert found is not None
    assert theirs is not None
    assert (found.command, found.timeout_s, theirs.command) == (("make", "check"), 5, ("true",))
    assert local_check({}, {}) is None


def test_a_log_without_marks_is_cut_to_its_end_and_its_keys_are_hidden() -> None:
    text = failing_step("x\n" * 9000 + "aws AKIAABCDEFGHIJKLMNOP\npassword: hunter2\nlast")
    assert len(text) <= 8001
    assert text.endswith("last")
    assert "AKIA" not in text
    assert "hunter2" not in text
    for hostile in ("a." * 1_000_000, "eyJ-" * 500_000, "-----BEGIN " * 200_000, "\x1b[" * 1_000_000):
        assert len(failing_step(hostile)) <= 8001  # it comes back at all: no pattern of ours is quadratic
    key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"
    assert "abc" not in masked(f"before\n{key}\nafter")
