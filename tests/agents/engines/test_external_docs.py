"""The templates of docs/external.md are templates, and its faults are those there are."""

from __future__ import annotations

import re
from pathlib import Path

from agents.engines.external import assignment, faults
from agents.engines.external.assignment import Answer, Mode
from events.faults import Fault
from templates_app.documents import parse
from templates_app.library import load
from templates_app.resolve import resolve

PAGE = (Path(__file__).parents[3] / "docs" / "external.md").read_text("utf-8")


def test_each_template_of_the_page_names_a_program() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = {}
    for text in blocks:
        document = parse(text, file="page.yaml")
        spec = resolve(document.name, {**load(), document.name: document}).spec
        found[document.name] = assignment.read(spec)
    assert {name: one.mode for name, one in found.items()} == {
        "opencode": Mode.ACP, "claude": Mode.ACP, "codex": Mode.ACP, "codex-once": Mode.COMMAND, "qwen": Mode.ACP,
    }  # fmt: skip
    assert found["opencode"].title == "opencode"


def test_the_pages_answers_and_faults_are_those_of_the_code() -> None:
    for answer in Answer:
        kinds = ", ".join(f"`{kind}`" for kind, said in assignment.ANSWERS.items() if said is answer)
        assert f"| `{answer}` | {kinds}" in PAGE
    every = [
        one for one in vars(faults).values() if isinstance(one, type) and issubclass(one, Fault) and one is not Fault
    ]
    untold = {"external.cancelled"}  # it ends no operation by itself
    assert {kind.code for kind in every} - untold == set(re.findall(r"`(external\.[a-z_]+)`", PAGE))
