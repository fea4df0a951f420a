"""``manage.py sessionhost``: the daemon that owns every terminal of this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import SUPPRESS
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.faults import Fault
from sessions.host import client, handover, server
from sessions.host.archive import Rules

_SWITCH_S = 0.000_5  # a thread that talks to the database lets terminals go on after so long


class Command(BaseCommand):
    help = "Owns the terminals of this machine; SIGTERM or Ctrl-C ends them and leaves."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--upgrade",
            action="store_true",
            help="Have the one that runs become what is installed now; its terminals go on.",
        )
        parser.add_argument("--handed", type=int, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["upgrade"]:
                handover.request(client.socket_path(settings.DATA))
                self.stdout.write("The session host runs what is installed now.")
                return
            sys.setswitchinterval(_SWITCH_S)
            ours = uvloop.run(_serve(handed=options["handed"]))
        except Fault as fault:
            raise CommandError(f"{fault.detail}\n{fault.remedy_text}") from None
        if not ours:
            sys.exit(1)


async def _serve(*, handed: int | None) -> bool:
    stop, upgrade = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    asyncio.get_running_loop().add_signal_handler(handover.ASKED, upgrade.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handover.HELD_BACK)  # held back since the program before us
    rules = Rules(
        data=settings.DATA,
        idle_s=settings.TERMINAL_IDLE_S,
        recording_bytes=int(settings.TERMINAL_RECORDING_MB * 2**20),
        recording_days=settings.TERMINAL_RECORDING_DAYS,
    )
    return await server.serve(host=settings.HOST_NAME, rules=rules, stop=stop, upgrade=upgrade, handed=handed)
