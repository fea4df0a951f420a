"""200 operations requested at once for one small host: nothing is lent twice, and whoever waits is told why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchmarks import report, stack
from benchmarks.report import Figure

OPERATIONS = 200
ASKERS = 8
LONGEST_S = 45.0  # what has not ended by then is not waited for
SAMPLE_S = 0.02
CAPACITY = {"slots": 4, "memory_mb": 1024, "cpu_millis": 4000, "disk_mb": 4096}


@dataclass(slots=True)
class Samples:
    """What was seen while it ran."""

    looks: int = 0
    above: int = 0
    unexplained: int = 0
    fullest: int = 0
    failures: list[str] = field(default_factory=list)


def _sample(samples: Samples, *, until: Callable[[], bool]) -> None:
    from django.db import connection

    from agents.models import Agent
    from operations.models import Operation
    from operations.snapshots import blocked_by
    from resources import hosts
    from resources.models import Host

    host = Host.objects.get(name=stack.HOST)
    ports = host.port_last - host.port_first + 1
    while not until():
        used = hosts.usage(host)
        samples.looks += 1
        samples.above += any(getattr(used, name) > getattr(host, name) for name in CAPACITY) or used.ports > ports
        samples.fullest = max(samples.fullest, used.slots)
        if samples.looks % 10 == 0:
            waiting = Operation.objects.filter(status__in=["queued", "waiting"]).select_related("agent")
            samples.unexplained += sum(1 for row in waiting if not blocked_by(row))
            samples.unexplained += Agent.objects.filter(waiting_since__isnull=False, blocked_by=[]).count()
        time.sleep(SAMPLE_S)
    connection.close()


def _submit_all() -> float:
    """Seconds until all are accepted."""
    from benchmarks.rows import project
    from operations import submit

    place = project()

    def ask(_n: int) -> None:
        submit.submit(by=place.owner, project=place, requirements="Nothing.")

    began = time.perf_counter()
    with ThreadPoolExecutor(ASKERS) as pool:
        list(pool.map(ask, range(OPERATIONS)))
    return time.perf_counter() - began


def measure() -> list[Figure]:
    """Real admission and real berths of the cheapest tier; the stages do nothing."""
    capacity = {f"MOORAGE_HOST_{name.upper()}": str(value) for name, value in CAPACITY.items()}
    settings = {"BENCH_BERTHS": "1", "MOORAGE_ISOLATION": "landlock", **capacity}
    with stack.running(worker="benchmarks.engine_worker", only=frozenset({"beat"}), **settings):
        from operations.models import Operation
        from resources.models import Host

        deadline = time.monotonic() + 20
        while not Host.objects.filter(name=stack.HOST).exists():
            assert time.monotonic() < deadline, "the worker did not register its host"
            time.sleep(0.1)
        samples, over = Samples(), threading.Event()
        sampler = threading.Thread(target=_sample, args=(samples,), kwargs={"until": over.is_set})
        sampler.start()
        began = time.monotonic()
        submitted_s = _submit_all()
        ended = Operation.objects.filter(status__in=Operation.TERMINAL)
        while ended.count() < OPERATIONS and time.monotonic() - began < LONGEST_S:
            time.sleep(0.5)
        took_s, done = time.monotonic() - began, ended.count()
        failed = Operation.objects.filter(status="failed").count()
        over.set()
        sampler.join()
    return [
        Figure("moments with more lent than there is", samples.above, f"of {samples.looks}", goal="0",
               met=samples.above == 0),
        Figure("waiting rows without a reason", samples.unexplained, "rows", goal="0", met=samples.unexplained == 0),
        Figure("most berths at once", samples.fullest, f"of {CAPACITY['slots']}"),
        Figure(f"{OPERATIONS} operations requested at once", round(OPERATIONS / submitted_s, 1), "a second"),
        Figure("of them through nine stages and a berth", round(done / took_s, 2), "a second"),
        Figure("of them failed", failed, f"of {done}", goal="0", met=failed == 0),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
