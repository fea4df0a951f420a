"""``manage.py volumes``: the volumes that this host keeps for projects and for all, listed and removed."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.faults import Fault
from resources.volumes import kept


class Command(BaseCommand):
    help = "Lists the volumes that this host keeps (caches of projects, shared ones), or removes one that nobody uses."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what this host keeps, how much it holds, who has it mounted")
        listing.add_argument("--json", action="store_true", help="one JSON array")
        removing = actions.add_parser("remove", help="take one away, with all that is in it")
        removing.add_argument("name", metavar="NAME", help="one of those listed")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list(as_json=options["json"])
            return
        try:
            kept.remove(options["name"])
        except Fault as fault:
            raise CommandError(f"{fault.detail}. {fault.remedy_text}") from fault
        self.stdout.write(f"{options['name']}: removed")

    def _list(self, *, as_json: bool) -> None:
        found = kept.all_of_this_host()
        if as_json:
            rows = [
                {
                    "name": one.key, "used_mb": one.used_mb, "files": one.files, "users": list(one.users),
                    "changed_at": one.changed_at.isoformat(),
                }
                for one in found
            ]  # fmt: skip
            self.stdout.write(json.dumps(rows, indent=2))
            return
        for one in found:
            users = ", ".join(one.users) or "nobody"
            self.stdout.write(f"{one.key}  {one.used_mb} MB  {one.files} files  used by {users}")
        if not found:
            self.stderr.write("This host keeps no volumes.")
