"""Who sees which agent: their own, or all of them for staff; what is hidden does not exist."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import AnonymousUser

from agents import visibility
from agents.faults import AgentNotFound
from tests import factories

pytestmark = pytest.mark.django_db


def test_each_sees_their_own_and_staff_see_all() -> None:
    ada, bob, staff = factories.user("ada"), factories.user("bob"), factories.user("eve", staff=True)
    of_ada, of_bob, of_nobody = factories.agent(by=ada), factories.agent(by=bob), factories.agent()
    assert set(visibility.agents(ada)) == {of_ada}
    assert set(visibility.agents(staff)) == {of_ada, of_bob, of_nobody}
    assert not visibility.agents(AnonymousUser()).exists()
    assert visibility.agent(ada, of_ada.pk) == of_ada
    for hidden in (of_bob.pk, of_nobody.pk, uuid.uuid4(), "not-an-id", "", "\x00", f"{of_ada.pk}' OR 1=1"):
        with pytest.raises(AgentNotFound):
            visibility.agent(ada, hidden)


def test_the_live_stream_asks_the_same_question() -> None:
    ada, bob = factories.user("ada"), factories.user("bob")
    agent = factories.agent(by=ada)
    assert visibility.may_view(ada, str(agent.pk))
    assert not visibility.may_view(bob, str(agent.pk))
    assert not visibility.may_view(AnonymousUser(), str(agent.pk))
    assert not visibility.may_view(ada, "not-an-id")
