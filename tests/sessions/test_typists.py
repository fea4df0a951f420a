"""What a broken connection swallowed can be typed once: the session host knows what it was given of whom."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from agents.models import Agent
from sessions import lifecycle
from sessions.host import handover
from sessions.host.typists import MOST_TYPISTS, Typists
from sessions.host.wire import LIVE_ONLY, Kind, Problem
from sessions.models import SessionHost, Terminal
from tests.sessions.conftest import DaemonProcess, eventually
from tests.sessions.viewer import Viewer

ADA, EVE = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes


@pytest.fixture
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user)


def introduce(viewer: Viewer, typist: bytes) -> tuple[int, bool]:
    """In control: how much was taken of this typist before, and whether they are known."""
    viewer.say(Kind.TYPIST, viewer.control_epoch, typist)
    answered, taken, known = viewer.hear_kind(Kind.TYPIST)
    assert answered == typist
    return taken, bool(known)


@pytest.mark.django_db(transaction=True)
def test_what_was_typed_is_counted_across_connections_and_an_upgrade_and_typed_by_nobody_else_meanwhile(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    with Viewer(daemon.socket) as old, Viewer(daemon.socket) as new:
        old.open(terminal)
        old.take_control()
        assert introduce(old, ADA) == (0, False)
        old.type(b"echo o''ne\n")
        old.read_until(b"one")
        new.attach(terminal, offset=LIVE_ONLY)
        new.take_control()
        old.type(b"late\n")  # from a connection of theirs that is thought dead
        assert old.refused() == Problem.STALE_CONTROL
        assert introduce(new, EVE) == (0, False)
        assert introduce(new, ADA) == (11, True)
        new.type(b"echo t''wo\n")
        new.read_until(b"two")
    handover.request(daemon.socket)
    with Viewer(daemon.socket) as viewer:
        viewer.attach(terminal, offset=LIVE_ONLY)
        viewer.take_control()
        assert introduce(viewer, ADA) == (22, True)


@pytest.mark.django_db(transaction=True)
def test_whoever_is_not_in_control_is_not_told_and_where_a_key_is_missing_nobody_is_known(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    with Viewer(daemon.socket) as typist, Viewer(daemon.socket) as observer:
        typist.open(terminal)
        typist.take_control()
        introduce(typist, ADA)
        typist.type(b"echo o''ne\n")
        typist.read_until(b"one")
        observer.attach(terminal, offset=LIVE_ONLY)
        observer.say(Kind.TYPIST, typist.control_epoch, ADA)
        assert observer.refused() == Problem.STALE_CONTROL
        typist.say(Kind.INPUT, typist.control_epoch - 1, rest=b"typed before control came back\n")
        assert typist.refused() == Problem.STALE_CONTROL
        typist.type(b"echo t''wo\n")
        typist.read_until(b"two")
        assert introduce(typist, ADA) == (0, False)


def test_only_those_who_typed_last_are_known() -> None:
    typists = Typists()
    for number in range(MOST_TYPISTS):
        typists.meet(number.to_bytes(16, "big"))
    typists.took((0).to_bytes(16, "big"), 3)
    typists.meet((0).to_bytes(16, "big"))
    typists.meet(b"one more than fit")
    assert typists.meet((0).to_bytes(16, "big")) == (3, True)
    assert typists.meet((1).to_bytes(16, "big")) == (0, False)
