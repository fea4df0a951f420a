"""Terminals over HTTP: asked for, looked at, closed, and refused with the way on."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from config.access.models import Scope, issue
from sessions.host.wire import Kind
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

URL = "/api/v1/sessions/"


@pytest.fixture(autouse=True)
def static_root(settings: Any, tmp_path: Any) -> None:
    """A directory of static files, which WhiteNoise asks for."""
    settings.STATIC_ROOT = tmp_path


def http(user: Any, **headers: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {issue(user=user, scope=Scope.WRITE)}", **headers})


@pytest.mark.django_db(transaction=True)
def test_terminal_is_asked_for_looked_at_and_closed(daemon: DaemonProcess, agent: Agent, user: Any) -> None:
    eventually(lambda: SessionHost.objects.exists())
    ada = http(user, Accept="text/plain")
    answer = ada.post(
        URL, {"agent_id": str(agent.pk), "columns": 100}, content_type="application/json", headers={"Accept": "*/*"}
    )
    assert answer.status_code == 202, answer.content
    body = answer.json()
    assert (body["state"], body["columns"], body["rows"], body["host"]) == ("opening", 100, 24, "quay")
    at = answer["Location"]
    assert at == f"{URL}{body['id']}/"
    terminal = Terminal.objects.get(pk=body["id"])
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"printf '\\033[31mpl''ain\\033[0m\\n'\n")
        viewer.read_until(b"plain")
        shown = ada.get(f"{at}snapshot/")
        assert shown["Content-Type"] == "text/plain; charset=utf-8"
        assert "\nplain\n" in shown.content.decode()
        assert b"\x1b" not in shown.content
        assert ada.post(f"{at}close/", headers={"Accept": "*/*"}).json()["state"] == "closed"
        viewer.hear_kind(Kind.EXIT)
    assert http(user).post(f"{at}close/").status_code == 200
    assert [row["id"] for row in http(user).get(URL).json()["results"]] == [body["id"]]


@pytest.mark.django_db
def test_refusals_are_problem_documents_with_the_way_on(agent: Agent, user: Any, stranger: Any) -> None:
    ada, eve = http(user), http(stranger)

    def refused(client: Client, **body: Any) -> tuple[int, str]:
        answer = client.post(URL, body, content_type="application/json")
        assert answer["Content-Type"] == "application/problem+json"
        return answer.status_code, answer.json()["code"]

    assert refused(ada, agent_id=str(uuid.uuid4())) == (404, "agent.not_found")
    assert refused(eve, agent_id=str(agent.pk)) == (404, "agent.not_found")
    assert refused(ada, agent_id="x") == (400, "request.invalid")
    assert refused(ada, agent_id=str(agent.pk), columns=0) == (400, "request.invalid")
    assert refused(ada, agent_id=str(agent.pk), title="\x00") == (400, "request.invalid")
    assert refused(ada, agent_id=str(agent.pk)) == (503, "terminal.session_host_away")
    Agent.objects.filter(pk=agent.pk).update(state="stopped")
    assert refused(ada, agent_id=str(agent.pk)) == (409, "terminal.agent_not_running")


@pytest.mark.django_db
def test_terminal_of_somebody_else_does_not_exist(agent: Agent, user: Any, stranger: Any) -> None:
    terminal = Terminal.objects.create(agent=agent, created_by=user, created_at=timezone.now())
    eve = http(stranger)
    for answer in (
        eve.get(f"{URL}{terminal.pk}/"),
        eve.get(f"{URL}{terminal.pk}/snapshot/", headers={"Accept": "text/plain"}),
        eve.post(f"{URL}{terminal.pk}/close/"),
        eve.get(f"{URL}not-an-id/"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "terminal.not_found")
    assert eve.get(URL).json()["results"] == []
    waiting = http(user).get(f"{URL}{terminal.pk}/snapshot/")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "terminal.not_open")
    assert Client().get(URL).status_code == 401
