"""What the nine-stage engine costs: an operation whose stages do nothing, beside nine bare tasks in a chain."""

from __future__ import annotations

import json
import time
from statistics import median
from typing import Any

from benchmarks import report, stack
from benchmarks.report import Figure

ROUNDS = 25
WARM_UP = 5
STAGES = 9


def measure() -> list[Figure]:
    """Both in turns on the same worker; medians."""
    with stack.running(worker="benchmarks.engine_worker"):
        from celery import chain, current_app

        from benchmarks.rows import project
        from events import live
        from operations import submit

        place = project()
        redis = live.client()

        def told(count: int) -> list[dict[str, Any]]:
            found = []
            for _ in range(count):
                answer: Any = redis.blpop(["bench:runs"], timeout=1.9)  # below the client's own time-out
                assert answer, "the worker did not answer"
                found.append(json.loads(answer[1]))
            return found

        def operation() -> tuple[float, float, int]:
            began = time.time()
            submit.submit(by=place.owner, project=place, requirements="Nothing.")
            runs = told(STAGES)
            spent, statements = sum(run["db_s"] for run in runs), sum(run["statements"] for run in runs)
            return max(run["at"] for run in runs) - began, spent, statements

        def bare() -> float:
            began = time.time()
            lasts = [False] * (STAGES - 1) + [True]
            tasks = (current_app.signature("bench.nothing", kwargs={"last": last}, immutable=True) for last in lasts)
            chain(*tasks).apply_async()
            return float(told(1)[0]["at"]) - began

        pairs = [(operation(), bare()) for _ in range(ROUNDS + WARM_UP)][WARM_UP:]
    whole = median(ours[0] for ours, _ in pairs) * 1000
    chained = median(theirs for _, theirs in pairs) * 1000
    database = median(ours[1] for ours, _ in pairs) * 1000
    return [
        Figure(
            "nine-stage operation, idle engine", round(whole, 1), "ms", goal="≤ 3 times", met=whole <= 3 * chained,
            baseline=round(chained, 1), baseline_name="nine bare tasks in a chain",
        ),
        report.at_most("its database time in all", database, "ms", 60),
        Figure("its database statements", median(ours[2] for ours, _ in pairs), "statements"),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
