"""A berth that takes long to make stays its maker's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents import berths
from agents.holding import held
from agents.models import Agent
from tests import factories
from tests.patience import eventually


@pytest.fixture
def claimed(transactional_db: None, settings: Any) -> Agent:
    settings.CLAIM_TTL_S = 0.3
    factories.host(settings.HOST_NAME)
    agent = factories.placed()
    found = berths._claim(agent.pk, generation=agent.generation, state=Agent.State.SPAWNING)
    assert found is not None
    return found


def rival(agent: Agent) -> Agent | None:
    return berths._claim(agent.pk, generation=agent.generation, state=Agent.State.SPAWNING)


def test_nobody_else_opens_a_berth_while_its_maker_lives_however_long_it_takes(claimed: Agent) -> None:
    first = claimed.claimed_until
    assert first is not None
    with held(claimed):
        eventually(lambda: bool(claimed.claimed_until and claimed.claimed_until > first + timedelta(seconds=0.5)))
        assert rival(claimed) is None
    stored = Agent.objects.get(pk=claimed.pk)
    assert stored.claimed_until == claimed.claimed_until, "the token of the one who made it"


def test_a_claim_that_somebody_else_has_by_now_is_left_alone(claimed: Agent) -> None:
    theirs = timezone.now() + timedelta(hours=1)
    with held(claimed):
        Agent.objects.filter(pk=claimed.pk).update(claimed_until=theirs)
        before = claimed.claimed_until
        eventually(lambda: timezone.now() > (before or theirs) + timedelta(seconds=0.3))
    assert Agent.objects.get(pk=claimed.pk).claimed_until == theirs


def test_a_berth_whose_maker_died_is_free_again(claimed: Agent) -> None:
    with held(claimed):
        pass
    eventually(lambda: rival(claimed) is not None)
