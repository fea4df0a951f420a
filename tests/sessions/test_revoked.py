"""A right that is lost while somebody is at a terminal, and rights that a token never had."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from agents import tenure
from agents.models import Agent
from config.access.models import ApiToken, Scope, issue
from config.access.rights import revoke_token
from sessions import revocation
from sessions.host.wire import Kind, Problem, Wish
from sessions.models import Terminal
from tests.events.web_process import WebProcess
from tests.sessions.browser import Browser
from tests.sessions.test_doors import SIGNED_OUT, cookie_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_redis]


def by_cookie(web: WebProcess, user: Any) -> Browser:
    headers = {"Cookie": cookie_of(user), "Origin": f"http://{web.address}"}
    return Browser(web.address, token="", additional_headers=headers)


def _token_expires(_user: Any) -> None:
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def _token_is_revoked(_user: Any) -> None:
    revoke_token(ApiToken.objects.get())


def _account_is_switched_off(user: Any) -> None:
    type(user).objects.filter(pk=user.pk).update(is_active=False)


def _session_ends(_user: Any) -> None:
    Session.objects.all().delete()


def _session_expires(_user: Any) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def _password_is_changed(user: Any) -> None:
    user.set_password("another one")
    user.save()


def ended(browser: Browser) -> int:
    """The code with which the socket is closed, whatever comes before."""
    with pytest.raises(ConnectionClosed) as closed:
        browser.read_until(b"what is never printed")
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize("lose", [_token_expires, _token_is_revoked, _account_is_switched_off])
def test_a_program_that_may_not_come_in_any_more_is_put_out(
    web: WebProcess, token: str, terminal: Terminal, user: Any, lose: Callable[[Any], None]
) -> None:
    with Browser(web.address, token=token) as browser:
        browser.attach(terminal)
        browser.take_control()
        lose(user)
        assert ended(browser) == SIGNED_OUT


@pytest.mark.parametrize("lose", [_session_ends, _session_expires, _password_is_changed, _account_is_switched_off])
def test_a_browser_that_is_signed_out_is_put_out(
    web: WebProcess, terminal: Terminal, user: Any, lose: Callable[[Any], None]
) -> None:
    with by_cookie(web, user) as browser:
        browser.attach(terminal)
        browser.take_control()
        lose(user)
        assert ended(browser) == SIGNED_OUT


def test_whoever_handed_the_agent_over_is_cut_off_from_its_terminal_and_control_is_free(
    web: WebProcess, token: str, terminal: Terminal, agent: Agent, stranger: Any
) -> None:
    Terminal.objects.update(created_by=stranger)  # hers by her agent alone
    with (
        Browser(web.address, token=token) as browser,
        Browser(web.address, token=issue(user=stranger, scope=Scope.WRITE)) as heir,
    ):
        browser.attach(terminal)
        browser.take_control()
        tenure.hand_over(agent.pk, to="eve", actor="user:ada", reason="a test")
        assert browser.refused()[0] == Problem.NOT_ALLOWED
        browser.type(b"echo still' 'here\n")
        assert browser.refused()[0] == Problem.NOT_ATTACHED
        browser.say(Kind.ATTACH, terminal.pk.bytes, browser.offset, 1)
        assert browser.refused()[0] == Problem.NOT_OPEN
        heir.attach(terminal)
        heir.take_control()
        heir.type(b"echo mine' 'now\n")
        assert b"still here" not in heir.read_until(b"mine now")


def test_rights_are_asked_for_often_enough_to_cut_off_within_a_second() -> None:
    assert revocation.RECHECK_S < 1


def test_a_token_that_may_only_read_watches_and_does_not_type_even_where_it_is_handed_control(
    web: WebProcess, token: str, terminal: Terminal, user: Any
) -> None:
    with (
        Browser(web.address, token=issue(user=user, scope=Scope.READ)) as reader,
        Browser(web.address, token=token) as typist,
    ):
        reader.attach(terminal)
        viewer, _, people = reader.hear_kind(Kind.PEOPLE)
        assert b'"may_type": false' in people
        for wish in (Wish.TAKE, Wish.ASK):
            reader.say(Kind.CONTROL, reader.control_epoch, wish, 0)
            assert reader.refused() == (Problem.NOT_ALLOWED, "a token that may only read watches, and steers nothing")
        typist.attach(terminal)
        typist.take_control()
        typist.type(b"echo al''ways\n")
        reader.read_until(b"always")
        typist.say(Kind.CONTROL, typist.control_epoch, Wish.HAND_TO, viewer)
        epoch, yours = reader.hear_kind(Kind.CONTROL)
        while not yours:
            epoch, yours = reader.hear_kind(Kind.CONTROL)
        reader.control_epoch = epoch
        reader.type(b"echo nev''er\n")
        assert reader.refused()[0] == Problem.NOT_ALLOWED
