"""Bearer tokens, and what their scope allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from config.access.models import ApiToken, Scope, digest_of

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports this module through the settings


def user_of(token: str) -> tuple[Any, ApiToken] | None:
    """The active user behind a token's text and the token's row; None when it is unknown, expired or revoked."""
    row = ApiToken.objects.select_related("user").filter(digest=digest_of(token)).first()
    if row is None or not row.valid(now=timezone.now()) or not row.user.is_active:
        return None
    return row.user, row


class BearerToken(authentication.BaseAuthentication):
    """``Authorization: Bearer moor_…``."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = user_of(token.strip())
        if found is None:
            raise exceptions.AuthenticationFailed("The token is unknown, expired or revoked.")
        return found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="moorage"'


class ScopeAllows(permissions.IsAuthenticated):
    """Signed in; and a token that may only read is used for reading only."""

    message = "This token may only read."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        token = request.auth
        return not (
            isinstance(token, ApiToken) and token.scope == Scope.READ and request.method not in permissions.SAFE_METHODS
        )
