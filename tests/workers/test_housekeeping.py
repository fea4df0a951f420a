"""A host's looks at itself go on, whatever one of them meets and however long its stages take."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from agents import health
from agents.models import Agent, Fact
from events.faults import Fault
from operations.models import Operation
from resources import workspaces
from resources.watched import Sample
from tests.flows.fixtures import inline
from tests.flows.inline import Inline
from workers import housekeeping, presence

__all__ = ["inline"]

TROUBLES = [ValueError("a mistake of ours"), Fault("cannot be looked at"), OSError(5, "broken"), KeyError("facts")]


class Met:
    """A look that meets every trouble, and works the time after."""

    def __init__(self) -> None:
        self.times, self.over = 0, threading.Event()

    def look(self) -> dict[str, Any]:
        self.times += 1
        if 1 < self.times <= 1 + len(TROUBLES):
            raise TROUBLES[self.times - 2]
        if self.times > 1 + len(TROUBLES):
            self.over.set()
        return {"look": self.times}


def test_the_facts_of_a_host_are_looked_at_again_whatever_went_wrong_before(db: None) -> None:
    met, stop = Met(), threading.Event()
    facts = presence.Facts(met.look, every_s=0.01, stop=stop)
    assert facts.latest == {"look": 1}
    assert met.over.wait(timeout=20), "its thread has ended"
    stop.set()
    facts.thread.join(timeout=20)
    assert not facts.thread.is_alive()
    assert facts.latest["look"] > 1 + len(TROUBLES)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_a_chore_that_fails_comes_again_and_keeps_none_from_being_done(db: None, trouble: Exception) -> None:
    stop, failed, done = threading.Event(), [], []

    def fail(now: datetime) -> None:
        failed.append(now)
        raise trouble

    def count(now: datetime) -> None:
        done.append(now)
        if len(done) == 3:
            stop.set()

    chores = (housekeeping.Chore("broken", 0, fail), housekeeping.Chore("sound", 0, count))
    housekeeping.keep(chores, stop=stop, period_s=0.01)
    assert (len(failed), len(done)) == (3, 3)


def test_a_chore_is_done_once_in_its_time(db: None) -> None:
    stop, seen = threading.Event(), []

    def often(now: datetime) -> None:
        seen.append("often")
        if seen.count("often") == 5:
            stop.set()

    chores = (housekeeping.Chore("rare", 3600, lambda _now: seen.append("rare")), housekeeping.Chore("often", 0, often))
    housekeeping.keep(chores, stop=stop, period_s=0.01)
    assert (seen.count("rare"), seen.count("often")) == (1, 5)


def test_a_host_sees_by_itself_that_a_berth_is_gone_and_measures_what_it_has(inline: Inline) -> None:
    operation = inline.submit()
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == "code")
    agent = Agent.objects.get()
    chores = {chore.name: chore for chore in housekeeping.of_host(settings.HOST_NAME, worker="worker:a")}
    for chore in chores.values():
        chore.do(timezone.now())
    assert health.facts_of(agent)[Fact.Kind.SANDBOX_INSPECTED].ok
    assert Sample.objects.filter(host__name=settings.HOST_NAME).exists()
    assert agent.sandbox is not None
    workspaces.remove(Path(agent.sandbox["profile"]["workspace"]))
    chores["inspect sandboxes"].do(timezone.now())
    agent = Agent.objects.get()
    assert (agent.state, (agent.error or {}).get("code")) == ("error", "agent.berth_lost")
