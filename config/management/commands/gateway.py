"""``manage.py gateway``: the one way to language models. A part of the stack; see docs/models.md."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import uvicorn
import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand

from agents.gateway.endpoint import Gateway


class Command(BaseCommand):
    help = "Runs the model gateway until it is told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--address", default="127.0.0.1", help="address of its port (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        uvloop.run(self._serve(options["address"]))

    async def _serve(self, address: str) -> None:
        gateway = Gateway()
        config = uvicorn.Config(
            gateway,  # type: ignore[arg-type] # its messages are plain dicts
            host=address,
            port=settings.GATEWAY_PORT,
            lifespan="on",  # its end is when calls in flight are settled: the signal ends the process behind it
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        try:
            await uvicorn.Server(config).serve()
        finally:
            await gateway.close()
