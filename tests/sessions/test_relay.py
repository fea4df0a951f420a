"""Terminals through a real web process: relayed, authorised, resumed, and taken away from whoever lost the right."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agents.models import Agent
from config.access.models import ApiToken, Scope, issue
from sessions import lifecycle, sharing
from sessions.host import wire
from sessions.host.wire import LIVE_ONLY, SUBPROTOCOL, TOLD, Kind, Problem, Wish
from sessions.models import Terminal, TerminalGuest
from tests.events.web_process import WebProcess
from tests.sessions.browser import Browser
from tests.sessions.conftest import DaemonProcess

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_is_typed_in_one_browser_is_seen_in_another(web: WebProcess, token: str, terminal: Terminal) -> None:
    with Browser(web.address, token=token) as first, Browser(web.address, token=token) as second:
        first.attach(terminal)
        first.hear_kind(Kind.SNAPSHOT)
        second.attach(terminal, channel=7)
        first.take_control()
        first.type(b"echo a''cross\n")
        first.read_until(b"across\r\n")
        second.read_until(b"across\r\n")
        second.say(Kind.DETACH, channel=7)
        second.hear_kind(Kind.DETACH)


def test_whoever_one_says_to_be_one_is_known_by_the_name_one_signed_in_with(
    web: WebProcess, token: str, terminal: Terminal
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        _, _, people = browser.hear_kind(Kind.PEOPLE)
        assert [each["name"] for each in json.loads(people)] == ["ada"]


def test_a_broken_connection_resumes_without_a_gap(web: WebProcess, token: str, terminal: Terminal) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        browser.take_control()
        browser.type(b"echo be''fore\n")
        browser.read_until(b"before\r\n")
        offset = browser.offset
    web.stop()
    web.start()
    with Browser(web.address, token=token) as again:
        told = again.attach(terminal, offset=offset)
        assert told[1] >= offset
        again.take_control()
        again.type(b"echo af''ter\n")
        assert b"before" not in again.read_until(b"after\r\n")


def test_many_terminals_share_one_socket(
    web: WebProcess, token: str, agent: Agent, user: Any, terminal: Terminal
) -> None:
    other = lifecycle.request_open(agent_id=agent.pk, by=user)
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal, channel=1)
        browser.attach(other, channel=2)
        browser.control_epoch = 0
        browser.take_control(channel=2)
        browser.type(b"echo only' 'here\n", channel=2)
        seen: dict[int, bytes] = {1: b"", 2: b""}
        while b"only here" not in seen[2]:
            frame = browser.hear()
            if frame.kind == Kind.DATA:
                seen[frame.channel] += wire.unpack(TOLD, frame)[1]
        assert b"only here" not in seen[1]
        browser.say(Kind.ATTACH, other.pk.bytes, 0, 1, channel=2)
        assert browser.refused()[0] == Problem.CHANNEL_TAKEN


def test_a_stranger_learns_nothing(web: WebProcess, stranger: Any, terminal: Terminal) -> None:
    with Browser(web.address, token=issue(user=stranger, scope=Scope.WRITE)) as browser:
        browser.say(Kind.ATTACH, terminal.pk.bytes, 0, 1)
        problem, words = browser.refused()
        assert (problem, words) == (Problem.NOT_OPEN, f"there is no terminal {terminal.pk}")


def test_whoever_loses_the_right_to_look_is_cut_off(
    web: WebProcess, token: str, terminal: Terminal, agent: Agent, stranger: Any
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        Agent.objects.filter(pk=agent.pk).update(created_by=stranger)
        problem, _ = browser.refused()
        assert problem == Problem.NOT_ALLOWED
        browser.type(b"echo still here\n")
        assert browser.refused()[0] == Problem.NOT_ATTACHED


@pytest.fixture
def guest(terminal: Terminal, stranger: Any) -> TerminalGuest:
    """Eve, who may type."""
    return TerminalGuest.objects.create(terminal=terminal, user=stranger, may_type=True, created_at=timezone.now())


def test_guest_types_until_that_is_taken_back_and_watches_until_they_are_taken_off(
    web: WebProcess, token: str, terminal: Terminal, stranger: Any, user: Any, guest: TerminalGuest
) -> None:
    with Browser(web.address, token=issue(user=stranger, scope=Scope.WRITE)) as browser:
        browser.attach(terminal)
        browser.take_control()
        browser.type(b"echo by' 'eve\n")
        browser.read_until(b"by eve")
        sharing.share(terminal.pk, user="eve", may_type=False, by=user)
        assert browser.refused()[0] == Problem.RIGHTS_CHANGED
        browser.type(b"echo still' 'typing\n")
        assert browser.refused()[0] == Problem.NOT_ATTACHED
        browser.attach(terminal, offset=browser.offset)
        browser.say(Kind.CONTROL, browser.control_epoch, Wish.TAKE, 0)
        assert browser.refused()[0] == Problem.NOT_ALLOWED
        browser.type(b"echo still' 'typing\n")
        assert browser.refused()[0] == Problem.STALE_CONTROL
        sharing.share(terminal.pk, user="eve", may_type=True, by=user)
        assert browser.refused()[0] == Problem.RIGHTS_CHANGED
        browser.attach(terminal, offset=browser.offset)
        browser.take_control()
        sharing.unshare(terminal.pk, user="eve", by=user)
        assert browser.refused()[0] == Problem.NOT_ALLOWED
        browser.say(Kind.ATTACH, terminal.pk.bytes, 0, 1)
        assert browser.refused()[0] == Problem.NOT_OPEN


def test_former_owner_is_cut_off_when_the_terminal_was_handed_over(
    web: WebProcess, terminal: Terminal, agent: Agent, stranger: Any, user: Any, guest: TerminalGuest
) -> None:
    with Browser(web.address, token=issue(user=stranger, scope=Scope.WRITE)) as browser:
        browser.attach(terminal)
        sharing.hand_over(terminal.pk, user="eve", by=user)
        sharing.hand_over(terminal.pk, user="ada", by=stranger)
        assert browser.refused()[0] == Problem.NOT_ALLOWED


def test_account_that_is_switched_off_ends_the_socket(
    web: WebProcess, terminal: Terminal, stranger: Any, guest: TerminalGuest
) -> None:
    with Browser(web.address, token=issue(user=stranger, scope=Scope.WRITE)) as browser:
        browser.attach(terminal)
        type(stranger).objects.filter(pk=stranger.pk).update(is_active=False)
        with pytest.raises(ConnectionClosed) as closed:
            browser.read_until(b"what is never printed")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_a_revoked_token_ends_the_socket(web: WebProcess, token: str, terminal: Terminal) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        ApiToken.objects.all().delete()
        with pytest.raises(ConnectionClosed) as closed:
            browser.read_until(b"what is never printed")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_a_session_host_that_is_killed_is_away_and_its_terminals_go_on_under_the_next(
    web: WebProcess, daemon: DaemonProcess, token: str, terminal: Terminal
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        daemon.signal(signal.SIGKILL)
        assert browser.refused()[0] == Problem.AWAY
        daemon.start()
        browser.attach(terminal)
        browser.take_control()
        browser.type(b"echo still' 'here\n")
        browser.read_until(b"still here\r\n")


@pytest.mark.parametrize("message", ["text", b"", b"\x01\x00", b"\x20" * 70_000])
def test_what_is_no_frame_ends_the_socket(web: WebProcess, token: str, message: str | bytes) -> None:
    with Browser(web.address, token=token) as browser:
        browser.socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            browser.hear()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


def test_what_a_browser_may_not_say_is_refused_and_the_socket_lives(
    web: WebProcess, token: str, terminal: Terminal
) -> None:
    with Browser(web.address, token=token, greet=False) as browser:
        browser.say(Kind.PING, rest=b"?")
        assert browser.refused()[0] == Problem.VERSION
        browser.say(Kind.HELLO, wire.VERSION)
        browser.hear_kind(Kind.HELLO)
        browser.say(Kind.CLOSE, rest=b"all of it")
        assert browser.refused()[0] == Problem.UNKNOWN_TYPE
        browser.socket.send(wire.message(Kind.DATA, 1, b"x" * 20))
        assert browser.refused()[0] == Problem.UNKNOWN_TYPE
        browser.socket.send(wire.message(Kind.ACK, 1, b"short"))
        assert browser.refused()[0] == Problem.MALFORMED
        browser.say(Kind.INPUT, 0, rest=b"x", channel=9)
        assert browser.refused()[0] == Problem.NOT_ATTACHED
        browser.attach(terminal)
        browser.say(Kind.INPUT, 5, rest=b"x")
        assert browser.refused()[0] == Problem.STALE_CONTROL
        browser.say(Kind.CONTROL, 7, Wish.TAKE, 0)
        assert browser.refused()[0] == Problem.STALE_CONTROL


@pytest.mark.parametrize("subprotocols", [None, ["moorage.term.v2"]])
def test_the_handshake_is_refused_to_who_speaks_something_else(
    web: WebProcess, token: str, subprotocols: list[str] | None
) -> None:
    with pytest.raises(InvalidStatus):
        Browser(web.address, token=token, greet=False, subprotocols=subprotocols)


def test_two_hundred_come_back_at_once_and_each_goes_on_where_it_was(
    web: WebProcess, token: str, terminal: Terminal
) -> None:
    def come(offset: int) -> Browser:
        browser = Browser(web.address, token=token)
        browser.attach(terminal, offset=offset)
        return browser

    with ThreadPoolExecutor(200) as pool:
        crowd = list(pool.map(come, [LIVE_ONLY] * 200))
        crowd[0].take_control()
        crowd[0].type(b"echo be' 'fore\n")
        list(pool.map(lambda each: each.read_until(b"be fore"), crowd))
        web.kill()
        list(pool.map(Browser.close, crowd))
        web.start()
        crowd = list(pool.map(come, [each.offset for each in crowd]))
        typist = crowd[0]
        typist.take_control()
        typist.type(b"echo af' 'ter\n")
        heard = list(pool.map(lambda each: each.read_until(b"af ter"), crowd))
        list(pool.map(Browser.close, crowd))
    assert not any(b"be fore" in each for each in heard)


def test_the_subprotocol_is_answered(web: WebProcess, token: str) -> None:
    with Browser(web.address, token=token) as browser:
        assert browser.socket.subprotocol == SUBPROTOCOL
