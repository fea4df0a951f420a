"""``manage.py egress``: the way out of this host's berths. A part of the stack; see docs/egress.md."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand

from agents.gateway import ways
from resources.egress import daemon

_RETRY_S = 0.5


class Command(BaseCommand):
    help = "Runs the egress proxies of this host's berths until it is told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            with daemon.only_one(settings.HOST_NAME) as only:
                if only:
                    asyncio.run(self._serve())
                    return
            time.sleep(_RETRY_S)  # another one lives, or has just been killed: its sockets are ours then

    async def _serve(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self.stdout.write(f"egress serves {settings.HOST_NAME}")
        self.stdout.flush()
        hosts = frozenset(settings.EGRESS_PRIVATE_HOSTS)
        gateway = urlsplit(settings.GATEWAY_URL)
        ours = {ways.BERTH_HOST: (gateway.hostname or "127.0.0.1", gateway.port or 80)}
        await daemon.Daemon(host_name=settings.HOST_NAME, private_hosts=hosts, ours=ours).run(stop)
