"""Refusals become few events, whatever a berth does."""

from __future__ import annotations

from resources.egress.denials import AGAIN_S, AT_ONCE, Denial, Denials


def test_the_first_refusal_is_news_and_the_next_ones_are_counted() -> None:
    denials = Denials()
    assert denials.note("a.example", 443, "not_allowed", now=0) == Denial("a.example", 443, "not_allowed")
    assert [denials.note("a.example", 443, "not_allowed", now=second) for second in range(1, 500)] == [None] * 499
    again = denials.note("a.example", 443, "not_allowed", now=AGAIN_S + 1)
    assert again == Denial("a.example", 443, "not_allowed", repeated=499)


def test_another_port_or_reason_is_news_of_its_own() -> None:
    denials = Denials()
    asked = [("a.example", 443, "not_allowed"), ("a.example", 80, "not_allowed"), ("a.example", 443, "address.private")]
    assert [denials.note(*each, now=0) for each in asked] == [Denial(*each) for each in asked]


def test_a_flood_of_different_hosts_ends_in_one_event_that_says_so() -> None:
    denials = Denials()
    noted = [denials.note(f"h{number}.example", 443, "not_allowed", now=1.0) for number in range(10_000)]
    told = [denial for denial in noted if denial]
    assert len(told) == AT_ONCE + 1
    assert told[-1] == Denial("", 0, "denials.more")
    assert denials.note("late.example", 443, "not_allowed", now=AGAIN_S + 2) is not None
