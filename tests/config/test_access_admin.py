"""API tokens in the console: seen once, revoked by POST, and never issued in somebody else's name."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from config.access.authentication import user_of
from config.access.models import ApiToken, issue

pytestmark = pytest.mark.django_db

LIST = reverse("admin:access_apitoken_changelist")
ADD = reverse("admin:access_apitoken_add")


@pytest.fixture
def clerk() -> User:
    """Staff with every right on tokens, and no superuser."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="access"))
    return user


def form(user: User) -> dict[str, str | int]:
    return {"user": user.pk, "name": "ci", "scope": "read", "expires_at_0": "", "expires_at_1": ""}


def test_the_token_is_in_the_answer_once_and_nowhere_else(admin_client: Client, admin_user: User) -> None:
    answer = admin_client.post(ADD, form(admin_user))
    token = re.search(r"moor_[\w-]{20,}", answer.content.decode())
    assert token is not None
    found = user_of(token[0])
    assert found is not None
    assert (found[1].user, found[1].scope, found[1].name) == (admin_user, "read", "ci")
    assert ApiToken.objects.count() == 1
    assert "no-store" in answer["Cache-Control"]
    assert token[0] not in str(answer.cookies)
    assert token[0] not in admin_client.get(LIST).content.decode()


def test_revoking_ends_a_token_at_once_and_twice_is_fine(admin_client: Client, admin_user: User) -> None:
    token = issue(user=admin_user)
    row = ApiToken.objects.get()
    for _ in range(2):
        admin_client.post(LIST, {"action": "revoke", "_selected_action": [row.pk]})
    first = ApiToken.objects.get().revoked_at
    assert first is not None
    assert user_of(token) is None


def test_a_get_revokes_nothing(admin_client: Client, admin_user: User) -> None:
    issue(user=admin_user)
    admin_client.get(f"{LIST}?action=revoke&_selected_action={ApiToken.objects.get().pk}")
    assert ApiToken.objects.get().revoked_at is None


def test_nobody_issues_a_token_of_somebody_else(client: Client, clerk: User, admin_user: User) -> None:
    client.force_login(clerk)
    client.post(ADD, form(admin_user))
    assert not ApiToken.objects.exists()
    client.post(ADD, form(clerk))
    assert ApiToken.objects.get().user == clerk


def test_nobody_sees_or_revokes_tokens_of_others(client: Client, clerk: User, admin_user: User) -> None:
    issue(user=admin_user, name="of-the-admin")
    client.force_login(clerk)
    assert "of-the-admin" not in client.get(LIST).content.decode()
    client.post(LIST, {"action": "revoke", "_selected_action": [ApiToken.objects.get().pk]})
    assert ApiToken.objects.get().revoked_at is None


def test_a_token_cannot_be_rewritten(admin_client: Client, admin_user: User) -> None:
    issue(user=admin_user, name="before")
    row = ApiToken.objects.get()
    change = reverse("admin:access_apitoken_change", args=[row.pk])
    assert admin_client.post(change, {**form(admin_user), "name": "after"}).status_code == 403
    assert ApiToken.objects.get().name == "before"


def test_staff_without_the_right_has_no_access(client: Client) -> None:
    client.force_login(User.objects.create_user("visitor", is_staff=True))
    assert client.get(LIST).status_code == 403
    assert client.get(ADD).status_code == 403
