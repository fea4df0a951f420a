"""``manage.py demo``: the main job from nothing, on the embedded stack, with data of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.faults import Fault

# The demo runs on a database and a Redis of its own, however others were given.
_NOT_OURS = frozenset({"MOORAGE_DATABASE_URL", "MOORAGE_REDIS_URL", "MOORAGE_REDIS_URL_FILE"})


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
        """The same command again, with settings that point at data of the demo's own."""
        from config.demo import fresh, show

        data = Path(settings.DATA) / "demo"
        try:
            fresh.mark(data)
        except (OSError, show.DemoFailed) as problem:
            raise CommandError(str(problem)) from problem
        environment = {
            **{key: value for key, value in os.environ.items() if key not in _NOT_OURS},
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
        from config.demo import fresh, remotes, scenes, show
        from config.supervisor import Supervisor, parts, take_lock

        data = Path(settings.DATA)
        try:
            lock = take_lock(data)  # before anything is removed: another demo may be in the middle of it
            fresh.clear(data)
        except (Fault, show.DemoFailed) as problem:
            raise CommandError("\n".join([str(problem), getattr(problem, "remedy_text", "")]).strip()) from problem
        self.stdout.write("Making three repositories with their history …")
        examples = remotes.build(examples=settings.BASE_DIR / "examples", remotes=data / "remotes")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.stdout.write("Starting Redis, a worker and beat …")
        log_path = data / "stack.log"
        leave_out = frozenset({"web", "flower", "sessionhost", "gateway"})  # its scenes ask no model
        table = parts(dict(os.environ), leave_out=leave_out)
        with log_path.open("w") as log:
            try:
                with Supervisor(table, dict(os.environ), log=log, lock=lock):
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
