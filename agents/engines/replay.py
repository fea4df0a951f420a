"""The replay engine: applies a recorded run's diffs, attempt by attempt, on the very state they were recorded
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.engines import diffs, edits, patch
from agents.engines.faults import AttemptsExhausted, OtherState, RecordingInvalid
from agents.engines.protocol import Edits, EngineKind, Plan, PlanStep, Review, Task, Workbench

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recorded CODE attempt: its words, and the diff against the state the attempt before left."""

    summary: str
    diff: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded run. ``base_tree`` is the git tree hash it starts from."""

    recorded_at: str
    engine_label: str
    base_tree: str
    attempts: tuple[Attempt, ...]


def carries_recording(metadata: Mapping[str, Any]) -> bool:
    """Whether the task's metadata holds a recording, valid or not."""
    return "recording" in metadata


def read(metadata: Mapping[str, Any]) -> Recording:
    """The recording out of untrusted metadata, or :class:`RecordingInvalid` naming the first wrong field."""
    raw = metadata.get("recording")
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise RecordingInvalid(f'metadata.recording is not an object with "format": {FORMAT}.')
    texts = {key: _text(raw, key) for key in ("recorded_at", "engine_label", "base_tree")}
    attempts = raw.get("attempts")
    if not isinstance(attempts, list) or not attempts or not all(isinstance(entry, dict) for entry in attempts):
        raise RecordingInvalid("metadata.recording.attempts is not a list of at least one object.")
    return Recording(**texts, attempts=tuple(Attempt(_text(e, "summary"), _text(e, "diff")) for e in attempts))


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RecordingInvalid(f"metadata.recording: {key!r} is not a text.")
    return value


class ReplayEngine:
    """Attempt n applies recorded diff n; nothing else decides anything."""

    kind = EngineKind.REPLAY

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def label(self) -> str:
        return f"Replay of a recording from {self.recording.recorded_at}"

    def usage(self) -> dict[str, int]:
        """No model is called."""
        return {}

    def plan(self, task: Task, bench: Workbench) -> Plan:
        self._same_state(task)
        attempts = self.recording.attempts
        steps = [
            PlanStep(
                f"Attempt {number}: {attempt.summary}",
                tuple(p.path for p in diffs.parse(attempt.diff).patches),
            )
            for number, attempt in enumerate(attempts, start=1)
        ]
        return Plan(f"Replay {len(attempts)} recorded attempt(s) of {self.recording.engine_label}.", tuple(steps))

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits:
        """Apply the diff of this attempt; the state check holds for the base, each diff for its own
        context.
        """
        self._same_state(task)
        if task.attempt > len(self.recording.attempts):
            raise AttemptsExhausted(
                f"The recording holds {len(self.recording.attempts)} attempt(s), not {task.attempt}.",
                remedy="The repository's tests answer otherwise than when this was recorded; record again.",
            )
        attempt = self.recording.attempts[task.attempt - 1]
        changes, applied = patch.computed(diffs.parse(attempt.diff), bench)
        written = edits.write(changes, bench)
        for path in written:
            bench.say(f"replayed {path}")
        return Edits(tuple(sorted({*written, *applied})), attempt.summary)

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        return Review(approved=True)

    def _same_state(self, task: Task) -> None:
        if task.base_tree != self.recording.base_tree:
            raise OtherState(
                f"Recorded on tree {self.recording.base_tree[:12]}; this is {task.base_tree[:12]}.",
                recorded=self.recording.base_tree,
                current=task.base_tree,
            )
