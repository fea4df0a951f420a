"""``manage.py sessionhost``: the daemon that owns every terminal of this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from events.faults import Fault
from sessions.host import server
from sessions.host.archive import Rules


class Command(BaseCommand):
    help = "Owns the terminals of this machine; SIGTERM or Ctrl-C ends them and leaves."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ours = asyncio.run(_serve())
        except Fault as fault:
            raise CommandError(f"{fault.detail}\n{fault.remedy_text}") from None
        if not ours:
            sys.exit(1)


async def _serve() -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    rules = Rules(
        data=settings.DATA,
        idle_s=settings.TERMINAL_IDLE_S,
        recording_bytes=int(settings.TERMINAL_RECORDING_MB * 2**20),
        recording_days=settings.TERMINAL_RECORDING_DAYS,
    )
    return await server.serve(host=settings.HOST_NAME, rules=rules, stop=stop)
