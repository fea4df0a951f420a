"""The real gateway on a free port of loopback, in a thread of the test process: it shares the test's database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from agents.gateway.endpoint import Gateway, Patience
from tests.patience import eventually


@contextmanager
def gateway_server(patience: Patience | None = None) -> Iterator[str]:
    """Its URL; ended with all its connections when the context is left."""
    gateway = Gateway(patience)
    config = uvicorn.Config(gateway, host="127.0.0.1", port=0, lifespan="off", ws="none", log_level="error")
    server = uvicorn.Server(config)

    async def serve() -> None:
        await server.serve()
        await gateway.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
