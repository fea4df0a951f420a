"""Who is let in at all: every websocket that there is, every wrong origin, every way of not being signed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from config.access.models import ApiToken, Scope, issue
from config.access.rights import revoke_token
from config.sockets import routes
from sessions.host import wire
from sessions.host.wire import ASKED, Kind
from tests.events.conftest import Socket, live_redis

__all__ = ["live_redis"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs_redis]

PATHS = [f"/{route.pattern}" for route in routes]
SIGNED_OUT = 4401
OURS = "http://testserver:8000"
GREETINGS: dict[str, dict[str, Any]] = {
    "/ws/events/": {"text": '{"type": "ping"}'},
    "/ws/terminals/": {"bytes": wire.message(Kind.HELLO, 0, wire.pack(ASKED, Kind.HELLO, wire.VERSION))},
}


def cookie_of(user: Any) -> str:
    """Of a browser in which they have just signed in."""
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


def socket(path: str, **how: Any) -> Socket:
    return Socket(path=path, host="testserver:8000", **how)


async def answered(caller: Socket, path: str) -> bool:
    """Whether whoever is there is talked with; False where the socket is closed as that of nobody."""
    await caller.send_input({"type": "websocket.receive", **GREETINGS[path]})
    heard = await caller.receive_output(10)
    if heard["type"] == "websocket.close":
        assert heard["code"] == SIGNED_OUT
        return False
    await caller.leave()
    return True


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("", id="missing"),
        pytest.param("null", id="null"),
        pytest.param("http://sub.testserver:8000", id="sub-domain"),
        pytest.param("http://testserver.evil.example:8000", id="prefix"),
        pytest.param("https://testserver:8000", id="other scheme"),
        pytest.param("http://testserver:8001", id="other port"),
        pytest.param("http://testserver", id="no port"),
        pytest.param("http://evil.example", id="other host"),
        pytest.param("file://", id="file"),
    ],
)
async def test_a_browser_that_is_signed_in_is_refused_from_any_other_origin(
    live_redis: Any, user: Any, path: str, origin: str
) -> None:
    cookie = await sync_to_async(cookie_of)(user)
    assert not await socket(path, cookie=cookie, origin=origin).opened()


@pytest.mark.parametrize("path", PATHS)
async def test_a_browser_that_is_signed_in_is_let_in_from_our_own(live_redis: Any, user: Any, path: str) -> None:
    caller = socket(path, cookie=await sync_to_async(cookie_of)(user), origin=OURS)
    assert await caller.opened()
    assert await answered(caller, path)


@pytest.mark.parametrize("path", PATHS)
async def test_a_program_with_a_token_needs_no_origin_and_a_foreign_one_is_refused(
    live_redis: Any, user: Any, path: str
) -> None:
    token = await sync_to_async(issue)(user=user, scope=Scope.READ)
    caller = socket(path, token=token)
    assert await caller.opened()
    assert await answered(caller, path)
    assert not await socket(path, token=token, origin="http://evil.example").opened()
    assert not await socket(path, token=token, origin="null").opened()


def _signed_out(user: Any) -> dict[str, str]:
    cookie = cookie_of(user)
    Session.objects.all().delete()
    return {"cookie": cookie}


def _expired_session(user: Any) -> dict[str, str]:
    cookie = cookie_of(user)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    return {"cookie": cookie}


def _new_password(user: Any) -> dict[str, str]:
    cookie = cookie_of(user)
    user.set_password("another one")
    user.save()
    return {"cookie": cookie}


def _switched_off(user: Any) -> dict[str, str]:
    cookie = cookie_of(user)
    type(user).objects.update(is_active=False)
    return {"cookie": cookie}


def _deleted_user(user: Any) -> dict[str, str]:
    cookie = cookie_of(user)
    user.delete()
    return {"cookie": cookie}


def _expired_token(user: Any) -> dict[str, str]:
    return {"token": issue(user=user, expires_at=timezone.now() - timedelta(seconds=1))}


def _revoked_token(user: Any) -> dict[str, str]:
    token = issue(user=user)
    revoke_token(ApiToken.objects.get())
    return {"token": token}


def _token_of_one_switched_off(user: Any) -> dict[str, str]:
    token = issue(user=user)
    type(user).objects.update(is_active=False)
    return {"token": token}


def _bad_token_and_good_cookie(user: Any) -> dict[str, str]:
    return {"token": "moor_guessed", "cookie": cookie_of(user)}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param(lambda _user: {}, id="nothing"),
        pytest.param(lambda _user: {"cookie": "sessionid=guessed"}, id="unknown session"),
        pytest.param(lambda _user: {"token": "moor_guessed"}, id="unknown token"),
        _signed_out, _expired_session, _new_password, _switched_off, _deleted_user,
        _expired_token, _revoked_token, _token_of_one_switched_off, _bad_token_and_good_cookie,
    ],
)  # fmt: skip
async def test_whoever_is_nobody_any_more_is_told_so_and_nothing_else(
    live_redis: Any, user: Any, path: str, credentials: Callable[[Any], dict[str, str]]
) -> None:
    caller = socket(path, origin=OURS, **await sync_to_async(credentials)(user))
    assert await caller.opened()
    assert not await answered(caller, path)
