"""Several people at one terminal: who may type, who asks, who is brought back, and what the journal says of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agents.models import Agent
from events import journal
from sessions import lifecycle
from sessions.host import client
from sessions.host.wire import LIVE_ONLY, WINDOW, Kind, Problem, Wish
from sessions.models import SessionHost, Terminal
from tests.patience import eventually
from tests.sessions.conftest import DaemonProcess
from tests.sessions.viewer import Viewer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def terminal(daemon: DaemonProcess, agent: Agent, user: Any) -> Terminal:
    eventually(lambda: SessionHost.objects.exists())
    return lifecycle.request_open(agent_id=agent.pk, by=user, title="work", columns=80, rows=24)


def people(viewer: Viewer, *, count: int) -> list[dict[str, Any]]:
    """Everybody at the terminal, once there are so many."""
    while True:
        _, _, text = viewer.hear_kind(Kind.PEOPLE)
        if len(found := json.loads(text)) == count:
            return list(found)


def test_who_comes_late_is_shown_the_screen_and_not_the_bytes_of_before(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    with Viewer(daemon.socket) as first, Viewer(daemon.socket) as late:
        first.open(terminal)
        first.take_control()
        first.type(b"clear; printf '\\033[31mred\\033[6n\\033[0m'; echo do''ne\n")
        first.read_until(b"done\r\n")
        _, head, *_ = late.attach(terminal, offset=LIVE_ONLY)
        offset, columns, rows, exact, last, drawn = late.hear_kind(Kind.SNAPSHOT)
        assert (offset >= head, columns, rows, exact, last) == (True, 80, 24, 1, 1)
        assert b"31m" in drawn
        assert b"[6n" not in drawn


def test_who_may_only_watch_asks_and_is_handed_control(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as ada, Viewer(daemon.socket) as eve:
        ada.open(terminal)
        ada.take_control()
        eve.attach(terminal, may_type=False, name="eve")
        eve.say(Kind.CONTROL, eve.control_epoch, Wish.TAKE, 0)
        assert eve.refused() == Problem.NOT_ALLOWED
        eve.say(Kind.CONTROL, eve.control_epoch, Wish.ASK, 0)
        while not (asking := [each for each in people(ada, count=2) if each["asks"]]):
            pass
        assert asking[0]["name"] == "eve"
        ada.say(Kind.CONTROL, ada.control_epoch, Wish.HAND_TO, asking[0]["viewer"])
        eve.control_epoch, yours = eve.hear_kind(Kind.CONTROL)
        assert yours
        ada.type(b"echo too late\n")
        assert ada.refused() == Problem.STALE_CONTROL
        eve.type(b"echo i''t is mine\n")
        ada.read_until(b"it is mine")
    wanted = ["joined", "took", "joined", "asked", "gave"]
    eventually(
        lambda: (
            [
                event.kind.partition(".")[2]
                for event in journal.replay(terminal.topic, after=0)
                if event.kind.partition(".")[2] in {"joined", "took", "asked", "gave"}
            ]
            == wanted
        )
    )
    gave = next(event for event in journal.replay(terminal.topic, after=0) if event.kind == "terminal.gave")
    assert (gave.actor, gave.data) == ("user:ada", {"to": "eve"})


def test_control_cannot_be_handed_to_somebody_who_left(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as ada:
        ada.open(terminal)
        ada.take_control()
        ada.say(Kind.CONTROL, ada.control_epoch, Wish.HAND_TO, 99)
        assert ada.refused() == Problem.NOT_ATTACHED
        ada.say(Kind.CONTROL, ada.control_epoch, 9, 0)
        assert ada.refused() == Problem.MALFORMED


def test_a_program_waits_for_whoever_has_control_and_not_for_ever(daemon: DaemonProcess, terminal: Terminal) -> None:
    def head() -> int:
        tail = client.tail(daemon.socket, terminal.pk, limit=1)
        return tail.offset + len(tail.data)

    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.take_control()
        viewer.acknowledges = False
        viewer.type(b"yes\n")
        eventually(lambda: head() >= WINDOW)
        held = head()
        time.sleep(0.5)
        assert head() == held
        assert held < 3 * WINDOW
        eventually(lambda: head() > held + 10 * WINDOW)  # nothing was acknowledged for three seconds


def test_who_acknowledges_what_was_never_sent_is_refused(daemon: DaemonProcess, terminal: Terminal) -> None:
    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
        viewer.say(Kind.ACK, 1 << 40)
        assert viewer.refused() == Problem.BAD_OFFSET


def test_a_terminal_that_everybody_left_is_detached_and_live_again_with_the_next(
    daemon: DaemonProcess, terminal: Terminal
) -> None:
    def state() -> str:
        return str(Terminal.objects.get(pk=terminal.pk).state)

    with Viewer(daemon.socket) as viewer:
        viewer.open(terminal)
    eventually(lambda: state() == "detached")
    with Viewer(daemon.socket) as viewer:
        viewer.attach(terminal)
        eventually(lambda: state() == "live")
        lifecycle.close(terminal.pk, actor="user:ada", reason="enough")
        viewer.hear_kind(Kind.EXIT)
