"""``manage.py up``: the whole stack of this machine in the foreground."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from config.environment import BadSetting, Environment
from config.parts import flower_password
from config.supervisor import Supervisor, parts
from events.faults import Fault


class Command(BaseCommand):
    help = "Runs web, workers, beat, session host, Flower and, if none is configured, Redis; Ctrl-C stops all of it."

    def handle(self, *args: Any, **options: Any) -> None:
        environment = dict(os.environ)
        try:
            supervisor = Supervisor(parts(environment), environment, log=sys.stdout)
        except (Fault, BadSetting) as problem:
            raise CommandError("\n".join([str(problem), getattr(problem, "remedy", "")])) from None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: supervisor.request_stop())
        try:
            supervisor.start()
            supervisor.wait_ready()
            if supervisor.running:
                self._greet(environment)
            supervisor.wait()
        except Fault as fault:
            raise CommandError(f"{fault.detail}\n{fault.remedy_text}") from None
        finally:
            supervisor.stop()
        if supervisor.log_broken:  # whoever read our output has gone: there is nobody to tell
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        self.stdout.write("Everything is stopped.")

    def _greet(self, environment: dict[str, str]) -> None:
        env = Environment(environment)
        flower = f"http://127.0.0.1:{env.text('MOORAGE_FLOWER_PORT')}/   user {env.text('MOORAGE_FLOWER_USER')}"
        web = f"http://127.0.0.1:{env.text('MOORAGE_WEB_PORT')}"
        _, kept_in = flower_password(environment)
        lines = [
            "",
            f"  Console  {web}/admin/",
            f"  API      {web}/api/v1/   (documentation: {web}/api/docs/)",
            f"  Flower   {flower}, password " + (f"in {kept_in}" if kept_in else "as in MOORAGE_FLOWER_PASSWORD"),
        ]
        if password := first_superuser():
            lines += [
                "",
                f"  First run: sign in as admin with the password {password}   (it is not shown again)",
            ]
        self.stdout.write("\n".join([*lines, "", "  Ctrl-C stops everything.", ""]))


def first_superuser() -> str:
    """Create ``admin`` if there is no user at all; returns its new password, "" otherwise."""
    users = get_user_model().objects
    if users.exists():
        return ""
    password = secrets.token_urlsafe(12)
    users.create_superuser(username="admin", password=password)
    return password
