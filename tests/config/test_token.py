"""``manage.py token``: prints the token and nothing else, stores only its digest, and refuses clearly."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from config.access.authentication import user_of
from config.access.models import ApiToken
from config.management.commands.token import Command

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command(Command(), *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_standard_output_is_the_token_and_nothing_else(ada: User) -> None:
    token = printed("ada", "--scope", "read", "--name", "laptop").removesuffix("\n")
    found = user_of(token)
    assert found is not None
    user, row = found
    assert (user, row.scope, row.name, row.expires_at) == (ada, "read", "laptop", None)


def test_only_a_digest_is_stored(ada: User) -> None:
    token = printed("ada").strip()
    assert token not in str(ApiToken.objects.values().get())


def test_days_bound_its_life(ada: User) -> None:
    printed("ada", "--days", "2")
    expires_at = ApiToken.objects.get().expires_at
    assert expires_at is not None
    assert 1 <= (expires_at - timezone.now()).days <= 2


@pytest.mark.parametrize("days", ["0", "-1", "100000"])
def test_a_senseless_number_of_days_is_refused(ada: User, days: str) -> None:
    with pytest.raises(CommandError, match="--days must be between"):
        printed("ada", f"--days={days}")
    assert not ApiToken.objects.exists()


def test_an_unknown_user_is_refused_with_the_way_to_make_one() -> None:
    with pytest.raises(CommandError, match=r"(?s)no user 'nobody'.*createsuperuser"):
        printed("nobody")


def test_a_deactivated_user_gets_no_token(ada: User) -> None:
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="deactivated"):
        printed("ada")


def test_an_unknown_scope_is_refused_by_name(ada: User) -> None:
    with pytest.raises(CommandError, match="'everything'"):
        printed("ada", "--scope", "everything")
