"""Websocket routes, and who may open them: the exact origin, and a session or a bearer token.

Every consumer finds in its scope ``user``; ``may_write``, which a token that may only read has not; and
``still_signed_in()``, which proves the same caller again, from the database, on any later day.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from channels.routing import URLRouter
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host
from django.urls import URLPattern, path

from config.access.authentication import user_of
from config.access.models import Scope as TokenScope
from events.consumers import EventsConsumer
from sessions.consumers import TerminalsConsumer

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]
_PORTS = {"http": 80, "https": 443}


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


def bearer_of(scope: Scope) -> str | None:
    """The token of an ``Authorization: Bearer`` header, else None."""
    scheme, _, token = next(iter(_headers(scope, b"authorization")), "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; None for what is not exactly one (``null``, a path, user info)."""
    try:
        parts = urlsplit(text.lower())
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if port is None or not parts.hostname or "@" in parts.netloc or parts.path or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, port


def origin_allowed(scope: Scope) -> bool:
    """Whether a websocket may be opened: for a host of ours, from the same origin or a trusted one.

    A program with a bearer token needs no Origin; a browser always sends one, and it is compared whole: scheme, host
    and port. The Host header is checked too, or a name that an attacker re-binds to us would be its own origin.
    """
    hosts, origins = _headers(scope, b"host"), _headers(scope, b"origin")
    if len(hosts) != 1 or len(origins) > 1 or not validate_host(split_domain_port(hosts[0])[0], settings.ALLOWED_HOSTS):
        return False
    if not origins:
        return bearer_of(scope) is not None
    given = _origin(origins[0])
    ours = _origin(f"{'https' if _is_secure(scope) else 'http'}://{hosts[0]}")
    trusted = {_origin(origin) for origin in settings.CSRF_TRUSTED_ORIGINS}
    return given is not None and (given == ours or given in trusted)


def _is_secure(scope: Scope) -> bool:
    if settings.SECURE_PROXY_SSL_HEADER:
        name, value = settings.SECURE_PROXY_SSL_HEADER
        return _headers(scope, name.removeprefix("HTTP_").replace("_", "-").lower().encode()) == [value]
    return scope.get("scheme") == "wss"


class ExactOrigin:
    """Refuses the handshake (403) unless :func:`origin_allowed`."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if origin_allowed(scope):
            await self._application(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 4403})


class SignedIn:
    """Puts ``user``, ``may_write`` and ``still_signed_in`` into the scope. No cookie makes a bad token good."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        user, may_write = await database_sync_to_async(_caller)(scope)
        known = {
            "user": user, "may_write": may_write,  # a token's scope is never rewritten
            "still_signed_in": lambda: _caller(scope)[0] if user.is_authenticated else None,
        }  # fmt: skip
        await self._application({**scope, **known}, receive, send)


def _caller(scope: Scope) -> tuple[Any, bool]:
    """Who it is, and whether they may do more than read."""
    bearer = bearer_of(scope)
    if bearer is not None:
        found = user_of(bearer)
        return (found[0], found[1].scope != TokenScope.READ) if found else (AnonymousUser(), False)
    cookies = parse_cookie("; ".join(_headers(scope, b"cookie")))
    key = cookies.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return AnonymousUser(), False
    # A fresh store each time: one that is kept would never hear of the logout.
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    return user, user.is_authenticated


routes: list[URLPattern] = [
    path("ws/events/", EventsConsumer.as_asgi()),
    path("ws/terminals/", TerminalsConsumer.as_asgi()),
]
websocket = ExactOrigin(SignedIn(URLRouter(routes)))
