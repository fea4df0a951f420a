"""``manage.py demo``: the main job from nothing, on the embedded stack, with data of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.faults import Fault

MARK = ".moorage-demo"  # only a directory that holds it is ever removed


class Command(BaseCommand):
    help = "Turns the requirements under examples/ into pull requests; exit 0 only if all went well."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=float, default=170, help="Seconds before it gives up.")
        parser.add_argument("--inside", action="store_true", help="Set by the demo itself: its own data is in place.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["inside"]:
            self._perform(options["timeout"])
        else:
            self._restart_inside(options["timeout"])

    def _restart_inside(self, timeout_s: float) -> None:
        """The same command again, with settings that point at fresh data of the demo's own."""
        data = Path(settings.DATA) / "demo"
        if data.exists() and not (data / MARK).exists():
            raise CommandError(f"{data} is not the demo's: move it away first")
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, mode=0o700)
        (data / MARK).touch()
        environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if key not in {"MOORAGE_DATABASE_URL", "MOORAGE_REDIS_URL"}
            },
            "MOORAGE_DATA": str(data),
            "MOORAGE_REPOSITORY_ROOTS": str(data / "remotes"),
            "MOORAGE_SWEEP_S": "1",
            "MOORAGE_LOG_LEVEL": os.environ.get("MOORAGE_LOG_LEVEL", "WARNING"),
        }
        script = str(settings.BASE_DIR / "manage.py")
        os.execve(  # noqa: S606 - argv list, our own interpreter
            sys.executable, [sys.executable, script, "demo", "--inside", "--timeout", str(timeout_s)], environment
        )

    def _perform(self, timeout_s: float) -> None:
        from config.demo import remotes, scenes, show
        from config.supervisor import Supervisor, parts

        data = Path(settings.DATA)
        self.stdout.write("Making three repositories with their history …")
        examples = remotes.build(examples=settings.BASE_DIR / "examples", remotes=data / "remotes")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.stdout.write("Starting Redis, a worker and beat …")
        log_path = data / "stack.log"
        leave_out = frozenset({"web", "flower", "sessionhost", "gateway"})  # its scenes ask no model
        with log_path.open("w") as log:
            try:
                with Supervisor(parts(dict(os.environ), leave_out=leave_out), dict(os.environ), log=log):
                    report = show.perform(examples, data=data, say=self._say, timeout_s=timeout_s)
            except (Fault, show.DemoFailed) as problem:
                raise CommandError(f"{problem}\nThe stack's log is {log_path}") from problem
        (data / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        self._say("\n" + scenes.table(report["operations"]) + "\n")
        for words in report["surprises"] + report["left_held"]:
            self._say(f"✗ {words}")
        if not report["ok"]:
            raise CommandError(f"Not all went well; the stack's log is {log_path}")
        self._say(f"All three in {report['seconds']} s, nothing left held. Report: {data / 'report.json'}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
