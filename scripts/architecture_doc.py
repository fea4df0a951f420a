"""Writes the generated parts of docs/architecture.md from the code; with --check only says whether they are right."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402 - the lines above make the project importable from anywhere

django.setup()

from django_fsm import FSMField  # noqa: E402

from agents.models import Agent  # noqa: E402
from operations.coding.recovery import RECOVERY, SYMPTOMS  # noqa: E402
from operations.models import Stage  # noqa: E402
from sessions.models import Terminal  # noqa: E402
from workers.routes import ROUTES, Place  # noqa: E402

DOCUMENT = ROOT / "docs" / "architecture.md"


def _states(model: type[Agent] | type[Terminal]) -> str:
    field = model._meta.get_field("state")
    if not isinstance(field, FSMField):
        raise TypeError(f"{model.__name__}.state is no FSM field")
    moves = sorted({(str(t.source), str(t.target), t.name) for t in field.get_all_transitions(model)})
    lines = [f"    {source} --> {target}: {name}" for source, target, name in moves]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {field.get_default()}", *lines, "```"])


def _stages() -> str:
    arrow = " --> ".join(stage.value for stage in Stage)
    return "\n".join(["```mermaid", "flowchart LR", f"    {arrow}", "```"])


def _recovery() -> str:
    rows = ["| error | what counts as it | what is done | at most |", "|---|---|---|---|"]
    for kind, rule in RECOVERY.items():
        codes = [
            f"`{symptom.codes}`" + (f" in {', '.join(sorted(symptom.stages))}" if symptom.stages else "")
            for symptom in SYMPTOMS
            if symptom.kind is kind
        ]
        shown = "; ".join(codes).replace("|", "\\|") or "by the fault's class"
        limit = f"{rule.limit} times" if rule.limit else "–"
        rows.append(f"| {kind.value} | {shown} | {rule.action.value} | {limit} |")
    return "\n".join(rows)


QUEUES = {
    Place.ANYWHERE: "control",
    Place.HOST: "the host",
    Place.BERTH: "the host of the berth; control once that is lost",
}


def _routes() -> str:
    rows = ["| event | task | queue |", "|---|---|---|"]
    for kind, routes in ROUTES.items():
        rows += [f"| `{kind}` | `{route.task}` | {QUEUES[route.place]} |" for route in routes]
    return "\n".join(rows)


PARTS: dict[str, Callable[[], str]] = {
    "agent states": lambda: _states(Agent),
    "terminal states": lambda: _states(Terminal),
    "stages": _stages,
    "recovery": _recovery,
    "routes": _routes,
}


def written(text: str) -> str:
    """The document with every generated part made anew."""
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.S)
        if not pattern.search(text):
            raise LookupError(f"docs/architecture.md has no part named {name!r}")
        text = pattern.sub(lambda match, make=make: f"{match[1]}{make()}\n{match[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    """0 when the document is right or was written."""
    now = DOCUMENT.read_text()
    right = written(now)
    if "--check" in sys.argv:
        if now != right:
            sys.stderr.write("docs/architecture.md is behind the code: run `make docs`\n")
        return int(now != right)
    DOCUMENT.write_text(right)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
