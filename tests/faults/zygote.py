"""Workers' children by the fork, of a process that has all imported and no threads: quick to make, and to be killed.

One JSON request per line comes in; the child's pid goes out at once, its exit code when it was asked to be waited for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
_PATHS = ("TEMPLATE_DIRECTORIES", "VOLUME_SOURCES")
_CARRIED = ("DATA", "REDIS_URL", "HOST_NAME", "CLAIM_TTL_S", "ISOLATION", "INSTALL_ID", *_PATHS)


class Zygote:
    """Asks for children and waits for them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT, env={**os.environ, "CELERY_BROKER_URL": "memory://"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def child(self, do: str, *, agent: str, generation: int, dies_at: str = "") -> int:
        """Start a child that opens or clears a berth; returns its pid.

        ``dies_at`` names a function: "enter agents.berths._open" or "leave agents.berths._open". There it is killed.
        """
        from django.conf import settings
        from django.db import connection

        carried = {name: getattr(settings, name) for name in _CARRIED}
        return self._ask(
            do=do, agent=agent, generation=generation, dies_at=dies_at, settings=carried,
            database=connection.settings_dict["NAME"], engine=os.environ.get("DOCKER_HOST", ""),
        )  # fmt: skip

    def wait(self, pid: int) -> int:
        """The child's end."""
        return self._ask(wait=pid)

    def end(self) -> None:
        """No more children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, **request: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _work(request: dict[str, Any]) -> None:
    from django.conf import settings
    from django.db import connection

    from agents import berths
    from operations.coding import safekeeping

    for name, value in request["settings"].items():
        paths = [Path(one) for one in value] if name in _PATHS else value
        setattr(settings, name, Path(value) if name == "DATA" else paths)
    connection.settings_dict["NAME"] = request["database"]
    if request["engine"]:
        os.environ["DOCKER_HOST"] = request["engine"]
    if request["dies_at"]:
        _die_at(request["dies_at"])
    if request["do"] == "open":
        berths.open_berth(request["agent"], generation=request["generation"], worker="worker:node-a")
    else:
        safekeeping.keep_work(request["agent"])
        berths.clear_berth(request["agent"], generation=request["generation"], worker="worker:node-a")


def _die_at(step: str) -> None:
    """Have this process killed, as by kill -9, when it enters or leaves that function in whichever thread."""
    when, _, where = step.partition(" ")
    wanted = {"enter": "call", "leave": "return"}[when]

    def watch(frame: FrameType, what: str, _: object) -> None:
        if what != wanted or not where.endswith(frame.f_code.co_qualname):  # most often: this is asked at every call
            return
        if f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}" == where:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(watch)
    sys.setprofile(watch)


def _serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitpid(request["wait"], 0)[1]
        elif (answer := os.fork()) == 0:
            try:
                _work(request)
            except BaseException as error:  # noqa: BLE001 - the child ends here, whatever it was
                print(f"{request['do']}: {type(error).__name__}: {error}", file=sys.stderr)
                os._exit(1)
            os._exit(0)
        print(answer, flush=True)


if __name__ == "__main__":
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from agents import berths as _berths  # noqa: F401 - imported once, for every child
    from operations.coding import safekeeping as _safekeeping  # noqa: F401

    _serve()
