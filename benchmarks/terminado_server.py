"""``python -m benchmarks.terminado_server PORT PROGRAM …``: terminado with one terminal."""

from __future__ import annotations

import asyncio
import sys

import tornado.web
from terminado import SingleTermManager, TermSocket


async def _serve(port: int, argv: list[str]) -> None:
    manager = SingleTermManager(shell_command=argv)
    application = tornado.web.Application([(r"/terminal", TermSocket, {"term_manager": manager})])
    application.listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2:]))
