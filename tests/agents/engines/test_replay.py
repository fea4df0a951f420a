"""The replay engine: recorded diffs, attempt by attempt, on the recorded state only."""

from __future__ import annotations

from typing import Any

import pytest

from agents.engines import replay
from agents.engines.faults import AttemptsExhausted, OtherState, RecordingInvalid
from agents.engines.protocol import Feedback
from tests.agents.engines.conftest import MakeTask
from tests.fakes.workbench import DirectoryWorkbench


def diff(old: str, new: str) -> str:
    return f"--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-{old}\n+{new}\n"


def recording(**changes: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "recorded_at": "2026-05-01T10:00:00Z",
        "engine_label": "openai/some-model",
        "base_tree": "a" * 40,
        "attempts": [
            {"summary": "wrong", "diff": diff("a", "b")},
            {"summary": "right", "diff": diff("b", "c")},
        ],
    } | changes


def test_each_attempt_applies_its_own_diff_and_then_there_are_none(
    bench: DirectoryWorkbench, make_task: MakeTask
) -> None:
    bench.put("a.txt", "a\n")
    engine = replay.ReplayEngine(replay.read({"recording": recording()}))
    plan = engine.plan(make_task("r"), bench)
    assert [step.files for step in plan.steps] == [("a.txt",), ("a.txt",)]
    assert engine.label() == "Replay of a recording from 2026-05-01T10:00:00Z"
    assert engine.code(make_task("r"), plan, bench).summary == "wrong"
    assert bench.text("a.txt") == "b\n"
    feedback = (Feedback("tests.failed", "1 failed"),)
    engine.code(make_task("r", attempt=2, feedback=feedback), plan, bench)
    assert bench.text("a.txt") == "c\n"
    with pytest.raises(AttemptsExhausted):
        engine.code(make_task("r", attempt=3, feedback=feedback), plan, bench)


def test_another_state_of_the_repository_is_refused(bench: DirectoryWorkbench, make_task: MakeTask) -> None:
    engine = replay.ReplayEngine(replay.read({"recording": recording(base_tree="b" * 40)}))
    with pytest.raises(OtherState):
        engine.plan(make_task("r"), bench)
    with pytest.raises(OtherState):
        engine.code(make_task("r"), None, bench)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        recording(format=2),
        recording(base_tree=7),
        recording(attempts=[]),
        recording(attempts=["x"]),
        recording(attempts=[{"summary": "s"}]),
        recording(recorded_at=""),
    ],
)
def test_a_recording_in_another_form_is_refused(raw: Any) -> None:
    with pytest.raises(RecordingInvalid):
        replay.read({"recording": raw})
