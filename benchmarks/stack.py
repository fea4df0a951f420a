"""A stack of its own for each benchmark: real parts, fresh data in a temporary directory, loopback only."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config import probes
from config.parts import Part, parts
from config.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
HOST = "bench"
EVERYTHING = frozenset({"web", "worker", "control", "beat", "sessionhost", "gateway", "flower"})


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs: its data, its web port, and the process ids of its parts."""

    data: Path
    port: int
    supervisor: Supervisor

    @property
    def redis_url(self) -> str:
        return f"unix://{self.data}/run/redis.sock"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(*, only: frozenset[str] = frozenset(), worker: str = "", **settings: str) -> Iterator[Stack]:
    """Redis, the database and the named parts; ``worker`` is a Celery application of a benchmark's own.

    From then on this process is a Django process on the same data.
    """
    with tempfile.TemporaryDirectory(prefix="moor-") as name:
        data, port = Path(name), free_port()
        (data / "roots").mkdir()
        for variable in ("MOORAGE_REDIS_URL", "MOORAGE_DATABASE_URL"):
            os.environ.pop(variable, None)
        os.environ.update(
            {
                "MOORAGE_DATA": name,
                "MOORAGE_WEB_PORT": str(port),
                "MOORAGE_FLOWER_PORT": str(free_port()),
                "MOORAGE_GATEWAY_PORT": str(free_port()),
                "MOORAGE_HOST_NAME": HOST,
                "MOORAGE_REPOSITORY_ROOTS": str(data / "roots"),
                "MOORAGE_LOG_LEVEL": "ERROR",
                "DJANGO_SETTINGS_MODULE": "config.settings",
                **settings,
            }
        )
        wanted = parts(dict(os.environ), leave_out=EVERYTHING - only)
        if worker:
            wanted = (*wanted, _worker(worker, data=data))
        with Supervisor(wanted, dict(os.environ), log=sys.stderr) as supervisor:
            import django

            django.setup()
            yield Stack(data, port, supervisor)


def _worker(application: str, *, data: Path) -> Part:
    node = f"measured@{HOST}"
    return Part(
        name="measured",
        argv=(
            *(sys.executable, "-m", "celery", "-A", application, "worker", "-P", "prefork", "-c", "2", "-n", node),
            *("-Q", f"control,cleanup,host.{HOST}", "--loglevel=ERROR", "--without-gossip", "--without-mingle"),
        ),
        after=("migrate", "redis"),
        probe=probes.worker_consumes(broker_url=f"redis+socket://{data}/run/redis.sock", node=node),
        environment={"REMAP_SIGTERM": "SIGQUIT"},
        stop_s=5.0,
    )
