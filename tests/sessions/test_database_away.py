"""The database goes away under the daemon: terminals go on, and what happened is written down afterwards."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import connection

from agents.models import Agent
from sessions import lifecycle
from sessions.host.wire import Kind
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


def test_terminals_go_on_while_the_database_is_away(daemon: DaemonProcess, agent: Agent, user: Any) -> None:
    eventually(lambda: SessionHost.objects.exists())
    terminal = lifecycle.request_open(agent_id=agent.pk, by=user)
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        stranger = sqlite3.connect(str(connection.settings_dict["NAME"]), isolation_level=None)
        stranger.execute("BEGIN EXCLUSIVE")
        eventually(lambda: "the database is away" in daemon.log.read_text())
        viewer.type(b"echo still' 'here\n")
        viewer.read_until(b"still here", within_s=1)
        viewer.type(b"exit 5\n")
        _, code, _ = viewer.hear_kind(Kind.EXIT)
        assert code == 5
        stranger.execute("ROLLBACK")
        stranger.close()
    row = eventually(lambda: Terminal.objects.filter(pk=terminal.pk, state="closed").first())
    assert row.exit_code == 5
    eventually(lambda: "the database is back" in daemon.log.read_text())
