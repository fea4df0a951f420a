"""One changed template, judged with 200 that build on it; beside resolving those 200 once and nothing else."""

from __future__ import annotations

from typing import Any

from benchmarks import report
from benchmarks.report import Figure
from benchmarks.templates_resolve import timed_ms

HEIRS = 200
GOAL_MS = 2000


def heirs() -> dict[str, Any]:
    """The shipped templates, and 200 over ``python``: in chains of four, every tenth with a second parent."""
    from templates_app.documents import parse
    from templates_app.library import load

    documents = dict(load().documents)
    for number in range(HEIRS):
        above = f"h{number - 1}" if number % 4 else "python"
        parents = f"[{above}, web]" if number % 10 == 0 else above
        text = (
            f"apiVersion: moorage/v1\nkind: Template\nname: h{number}\nversion: 1.0.0\nextends: {parents}\n"
            f"spec:\n  environment: {{A{number}: '${{agent.name}}', B: '{number}'}}\n  packages: [p{number}]\n"
            f"  size: {{pids: {100 + number}}}\n  labels: {{number: '{number}'}}\n"
        )
        documents[f"h{number}"] = parse(text, file=f"h{number}.yaml")
    return documents


def measure() -> list[Figure]:
    """From the text of the changed file to the verdict; everything else is parsed already, as in a running stack."""
    from templates_app.documents import parse
    from templates_app.library import BUILT_IN
    from templates_app.resolve import resolve
    from templates_app.verdicts import judge

    documents = heirs()
    text = (BUILT_IN / "python.yaml").read_text("utf-8") + "  idle_timeout_s: 1234\n"

    def change() -> int:
        verdict = judge(documents, {"python": parse(text, file="python.yaml")})
        if verdict.refused or len(verdict.heirs) < HEIRS:
            raise SystemExit(f"refused {verdict.refused}, judged {len(verdict.heirs)}")
        return len(verdict.heirs)

    whole, alone = timed_ms(change, lambda: [resolve(f"h{number}", documents) for number in range(HEIRS)])
    return [
        Figure(f"a change judged with {change()} that build on it", round(whole, 1), "ms", goal=f"≤ {GOAL_MS} ms",
               met=whole <= GOAL_MS, baseline=round(alone, 1), baseline_name=f"resolving {HEIRS}"),
    ]  # fmt: skip


if __name__ == "__main__":
    report.main(measure)
