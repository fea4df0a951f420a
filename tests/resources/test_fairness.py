"""The waiting line: whose turn it is, and that everybody's turn comes."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from resources.fairness import Rules, Waiter, order, urgency

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOW, NORMAL, HIGH = 0, 1, 2
RULES = Rules(aging=timedelta(minutes=10), highest=HIGH)


def waiter(user: str = "", *, project: str = "", priority: int = NORMAL, minutes: float = 0) -> Waiter:
    asked = NOW - timedelta(minutes=minutes)
    return Waiter(uuid.uuid4(), priority, asked, asked, user, project)


def users(waiters: list[Waiter], *, held: Mapping[tuple[str, str], int] | None = None, rules: Rules = RULES) -> str:
    return "".join(each.user for each in order(waiters, held=held or {}, rules=rules, now=NOW))


def test_who_asked_first_is_first_among_equals() -> None:
    line = [waiter("a", minutes=minutes) for minutes in (1, 3, 2)]
    assert order(line, held={}, rules=RULES, now=NOW) == [line[1], line[2], line[0]]


def test_one_that_comes_with_two_hundred_does_not_stand_before_one_that_comes_later_with_two() -> None:
    line = [waiter("a", minutes=9) for _ in range(200)] + [waiter("b", minutes=1) for _ in range(2)]
    assert users(line).startswith("abab")
    assert set(users(line)[4:]) == {"a"}


def test_who_holds_berths_already_waits_until_the_others_hold_as_many() -> None:
    line = [waiter("a", minutes=9) for _ in range(3)] + [waiter("b") for _ in range(5)]
    assert users(line, held={("a", ""): 3}) == "bbb" + "abab" + "a"


def test_projects_of_one_user_take_turns_too() -> None:
    line = [waiter("a", project="x", minutes=5) for _ in range(3)] + [waiter("a", project="y", minutes=1)]
    assert [each.project for each in order(line, held={}, rules=RULES, now=NOW)] == ["x", "y", "x", "x"]


def test_projects_that_nobody_in_particular_works_for_take_turns_like_users() -> None:
    line = [waiter(project="x", minutes=5) for _ in range(3)] + [waiter(project="y"), waiter("a")]
    ordered = [each.user or each.project for each in order(line, held={}, rules=RULES, now=NOW)]
    assert ordered[0] == "x"
    assert set(ordered[1:3]) == {"a", "y"}
    assert ordered[3:] == ["x", "x"]


def test_a_higher_priority_stands_before_a_fairer_share() -> None:
    line = [waiter("b"), waiter("a", priority=HIGH)]
    assert users(line, held={("a", ""): 9}) == "ab"


@pytest.mark.parametrize(
    ("priority", "minutes", "counts"),
    [(LOW, 9.9, LOW), (LOW, 10, NORMAL), (LOW, 20, HIGH), (LOW, 999, HIGH), (NORMAL, 10, HIGH), (HIGH, 999, HIGH)],
)
def test_waiting_raises_priority_step_by_step_up_to_the_highest(priority: int, minutes: float, counts: int) -> None:
    assert urgency(waiter(priority=priority, minutes=minutes), rules=RULES, now=NOW) == counts


def test_without_aging_and_with_a_clock_that_went_back_priority_is_what_it_was() -> None:
    assert urgency(waiter(priority=LOW, minutes=999), rules=Rules(timedelta(0), HIGH), now=NOW) == LOW
    assert urgency(waiter(priority=LOW, minutes=-999), rules=RULES, now=NOW) == LOW


def test_low_priority_is_served_at_last_although_high_priority_never_ends() -> None:
    low = waiter("a", priority=LOW)
    line, served_after = [low], None
    for minute in range(60):
        now = NOW + timedelta(minutes=minute)
        line += [Waiter(uuid.uuid4(), HIGH, now, now, "b"), Waiter(uuid.uuid4(), HIGH, now, now, "a")]
        first = order(line, held={}, rules=RULES, now=now)[0]
        if first == low:
            served_after = minute
            break
        line.remove(first)
    assert served_after == 20, "two steps of ten minutes, then it is the oldest of the highest"


def test_who_has_all_that_a_quota_allows_stands_behind_everyone_who_may_be_served() -> None:
    rules = Rules(timedelta(minutes=10), HIGH, users={"a": 2}, projects={"x": 1})
    line = [waiter("a", priority=HIGH) for _ in range(3)] + [waiter("b", priority=LOW)]
    assert users(line, held={("a", ""): 1}, rules=rules) == "abaa"
    line = [waiter("b", project="x", minutes=5), waiter("b", project="x", minutes=4), waiter("c")]
    assert users(line, rules=rules) == "bcb"


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_line_everybody_is_in_it_once_and_shares_differ_by_one_at_most(seed: int) -> None:
    chance = random.Random(seed)
    names = "abcdef"[: chance.randint(1, 6)]
    line = [waiter(chance.choice(names), project=chance.choice("xyz"), minutes=chance.random() * 9) for _ in range(90)]
    ordered = order(line, held={}, rules=RULES, now=NOW)
    assert sorted(each.id for each in ordered) == sorted(each.id for each in line)
    wanted = Counter(each.user for each in line)
    served: Counter[str] = Counter()
    for each in ordered:
        unserved = [name for name in wanted if served[name] < wanted[name]]
        assert served[each.user] == min(served[name] for name in unserved)
        served[each.user] += 1
