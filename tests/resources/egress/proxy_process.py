"""The egress part of a host as a process of its own, on a test's database and with a test's names.

Run as a module it is that process: the real daemon, with a resolver that knows what MOORAGE_TEST_NAMES says.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.forked import Forked


class ProxyProcess:
    """Starts, kills and ends it. ``names`` go to addresses; those in ``private`` may be private.

    ``ours`` are services of our own by name, with their ports of loopback.
    """

    def __init__(
        self, *, data: Path, database: str, host: str, names: dict[str, list[str]], private: list[str],
        ours: dict[str, int],
    ) -> None:  # fmt: skip
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "MOORAGE_DATA": str(data),
            "MOORAGE_TEST_DATABASE": database,
            "MOORAGE_HOST_NAME": host,
            "MOORAGE_TEST_NAMES": json.dumps(names),
            "MOORAGE_TEST_OURS": json.dumps(ours),
            "MOORAGE_EGRESS_PRIVATE_HOSTS": ",".join(private),
        }
        self._process: Forked | None = None

    def start(self) -> None:
        """Start it and return once it serves."""
        ready, told = os.pipe()
        with open(ready, "rb") as said, open(told, "wb") as output:
            self._process = Forked("tests.resources.egress.proxy_process", env=self._environment, output=output)
            output.close()
            assert said.readline() == b"serves\n"

    def kill(self) -> None:
        """As a crash would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Politely; twice is fine."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(timeout=60)


def main() -> None:
    """Serve until SIGTERM."""
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = os.environ["MOORAGE_TEST_DATABASE"]
    import django

    django.setup()
    from resources.egress import daemon

    names: dict[str, list[str]] = json.loads(os.environ["MOORAGE_TEST_NAMES"])
    ours = {name: ("127.0.0.1", port) for name, port in json.loads(os.environ["MOORAGE_TEST_OURS"]).items()}

    async def resolve(host: str, port: int) -> Sequence[str]:
        if host not in names:
            raise OSError("no such name")
        return names[host]

    async def serve() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        served = daemon.Daemon(
            host_name=settings.HOST_NAME, private_hosts=frozenset(settings.EGRESS_PRIVATE_HOSTS), resolve=resolve,
            ours=ours,
        )  # fmt: skip
        await served.refresh(fresh_s=0.0)
        print("serves", flush=True)
        await served.run(stop)

    with daemon.only_one(settings.HOST_NAME) as only:
        assert only
        asyncio.run(serve())


if __name__ == "__main__":
    main()
