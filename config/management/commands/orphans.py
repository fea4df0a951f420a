"""``manage.py orphans``: what this host holds that nobody owns, and one sweep of it."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from config import doctor, measures
from resources import orphans
from resources.models import Host


class Command(BaseCommand):
    help = (
        "Lists what carries our mark on this host and belongs to nobody, with what happens to it, and sweeps once. "
        "Nothing is removed before its second sighting, ten minutes after the first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="look only: remove nothing, write nothing down")
        parser.add_argument("--json", action="store_true", help="one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        database = doctor.readiness(*measures.look_at_database())
        if not database.ok:
            raise CommandError(f"{database.detail}. {database.remedy}")
        host = Host.objects.filter(name=settings.HOST_NAME).first()
        if host is None:
            raise CommandError(
                f"{settings.HOST_NAME} has never registered: start its worker once, or set MOORAGE_HOST_NAME."
            )
        now = timezone.now()
        found, refused = orphans.look(host, now=now)
        plan = orphans.Plan((), refused) if options["dry_run"] else orphans.sweep(host_name=host.name, now=now)
        if options["json"]:
            self.stdout.write(json.dumps(_document(host, found, plan, dry_run=options["dry_run"]), indent=2))
            return
        for one in found:
            fate = "removed" if one.trace.name in plan.remove else one.fate.label
            self.stdout.write(f"{one.trace.kind:<10} {one.trace.name}\n{'':10} {fate}: {one.reason}")
        if plan.refused:
            self.stdout.write(self.style.WARNING(f"Nothing is removed: {plan.refused}."))
        self.stdout.write(f"{len(found)} found on {host.name}, {len(plan.remove)} removed.")


def _document(host: Host, found: list[orphans.Candidate], plan: orphans.Plan, *, dry_run: bool) -> dict[str, Any]:
    return {
        "host": host.name,
        "dry_run": dry_run,
        "refused": plan.refused,
        "removed": list(plan.remove),
        "found": [
            {
                "kind": one.trace.kind, "name": one.trace.name, "owner": one.trace.owner, "fate": one.fate.value,
                "reason": one.reason,
            }
            for one in found
        ],
    }  # fmt: skip
