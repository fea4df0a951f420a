"""Ticks: a periodic duty is done by one, however many beats there are."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from resources import ticks
from tests.at_once import at_once

NOW = timezone.now()
EVERY = timedelta(seconds=10)


def claim(seconds: float, name: str = "sweep") -> bool:
    return ticks.claim(name=name, every=EVERY, now=NOW + timedelta(seconds=seconds))


@pytest.mark.django_db
def test_a_duty_is_due_at_first_and_then_once_per_period() -> None:
    assert [claim(second) for second in (0, 1, 9.9, 10, 10, 19.9, 20)] == [True, False, False, True, False, False, True]


@pytest.mark.django_db
def test_duties_do_not_hinder_each_other() -> None:
    assert claim(0, "one")
    assert claim(0, "two")


@pytest.mark.django_db
def test_a_beat_that_slept_does_not_catch_up_on_missed_periods() -> None:
    assert claim(0)
    assert claim(1000)
    assert not claim(1001)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("period", [0, 10])
def test_of_many_beats_at_once_exactly_one_does_the_duty(period: float) -> None:
    for earlier in range(0, int(period), int(EVERY.total_seconds())):
        assert claim(earlier)
    answers = at_once([partial(claim, period) for _ in range(16)])
    assert sorted(answers, key=str) == [False] * 15 + [True]
