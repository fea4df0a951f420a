"""``manage.py doctor``: each need of this machine, ok or not, and the command that mends it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.doctor import Finding, examine, healthy
from config.measures import measure


class Command(BaseCommand):
    help = "Says what this machine has and lacks; exit code 1 if something required is missing."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine(measure(os.environ))
        if options["json"]:
            document = {"ok": healthy(findings), "findings": [dataclasses.asdict(f) for f in findings]}
            self.stdout.write(json.dumps(document, indent=2))
        else:
            self._table(findings)
        if not healthy(findings):
            sys.exit(1)

    def _table(self, findings: tuple[Finding, ...]) -> None:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = "ok     " if finding.ok else "MISSING" if finding.required else "without"
            style = self.style.SUCCESS if finding.ok else self.style.ERROR if finding.required else self.style.WARNING
            self.stdout.write(f"{style(mark)}  {finding.name:<{width}}  {finding.detail}")
            if finding.remedy:
                self.stdout.write(f"{'':9}{'':<{width}}  → {finding.remedy}")
        missing = [finding.name for finding in findings if finding.required and not finding.ok]
        self.stdout.write("\n" + (f"Missing: {', '.join(missing)}." if missing else "Everything required is here."))
