"""Without a rule nobody sees anything; with one, exactly those it lets."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from events import journal, policy
from tests.events import berths
from tests.fakes.redis_process import RedisProcess


def test_a_topic_of_a_type_without_a_rule_is_refused(user: Any) -> None:
    user.is_superuser = True
    assert not policy.may_view(user, "unheard_of.1")


def test_the_rule_decides(user: Any) -> None:
    assert policy.allowed(user, ["berth.a", "berth.secret", "queue"]) == {"berth.a", "queue"}
    user.is_staff = True
    assert policy.may_view(user, "berth.secret")


def test_an_ill_formed_topic_is_refused(user: Any) -> None:
    assert policy.allowed(user, ["berth.a b", "", "berth.", "berth.a.b"]) == frozenset()


def test_nobody_and_the_inactive_see_nothing(user: Any) -> None:
    assert not policy.may_view(AnonymousUser(), "berth.a")
    user.is_active = False
    assert not policy.may_view(user, "berth.a")


def test_a_second_rule_for_a_type_is_a_wiring_mistake() -> None:
    with pytest.raises(policy.RuleTaken):
        policy.register("berth", lambda _user, _id: True)
    berths.register()  # the same rule again is none


def test_topics_of_access_cannot_be_opened_by_a_rule(user: Any) -> None:
    with pytest.raises(policy.RuleTaken):
        policy.register("access", lambda _user, _id: True)
    assert not policy.may_view(user, policy.access_topic(user))


def test_a_revocation_is_an_event(live_redis: RedisProcess, user: Any) -> None:
    policy.revoke(user.pk, actor="user:root", reason="left the team")
    (event,) = journal.replay(policy.access_topic(user), after=0)
    assert (event.kind, event.actor, event.reason) == ("access.changed", "user:root", "left the team")
