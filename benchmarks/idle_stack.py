"""What the whole stack needs while it does nothing, and whether the web process carries the language models."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from benchmarks import report, stack
from benchmarks.report import Figure

SETTLE_S = 6.0
_WEB_MODULES = """
import config.asgi, sys
from django.urls import get_resolver
get_resolver().url_patterns
print(sum(name.partition(".")[0] in {"langchain", "langchain_core", "openai", "anthropic"} for name in sys.modules))
"""


def _children(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _children(int(child))
    return found


def _pss_mb(pid: int) -> float:
    """Proportional memory of a process and all it started."""
    total_kb = 0
    for one in _children(pid):
        lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        total_kb += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb / 1024


def measure() -> list[Figure]:
    """Every part of ``make up``, asked once for its pages, then left alone."""
    with stack.running(only=stack.EVERYTHING) as running:
        for path in ("/healthz", "/admin/login/", "/api/v1/schema/"):
            httpx.get(f"http://127.0.0.1:{running.port}{path}", trust_env=False).raise_for_status()
        time.sleep(SETTLE_S)
        parts = {name: _pss_mb(pid) for name, pid in running.supervisor.pids().items()}
        imported = int(
            subprocess.run(
                [sys.executable, "-c", _WEB_MODULES], cwd=stack.ROOT, env=os.environ, check=True, capture_output=True
            ).stdout
        )
    return [
        report.at_most("idle stack, all parts together", sum(parts.values()), "MB", 900),
        *(Figure(f"· {name}", round(mb, 1), "MB") for name, mb in parts.items()),
        Figure("language model modules in the web process", imported, "modules", goal="0", met=imported == 0),
    ]


if __name__ == "__main__":
    report.main(measure)
