"""The console's first page with 1 000 agents and 10 000 operations, beside Django's own index of the same admin."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from benchmarks import report, stack
from benchmarks.report import Figure

AGENTS, OPERATIONS, HOSTS = 1_000, 10_000, 4
LOOKS = 30
GOAL_MS, GOAL_QUERIES = 150.0, 12


def _fill(now: datetime) -> None:
    """Rows as a busy week leaves them: most work is done, some fails, waits or runs."""
    from agents.models import Agent
    from agents.outfits import outfit
    from benchmarks.rows import project, user
    from operations.models import Operation
    from resources.models import Host, Lease, Sample

    place, who, worn = project(), user(), outfit("python").as_dict()
    lent = {"slots": 16, "memory_mb": 65_536, "cpu_millis": 32_000, "disk_mb": 500_000}
    hosts = [
        Host(name=f"bench-{n}", port_first=20_000, port_last=20_999, heartbeat_at=now, facts={"cores": 8}, **lent)
        for n in range(HOSTS)
    ]
    Host.objects.bulk_create(hosts)
    states = ("stopped",) * 85 + ("running",) * 6 + ("spawning",) * 5 + ("error",) * 4
    agents = [
        Agent(
            name=f"agent-{n}", template="python", resolved=worn, state=states[n % 100], created_by=who,
            host=hosts[n % HOSTS] if states[n % 100] == "running" else None, created_at=now, state_since=now,
            error={"detail": "the berth broke", "remedy": "Retry it."} if states[n % 100] == "error" else None,
        )
        for n in range(AGENTS)
    ]  # fmt: skip
    Agent.objects.bulk_create(agents, batch_size=500)
    statuses = ("succeeded",) * 88 + ("failed",) * 4 + ("waiting",) * 5 + ("running",) * 3
    Operation.objects.bulk_create(
        (
            Operation(
                project=place, agent=agents[n % AGENTS], requirements=f"Change number {n}\n" + "Say why. " * 200,
                template="python", status=status, stage="code", created_by=who, metadata={"n": n},
                created_at=now - timedelta(minutes=n), completed_at=now if status in {"succeeded", "failed"} else None,
                error={"detail": "2 tests fail", "remedy": "Look."} if status == "failed" else None,
            )
            for n in range(OPERATIONS) for status in (statuses[n % 100],)
        ),
        batch_size=500,
    )  # fmt: skip
    held = {"generation": 1, "state": "held", "created_at": now, "expires_at": now}
    Lease.objects.bulk_create(
        Lease(host=agent.host, kind=kind, amount=1, owner=agent.owner, **held)
        for agent in agents if agent.host is not None for kind in ("slot", "memory", "cpu", "disk")
    )  # fmt: skip
    Sample.objects.bulk_create(
        Sample(host=host, at=now - timedelta(seconds=15 * n), cpu_s=1e6 - 7.0 * n, memory_mb=9000 + n, processes=90)
        for host in hosts for n in range(240)
    )  # fmt: skip


def _median_ms(look: Callable[[], Any]) -> tuple[float, float]:
    """Of the clock, and of the processor: the second says what a busy machine adds."""
    taken, worked = [], []
    for n in range(LOOKS + 3):
        began, worked_before = time.perf_counter(), time.process_time()
        look()
        if n >= 3:
            taken.append(time.perf_counter() - began)
            worked.append(time.process_time() - worked_before)
    return report.shares(taken)[0], report.shares(worked)[0]


def _stock() -> Any:
    """Django's own site with everything that ours has, its templates and nothing else."""
    from django.contrib.admin import AdminSite, site

    stock = AdminSite(name="admin")
    stock._registry = site._registry
    stock.index_template = "admin/index.html"
    return stock


def measure() -> list[Figure]:
    """In this process, so that only the page is measured; Redis is a real one."""
    with stack.running(only=frozenset({"redis", "migrate"})):
        from django.contrib.admin import AdminSite
        from django.contrib.auth import get_user_model
        from django.db import connection
        from django.test import Client, RequestFactory
        from django.test.utils import CaptureQueriesContext
        from django.utils import timezone

        _fill(timezone.now())
        client = Client(SERVER_NAME="127.0.0.1")
        staff = get_user_model().objects.create_superuser("operator")
        client.force_login(staff)
        bare = RequestFactory(SERVER_NAME="127.0.0.1").get("/admin/")
        bare.user = staff

        def plain() -> None:
            AdminSite.index(_stock(), bare).render()

        ours, worked = _median_ms(lambda: client.get("/admin/"))
        floor, _ = _median_ms(plain)
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/admin/").status_code == 200
    return [
        Figure(
            f"the harbour with {AGENTS} agents and {OPERATIONS} operations, median", ours, "ms",
            goal=f"≤ {GOAL_MS:g} ms", met=ours <= GOAL_MS, baseline=floor, baseline_name="Django's own index",
        ),
        Figure("of it processor time, median", worked, "ms"),
        Figure("its queries", len(queries), "", goal=f"< {GOAL_QUERIES}", met=len(queries) < GOAL_QUERIES),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
