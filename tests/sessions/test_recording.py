"""Recordings and idle ends, with the real daemon."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent
from events import journal
from resources.models import Host
from sessions import lifecycle, upkeep
from sessions.host.masking import MASK
from sessions.host.recorder import path_of
from sessions.host.wire import Kind
from sessions.models import Recording, SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


def asked(agent: Agent, user: Any, **how: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work", **how)


def events_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


@pytest.fixture
def impatient(transactional_db: None, host: Host, data: Path) -> Iterator[DaemonProcess]:
    """A session host that ends terminals after six idle seconds."""
    process = DaemonProcess(data)
    process.start(MOORAGE_TERMINAL_IDLE_S="6")
    yield process
    process.stop()
    assert "Traceback" not in process.log.read_text()


def test_output_is_recorded_without_secrets_and_input_is_not(
    daemon: DaemonProcess, agent: Agent, user: Any, settings: Any
) -> None:
    settings.DATA = daemon.data
    terminal = asked(agent, user, recording="output")
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"stty -echo; echo re''ady\n")
        viewer.read_until(b"ready\r\n")
        viewer.type(b"read x; printf 'key sk-abcdefgh'; sleep 0.3; echo ijklmnopqrstuv; exit 3\n")
        viewer.type(b"typed-in-secret\n")
        viewer.hear_kind(Kind.EXIT)
    row = eventually(lambda: Recording.objects.filter(terminal=terminal, ended_at__isnull=False).first())
    events = events_of(path_of(daemon.data, terminal.pk))
    printed = "".join(text for _, code, text in events if code == "o")
    assert f"key {MASK}\r\n" in printed
    assert "typed-in-secret" not in str(events)
    assert [event[1:] for event in events][-1] == ["x", "3"]
    assert not row.truncated
    assert row.size_bytes == path_of(daemon.data, terminal.pk).stat().st_size
    browser = Client()
    browser.force_login(user)
    answer = browser.get(f"/api/v1/sessions/{terminal.pk}/recording/")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-asciicast"
    assert answer.content == path_of(daemon.data, terminal.pk).read_bytes()


def test_input_is_recorded_where_asked_for_but_no_password(daemon: DaemonProcess, agent: Agent, user: Any) -> None:
    terminal = asked(agent, user, recording="input")
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.type(b"stty -echo icanon; echo PS; cat\n")
        viewer.read_until(b"PS\r\n")
        viewer.type(b"hidden words\n")
        viewer.read_until(b"hidden words")
        viewer.type(b"\x04")
        viewer.type(b"exit\n")
        viewer.hear_kind(Kind.EXIT)
    eventually(lambda: Recording.objects.filter(terminal=terminal, ended_at__isnull=False).exists())
    typed = "".join(e[2] for e in events_of(path_of(daemon.data, terminal.pk)) if e[1] == "i")
    assert typed.startswith("stty -echo")
    assert "hidden" not in typed


def test_terminal_that_is_not_recorded_leaves_no_file_and_says_so(
    daemon: DaemonProcess, agent: Agent, user: Any, settings: Any
) -> None:
    settings.DATA = daemon.data
    terminal = asked(agent, user, recording="none")
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
    assert not path_of(daemon.data, terminal.pk).exists()
    browser = Client()
    browser.force_login(user)
    answer = browser.get(f"/api/v1/sessions/{terminal.pk}/recording/")
    assert (answer.status_code, answer.json()["code"]) == (404, "terminal.no_recording")


def test_stranger_gets_no_recording(daemon: DaemonProcess, agent: Agent, user: Any, stranger: Any) -> None:
    terminal = asked(agent, user)
    browser = Client()
    browser.force_login(stranger)
    assert browser.get(f"/api/v1/sessions/{terminal.pk}/recording/").json()["code"] == "terminal.not_found"


def test_rows_of_old_recordings_are_forgotten(agent: Agent, user: Any) -> None:
    now = timezone.now()
    for age in (20, 5):
        terminal = Terminal.objects.create(agent=agent, created_by=user, created_at=now)
        then = now - timedelta(days=age)
        Recording.objects.create(terminal=terminal, started_at=then, ended_at=then)
    assert upkeep.forget_recordings(now=now, days=0) == 0
    assert upkeep.forget_recordings(now=now, days=14) == 1


def test_idle_terminal_is_announced_and_ended_and_a_key_keeps_it(
    impatient: DaemonProcess, agent: Agent, user: Any
) -> None:
    terminal = asked(agent, user)
    with Viewer(impatient.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        (words,) = viewer.hear_kind(Kind.NOTICE)
        assert b"nobody uses it" in words
        viewer.type(b"\n")
        assert viewer.hear_kind(Kind.NOTICE) == (b"",)
        assert b"nobody uses it" in viewer.hear_kind(Kind.NOTICE)[0]
        _, _, reason = viewer.hear_kind(Kind.EXIT)
    assert reason == b"nobody used it for 6 seconds"
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert row.reason == "nobody used it for 6 seconds"
    kinds = [event.kind for event in journal.replay(terminal.topic, after=0)]
    assert kinds.count("terminal.expires_soon") == 2


def test_a_watch_in_which_nothing_is_printed_ends_with_words_that_fit_it(
    impatient: DaemonProcess, agent: Agent, user: Any
) -> None:
    terminal = asked(agent, user, kind=Terminal.Kind.WATCH)
    with Viewer(impatient.socket) as viewer:
        viewer.open(terminal)
        (words,) = viewer.hear_kind(Kind.NOTICE)
        assert b"Watch again at any time" in words
        assert b"Type" not in words
        _, _, reason = viewer.hear_kind(Kind.EXIT)
    assert reason == b"nothing was printed in it for 6 seconds"
