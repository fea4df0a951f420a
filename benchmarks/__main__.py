"""``python -m benchmarks [NAME …]``: each benchmark in a process and on a stack of its own, one table, one report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.report import Figure, figures_in, table

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 240
NAMES = (
    "engine_overhead",
    "gateway",
    "submit_http",
    "ports_at_once",
    "one_host",
    "berths",
    "fair_share",
    "fan_out",
    "idle_stack",
    "terminals",
    "console",
    "templates_resolve",
    "templates_change",
    "repair",
    "forge_polling",
)


def _run(name: str) -> tuple[list[Figure], str]:
    """The figures of one benchmark, and what went wrong with it."""
    argv = [sys.executable, "-m", f"benchmarks.{name}"]
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        return [], f"took longer than {LONGEST_S} s"
    if done.returncode:
        return [], "\n".join(done.stderr.splitlines()[-15:])
    return figures_in(done.stdout), ""


def main() -> int:
    """0 when each ran and met its goals."""
    names = sys.argv[1:] or list(NAMES)
    if unknown := sorted(set(names) - set(NAMES)):
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        print(f"\n{name} …", flush=True)
        found, trouble = _run(name)
        results[name] = {"figures": [{**asdict(figure), "ratio": figure.ratio} for figure in found], "trouble": trouble}
        print("\n".join(table(found)) if found else f"✗ {trouble}", flush=True)
    figures = [figure for result in results.values() for figure in result["figures"]]
    ok = all(figure["met"] is not False for figure in figures) and not any(r["trouble"] for r in results.values())
    report = ROOT / "var" / "bench" / "report.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    seen = {"ok": ok, "at": time.time(), "cores": os.cpu_count(), "load": os.getloadavg(), "benchmarks": results}
    report.write_text(json.dumps(seen, indent=2) + "\n")
    print(f"\n{'All goals met' if ok else 'Not all goals met'}. Report: {report.relative_to(ROOT)}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
