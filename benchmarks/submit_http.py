"""POST /api/v1/operations/ through a real web process, beside the cheapest answer of the same process."""

from __future__ import annotations

import time

import httpx

from benchmarks import report, stack
from benchmarks.report import Figure

REQUESTS = 200
GOAL_MS = 30.0


def measure() -> list[Figure]:
    """One client, one connection, one request after the other; nobody consumes what is queued."""
    with stack.running(only=frozenset({"web"})) as running:
        from benchmarks.rows import project
        from config.access.models import issue

        place = project()
        headers = {"Authorization": f"Bearer {issue(user=place.owner)}"}
        body = {"type": "coding", "project_id": str(place.pk), "requirements": "Nothing."}
        taken: list[float] = []
        bare: list[float] = []
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", headers=headers, trust_env=False) as client:
            for n in range(REQUESTS + 10):
                began = time.perf_counter()
                answer = client.post("/api/v1/operations/", json=body)
                middle = time.perf_counter()
                assert answer.status_code == 202, answer.text
                client.get("/healthz")
                if n >= 10:
                    taken.append(middle - began)
                    bare.append(time.perf_counter() - middle)
    ours, floor = report.shares(taken), report.shares(bare)
    return [
        Figure(
            "POST operation, answered 202, median", ours[0], "ms", goal=f"≤ {GOAL_MS:g} ms", met=ours[0] <= GOAL_MS,
            baseline=floor[0], baseline_name="GET /healthz",
        ),
        Figure("POST operation, 95th percentile", ours[1], "ms", baseline=floor[1], baseline_name="GET /healthz"),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
