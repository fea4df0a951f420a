"""Fan-out of events to many sockets of one web process: our hub, and beside it the channel layer.

``python -m benchmarks.fan_out [--clients 500] [--rate 20] [--seconds 5]`` starts a Redis, a uvicorn process and
itself as the clients, records real events, and prints a table and JSON: latency from just before the transaction to the
client, and how many deliveries were lost.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.fan_out_clients import Seen, open_all, settled
from benchmarks.report import MARK, Figure

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of fanning out. Milliseconds; a loss is a delivery that never came."""

    way: str
    clients: int
    events: int
    delivered: int
    lost: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    web_cpu_us: float
    send_worst_ms: float


@dataclass(frozen=True, slots=True)
class Load:
    """How many sockets, how many events a second, for how long."""

    clients: int
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Web:
    """The web process under load."""

    port: int
    pid: int


Send = Callable[[int], Awaitable[None]]


@contextlib.contextmanager
def _redis(directory: Path) -> Iterator[str]:
    unix_socket = directory / "redis.sock"
    program = Path(sys.executable).parent / "redis-server"
    process = subprocess.Popen(
        [str(program) if program.exists() else "redis-server", "--port", "0", "--unixsocket", str(unix_socket),
         "--unixsocketperm", "700", "--dir", str(directory), "--save", "", "--appendonly", "yes"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not unix_socket.exists():
            time.sleep(0.02)
        yield f"unix://{unix_socket}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _web() -> Iterator[Web]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "benchmarks.fan_out_web:application", "--fd", str(listener.fileno()),
             "--log-level", "warning", "--ws-per-message-deflate", "false"],
            cwd=ROOT, pass_fds=[listener.fileno()],
        )  # fmt: skip
        try:
            yield Web(port=listener.getsockname()[1], pid=process.pid)
        finally:
            process.terminate()
            process.wait()


def _percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000, 1) if values else 0.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _run(*, way: str, path: str, web: Web, load: Load, token: str, send: Send) -> Measured:
    seen, sends = Seen(), list[float]()
    hello = json.dumps({"type": "subscribe", "topics": ["bench.a"], "batch": True})
    clients = await open_all(count=load.clients, port=web.port, path=path, token=token, hello=hello, seen=seen)
    await asyncio.sleep(1.5)  # the sockets' first look into the journal is not what is measured
    events, cpu_before, started = int(load.rate * load.seconds), _cpu_s(web.pid), time.monotonic()
    for n in range(events):
        await asyncio.sleep(max(0.0, started + n / load.rate - time.monotonic()))
        before = time.monotonic()
        await send(n)
        sends.append(time.monotonic() - before)
    await settled(seen, expected=events * load.clients)
    cpu_us = (_cpu_s(web.pid) - cpu_before) * 1e6 / max(1, len(seen.latencies))
    for client in clients:
        client.close()
    await asyncio.sleep(1)
    found = seen.latencies
    return Measured(
        way=way, clients=load.clients, events=events, delivered=len(found),
        lost=events * load.clients - len(found), p50_ms=_percentile(found, 0.5), p99_ms=_percentile(found, 0.99),
        worst_ms=_percentile(found, 1.0), web_cpu_us=round(cpu_us, 1), send_worst_ms=_percentile(sends, 1.0),
    )  # fmt: skip


async def _both(*, web: Web, load: Load, token: str) -> list[Measured]:
    from asgiref.sync import sync_to_async
    from channels.layers import get_channel_layer
    from django.db import transaction

    from events import journal

    def record(n: int) -> None:
        with transaction.atomic():
            journal.record("bench.moved", "bench.a", actor="system", n=n, sent=time.monotonic())

    layer = get_channel_layer()

    async def group_send(n: int) -> None:
        text = json.dumps({"seq": n, "payload": {"sent": time.monotonic()}}, separators=(",", ":"))
        await layer.group_send("bench", {"type": "bench.event", "text": text})

    same: dict[str, Any] = {"web": web, "load": load, "token": token}
    return [
        await _run(way="hub (journal, stream, one reader)", path="/ws/events/", send=sync_to_async(record), **same),
        await _run(way="channel layer (group_send)", path="/ws/layer/", send=group_send, **same),
    ]


def measure(load: Load) -> list[Measured]:
    """Both ways, one after the other, on a Redis, a database and a web process of their own."""
    with tempfile.TemporaryDirectory(prefix="moor-") as name, _redis(Path(name)) as redis_url:
        os.environ |= {
            "MOORAGE_DATA": name,
            "MOORAGE_REDIS_URL": redis_url,
            "MOORAGE_LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        import django

        django.setup()
        from django.contrib.auth import get_user_model
        from django.core.management import call_command

        from config.access.models import issue

        call_command("migrate", verbosity=0)
        token = issue(user=get_user_model().objects.create(username="bench"))
        with _web() as web:
            return asyncio.run(_both(web=web, load=load, token=token))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    found = measure(Load(given.clients, given.rate, given.seconds))
    titles = ("delivered", "lost", "p50 ms", "p99 ms", "worst ms", "cpu us", "send ms")
    print(f"{'way':36}" + "".join(f"{title:>11}" for title in titles))
    for row in found:
        values = (row.delivered, row.lost, row.p50_ms, row.p99_ms, row.worst_ms, row.web_cpu_us, row.send_worst_ms)
        print(f"{row.way:36}" + "".join(f"{value:>11}" for value in values))
    print(MARK + json.dumps([asdict(figure) for figure in _figures(found)]))


def _figures(found: list[Measured]) -> list[Figure]:
    ours, theirs = found
    return [
        Figure("event to all sockets, median", ours.p50_ms, "ms", baseline=theirs.p50_ms, baseline_name=theirs.way),
        Figure("event to all sockets, 99th percentile", ours.p99_ms, "ms", baseline=theirs.p99_ms,
               baseline_name=theirs.way),
        Figure("events lost", ours.lost, f"of {ours.events * ours.clients}", goal="0", met=ours.lost == 0,
               baseline=theirs.lost or None, baseline_name=theirs.way),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
