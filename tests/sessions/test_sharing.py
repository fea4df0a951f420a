"""Who is let in to a terminal, by whom, as what; and a terminal that changes its owner."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from config.access.models import Scope, issue
from events import journal
from sessions import visibility
from sessions.models import Terminal, TerminalGuest

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Any) -> None:
    """A directory of static files, which WhiteNoise asks for."""
    settings.STATIC_ROOT = tmp_path


@pytest.fixture
def terminal(agent: Agent, user: Any) -> Terminal:
    return Terminal.objects.create(agent=agent, created_by=user, created_at=timezone.now(), title="work")


def http(user: Any) -> Client:
    return Client(headers={"Authorization": f"Bearer {issue(user=user, scope=Scope.WRITE)}"})


def url(terminal: Terminal, verb: str = "") -> str:
    return f"/api/v1/sessions/{terminal.pk}/{verb}"


def kinds(terminal: Terminal) -> list[str]:
    return [event.kind for event in journal.replay(terminal.topic, after=0)]


def test_guest_sees_the_terminal_and_types_only_where_that_was_granted(
    terminal: Terminal, user: Any, stranger: Any
) -> None:
    ada, eve = http(user), http(stranger)
    answer = ada.post(url(terminal, "share/"), {"user": "eve"}, content_type=JSON)
    assert (answer.status_code, answer.json()["may_type"]) == (200, False)
    assert [row["id"] for row in eve.get("/api/v1/sessions/").json()["results"]] == [str(terminal.pk)]
    assert not visibility.may_type(stranger, terminal)
    assert visibility.rights_to(stranger, [terminal.pk]) == {terminal.pk: False}
    assert ada.post(url(terminal, "share/"), {"user": "eve", "may_type": True}, content_type=JSON).status_code == 200
    assert visibility.may_type(stranger, terminal)
    assert visibility.rights_to(stranger, [terminal.pk]) == {terminal.pk: True}
    assert [row["user"] for row in ada.get(url(terminal, "share/")).json()] == ["eve"]
    assert kinds(terminal) == ["terminal.shared", "terminal.shared"]
    assert not visibility.terminals(stranger).exclude(pk=terminal.pk).exists()


def test_sharing_twice_alike_is_one_guest_and_one_event(terminal: Terminal, user: Any, stranger: Any) -> None:
    for _ in range(2):
        assert http(user).post(url(terminal, "share/"), {"user": "eve"}, content_type=JSON).status_code == 200
    assert (TerminalGuest.objects.count(), kinds(terminal)) == (1, ["terminal.shared"])


def test_guest_who_is_taken_off_sees_nothing_and_may_leave_alone(terminal: Terminal, user: Any, stranger: Any) -> None:
    ada, eve = http(user), http(stranger)
    for who in (ada, eve):
        ada.post(url(terminal, "share/"), {"user": "eve"}, content_type=JSON)
        assert who.delete(url(terminal, "share/eve/")).status_code == 204
        assert eve.get(url(terminal)).status_code == 404
    gone = ada.delete(url(terminal, "share/eve/"))
    assert (gone.status_code, gone.json()["code"]) == (404, "terminal.guest_not_found")


def test_guest_may_neither_close_nor_share_nor_hand_over(
    terminal: Terminal, user: Any, stranger: Any, django_user_model: Any
) -> None:
    django_user_model.objects.create(username="bob")
    http(user).post(url(terminal, "share/"), {"user": "eve", "may_type": True}, content_type=JSON)
    http(user).post(url(terminal, "share/"), {"user": "bob"}, content_type=JSON)
    eve = http(stranger)
    for answer in (
        eve.post(url(terminal, "close/")),
        eve.post(url(terminal, "share/"), {"user": "bob", "may_type": True}, content_type=JSON),
        eve.post(url(terminal, "hand-over/"), {"user": "eve"}, content_type=JSON),
        eve.delete(url(terminal, "share/bob/")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "terminal.not_the_owner")
    row = Terminal.objects.get(pk=terminal.pk)
    assert (row.state, row.created_by) == ("opening", user)


def test_stranger_learns_nothing_by_sharing(terminal: Terminal, stranger: Any) -> None:
    eve = http(stranger)
    for answer in (
        eve.post(url(terminal, "share/"), {"user": "eve"}, content_type=JSON),
        eve.post(url(terminal, "hand-over/"), {"user": "eve"}, content_type=JSON),
        eve.get(url(terminal, "share/")),
        eve.delete(url(terminal, "share/eve/")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "terminal.not_found")


def test_nobody_is_let_in_who_does_not_exist_or_is_not_active(
    terminal: Terminal, user: Any, django_user_model: Any
) -> None:
    django_user_model.objects.create(username="gone", is_active=False)
    for name in ("gone", "nobody", "x" * 150):
        answer = http(user).post(url(terminal, "share/"), {"user": name}, content_type=JSON)
        assert (answer.status_code, answer.json()["code"]) == (404, "terminal.guest_not_found")
    for body in ({}, {"user": ""}, {"user": ["eve"]}, {"user": "\x00"}, {"user": "eve", "may_type": "perhaps"}):
        assert http(user).post(url(terminal, "share/"), body, content_type=JSON).status_code == 400


def test_terminal_that_has_ended_is_not_shared(terminal: Terminal, user: Any, stranger: Any) -> None:
    Terminal.objects.filter(pk=terminal.pk).update(state="closed", closed_at=timezone.now(), reason="enough")
    for verb in ("share/", "hand-over/"):
        answer = http(user).post(url(terminal, verb), {"user": "eve"}, content_type=JSON)
        assert (answer.status_code, answer.json()["code"]) == (409, "terminal.not_open")


def test_terminal_that_is_handed_over_belongs_to_its_heir(
    terminal: Terminal, agent: Agent, user: Any, stranger: Any, django_user_model: Any
) -> None:
    Agent.objects.filter(pk=agent.pk).update(created_by=django_user_model.objects.create(username="bob"))
    TerminalGuest.objects.create(terminal=terminal, user=user, may_type=True, created_at=timezone.now())
    answer = http(user).post(url(terminal, "hand-over/"), {"user": "eve"}, content_type=JSON)
    assert (answer.status_code, answer.json()["owner"]) == (200, "eve")
    assert http(user).get(url(terminal)).status_code == 404, "whoever had it keeps only their right to the agent"
    assert http(stranger).post(url(terminal, "close/")).status_code == 200
    assert kinds(terminal) == ["terminal.handed_over", "terminal.closed"]


def test_handing_over_to_oneself_changes_nothing(terminal: Terminal, user: Any) -> None:
    assert http(user).post(url(terminal, "hand-over/"), {"user": "ada"}, content_type=JSON).status_code == 200
    assert kinds(terminal) == []
    assert not TerminalGuest.objects.exists()


def test_guests_of_one_terminal_do_not_reach_its_agent_or_its_siblings(
    terminal: Terminal, agent: Agent, user: Any, stranger: Any
) -> None:
    other = Terminal.objects.create(agent=agent, created_by=user, created_at=timezone.now())
    http(user).post(url(terminal, "share/"), {"user": "eve", "may_type": True}, content_type=JSON)
    eve = http(stranger)
    assert eve.get(url(other)).status_code == 404
    assert eve.get(f"/api/v1/agents/{agent.pk}/").status_code == 404
    assert eve.post("/api/v1/sessions/", {"agent_id": str(agent.pk)}, content_type=JSON).status_code == 404
    assert eve.get(f"/api/v1/sessions/{uuid.uuid4()}/share/").status_code == 404
