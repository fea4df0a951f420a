"""200 requests for a port at the same moment: how many got the same one, and what that costs beside plain inserts."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from benchmarks import report, stack
from benchmarks.report import Figure

ASKERS = 200


def _at_once(do: Callable[[int], str]) -> tuple[float, list[str]]:
    """Seconds from the common start until the last is served, and what each got."""
    from django.db import connection

    gate = threading.Barrier(ASKERS + 1)

    def ask(n: int) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")  # opening the connection is not what is measured
        gate.wait(60)
        try:
            return do(n)
        finally:
            connection.close()

    with ThreadPoolExecutor(ASKERS) as pool:
        asked = [pool.submit(ask, n) for n in range(ASKERS)]
        gate.wait(60)
        began = time.perf_counter()
        got = [one.result() for one in asked]
        return time.perf_counter() - began, got


def measure() -> list[Figure]:
    """The same table, the same number of writers: a port each, and a row each with a key of its own."""
    with stack.running():
        from django.utils import timezone

        from benchmarks.rows import host
        from resources import leases, ports
        from resources.models import Lease

        where, now = host(ports=(22000, 22999)), timezone.now()
        until = now + timedelta(minutes=5)

        def take(n: int) -> str:
            return ports.take(host=where, owner=f"bench:{n}", generation=1, name="web", now=now, expires_at=until).key

        def insert(_n: int) -> str:
            lease = leases.intend(host=where, kind=Lease.Kind.DIRECTORY, owner="bench", generation=1, now=now,
                                  expires_at=until, key=uuid.uuid4().hex)  # fmt: skip
            lease.save(force_insert=True)
            return lease.key

        plain_s, _ = _at_once(insert)
        taken_s, got = _at_once(take)
    doubles = len(got) - len(set(got))
    return [
        Figure("ports handed out twice", doubles, f"of {ASKERS}", goal="0", met=doubles == 0),
        Figure(
            f"{ASKERS} ports at once", round(taken_s * 1000), "ms", baseline=round(plain_s * 1000),
            baseline_name="plain inserts at once",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
