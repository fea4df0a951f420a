"""``manage.py work``: the work of operations that this host keeps, listed and given back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.faults import Fault
from operations.coding import retention


class Command(BaseCommand):
    help = "Lists the work that this host keeps of operations, or restores it as a branch in a fresh repository."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what this host keeps, newest operation first")
        listing.add_argument("--json", action="store_true", help="one JSON array")
        restoring = actions.add_parser("restore", help="make a repository with a branch of the work, on its base")
        restoring.add_argument("operation", metavar="OPERATION", type=UUID, help="the operation's id")
        restoring.add_argument("--to", metavar="DIR", type=Path, help="default: a new directory named after it, here")
        restoring.add_argument("--label", default="", help="one of those listed; default: the latest state")
        restoring.add_argument("--bare", action="store_true", help="a bare repository, without files")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list(as_json=options["json"])
            return
        to = options["to"] or Path(f"moorage-{options['operation'].hex[:8]}")
        try:
            restored = retention.restore(
                operation_id=options["operation"], to=to, label=options["label"], bare=options["bare"]
            )
        except Fault as fault:
            raise CommandError(" ".join(text for text in (f"{fault.detail}.", fault.remedy_text) if text)) from fault
        except OSError as error:
            raise CommandError(f"{to}: {error.strerror}") from error
        self.stdout.write(f"{restored.path}: branch {restored.branch} at {restored.commit[:12]}")

    def _list(self, *, as_json: bool) -> None:
        try:
            states = list(retention.kept())
        except Fault as fault:
            raise CommandError(f"{fault.detail}. {fault.remedy_text}") from fault
        if as_json:
            rows = [
                {
                    "operation": str(state.operation.pk), "project": state.operation.project.name,
                    "status": state.operation.status, "label": state.label, "object": state.name,
                }
                for state in states
            ]  # fmt: skip
            self.stdout.write(json.dumps(rows, indent=2))
            return
        for state in states:
            operation = state.operation
            self.stdout.write(f"{operation.pk}  {operation.status:<9}  {operation.project.name:<20}  {state.label}")
        if not states:
            self.stderr.write("This host keeps no work.")
