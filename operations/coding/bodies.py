"""The text of a pull request, rendered from evidence. What a model wrote in it is marked as such and pings nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agents.gateway import spend
from agents.roles.prompts import prose
from operations.coding.context import Context
from operations.models import Evidence, Stage

REQUIREMENT_CHARACTERS, CELL_CHARACTERS, MOST_ROUNDS = 3_000, 300, 10
# What a forge acts on: mentions call people, references link and close issues ("Closes #1"), pictures are fetched.
_ACTS = re.compile(
    r"(?<![\w`/])(@[A-Za-z0-9][\w-]*(?:/[\w.-]+)?"
    r"|https?://[^\s`<>()]+/(?:issues|pull|pulls|merge_requests|discussions|commit)/\w+"
    r"|(?:[\w.-]+/[\w.-]+)?#\d+\b|GH-\d+\b)"
)
_PICTURE = re.compile(r"!(?=\[)")
_TAG = re.compile(r"<(?=[a-zA-Z/!?])")


def describe(context: Context, proofs: list[Evidence]) -> str:
    """The body: what was asked, what is proved, by what, at what cost."""
    operation, analysis = context.operation, context.product(Stage.ANALYZE)
    before, after = analysis["baseline"]["counts"], context.product(Stage.TEST)
    code = context.product(Stage.CODE)
    return "\n".join(
        [
            f"**{operation.engine_label}**",
            "",
            "In the engine's own words, for which nothing here vouches:",
            "",
            _quoted(code["summary"]),
            "",
            "## Requirement",
            _quoted(operation.requirements[:REQUIREMENT_CHARACTERS]),
            "",
            "## Criteria",
            "| criterion | met | seen |",
            "|---|---|---|",
            *_criteria(proofs, fixed=after.get("fixed", [])),
            "",
            "## Tests",
            f"`{' '.join(analysis['baseline']['command'])}` on tree `{code['tree']}`, isolation {context.agent.tier}",
            "",
            "| | passed | failed | errors | skipped |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {counts['passed']} | {counts['failed']} | {counts['errors']} | {counts['skipped']} |"
                for name, counts in (("before", before), ("after", after["counts"]))
            ),
            *_rounds(context),
            "",
            _cost(context),
            "",
            f"Moorage operation {operation.pk}",
        ]
    )


def _criteria(proofs: Iterable[Evidence], *, fixed: list[str]) -> Iterable[str]:
    """One line for each thing that had to be so, with what the engine itself saw of it."""
    for proof in proofs:
        seen = str(proof.detail.get("text", ""))
        if proof.kind == Evidence.Kind.TESTS:
            counts: Mapping[str, int] = proof.counts
            seen = f"exit {proof.exit_code}, {counts.get('passed', 0)} passed, {counts.get('failed', 0)} failed"
            yield _line("No test fails that passed before", proof.passed, seen)
            if fixed:
                names = ", ".join(f"`{name}`" for name in fixed[:3]) + (" and more" if len(fixed) > 3 else "")
                yield _line(f"{len(fixed)} tests that failed before pass", True, names)
        elif proof.kind == Evidence.Kind.REVIEW:
            yield _line(f"Review by {proof.detail.get('by', proof.name)}", proof.passed,
                        "; ".join(map(str, proof.detail.get("comments", []))))  # fmt: skip
            for judged in proof.detail.get("criteria", []):
                yield _line(str(judged["criterion"]), judged["met"] is True, f"in the reviewer's eyes: {judged['why']}")
        else:
            yield _line(f"Gate: {proof.name}", proof.passed, seen)


def _line(criterion: str, met: bool, seen: str) -> str:
    return f"| {_cell(criterion)} | {'✓' if met else '✗'} | {_cell(seen)} |"


def _cell(text: str) -> str:
    plain = _quiet(" ".join(text.split())).replace("|", "\\|")
    return plain if len(plain) <= CELL_CHARACTERS else plain[: CELL_CHARACTERS - 1] + "…"


def _rounds(context: Context) -> list[str]:
    """The rounds that led here, each with what it was about."""
    rework = context.rework
    if rework is None:
        return []
    rounds = rework.pull_request.reworks.order_by("number")[:MOST_ROUNDS]
    return [
        "",
        "## Rounds",
        *(f"{one.number}. {one.get_cause_display()}: {_cell(one.fault['detail'])}" for one in rounds),
    ]


def _cost(context: Context) -> str:
    spent: Any = spend.of_run(context.operation.pk)
    if not spent.calls:
        return "Cost: no model was called."
    return (
        f"Cost: {spent.said} in {spent.calls} model calls, {spent.input_tokens} tokens in, {spent.output_tokens} out."
    )


def _quoted(text: str) -> str:
    """As a quotation, which no heading and no table of its own can end."""
    return "\n".join(f"> {line}" for line in _quiet(text).splitlines())


def _quiet(text: str) -> str:
    """Words that only say something: they call nobody, close nothing, show no picture, and hide nothing."""
    return _ACTS.sub(r"`\1`", _PICTURE.sub("", _TAG.sub("&lt;", prose(text))))
