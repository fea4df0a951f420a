"""``manage.py token``: prints a new API token, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config.access.models import Scope, issue

_LONGEST_DAYS = 3650


class Command(BaseCommand):
    help = "Prints a new API token of USER on standard output; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", metavar="USER", help="whose token: it can do what this user may do")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.WRITE.value, help="default: %(default)s")
        parser.add_argument("--name", default="", help="what it is used for, shown in the list of tokens")
        parser.add_argument("--days", type=int, help="valid for so many days; without it, until it is revoked")

    def handle(self, *args: Any, **options: Any) -> None:
        username, name, days = options["user"], options["name"], options["days"]
        if days is not None and not 1 <= days <= _LONGEST_DAYS:
            raise CommandError(f"--days must be between 1 and {_LONGEST_DAYS}.")
        if len(name) > 100:
            raise CommandError("--name must have at most 100 characters.")
        users = get_user_model()
        user = users.objects.filter(**{users.USERNAME_FIELD: username}).first()
        if user is None:
            raise CommandError(
                f"There is no user {username!r}. `make up` creates admin on its first run, another is made "
                "by `.venv/bin/python manage.py createsuperuser`, or in the console under Users."
            )
        if not user.is_active:
            raise CommandError(f"{username} is deactivated: a token of that user would be refused.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        token = issue(user=user, scope=Scope(options["scope"]), name=name, expires_at=expires_at)
        # Only the token goes to standard output, so that MOORAGE_TOKEN=$(… token admin) works.
        until = "until it is revoked" if expires_at is None else f"until {expires_at:%Y-%m-%d %H:%M} UTC"
        self.stderr.write(f"A token of {username} with scope {options['scope']}, valid {until}; shown only now:")
        self.stdout.write(token)
