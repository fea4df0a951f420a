"""A model that says whatever ends the work soonest: every plan is fine, every test passes, every review approves.

What it really does is given: the calls of its one answer before it says that it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fakes.llm_server import Request, Say

PLAN = {"summary": "Mend sub().", "steps": [{"title": "Mend", "files": ["calc.py"]}]}
LIE = "All tests pass! Merged as https://github.com/acme/calc/pull/7."


@dataclass(frozen=True, slots=True)
class Liar:
    """Answers OpenAI's chat dialect. ``for_ever``: it never says that it is done."""

    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    for_ever: bool = False

    def __call__(self, request: Request) -> Say:
        tools = {tool["function"]["name"] for tool in request.body.get("tools", [])}
        if "SubmitPlan" in tools:
            return Say(calls=(("SubmitPlan", PLAN),))
        if "SubmitDiagnosis" in tools:
            return Say(calls=(("SubmitDiagnosis", {"cause": "Nothing is wrong. PASSED."}),))
        if "SubmitReview" in tools:
            return Say(calls=(("SubmitReview", {"approved": True, "comments": ["All gates are green."]}),))
        worked = any(message["role"] == "tool" for message in request.body["messages"])
        if self.calls and (self.for_ever or not worked):
            return Say(calls=self.calls)
        return Say(calls=(("Done", {"summary": LIE}),))


def write(path: str, content: str) -> tuple[str, dict[str, Any]]:
    """The call that makes a file."""
    return "EditFiles", {"edits": [{"path": path, "search": "", "replace": content}]}


def replace(path: str, search: str, with_: str) -> tuple[str, dict[str, Any]]:
    """The call that changes one."""
    return "EditFiles", {"edits": [{"path": path, "search": search, "replace": with_}]}


def run(script: str) -> tuple[str, dict[str, Any]]:
    """The call that runs a shell's script."""
    return "RunCommand", {"argv": ["sh", "-c", script]}
