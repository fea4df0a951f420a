"""What an engine is, and what it is given.

An engine sees a :class:`Workbench` (files and commands of one berth) and a :class:`Task`; it returns a
:class:`Plan`, then :class:`Edits`. It never commits, never tests for the record, never decides that it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from events.faults import Fault, FaultClass
from resources.sandboxes.protocol import Outcome


class EngineKind(StrEnum):
    """What a request may name."""

    AUTO = "auto"
    LLM = "llm"
    REPAIR = "repair"
    PATCH = "patch"
    CODEMOD = "codemod"
    EXTERNAL = "external"
    REPLAY = "replay"


class EngineUnavailable(Fault):
    """The named engine cannot work here."""

    fault_class = FaultClass.CONFIGURATION
    code = "engine.unavailable"


class CopyFailed(Fault):
    """The checkout cannot be copied: no room, no time, or something in it that cannot be."""

    fault_class = FaultClass.RESOURCE
    code = "bench.copy_failed"
    remedy = "Give the template a larger size.disk_mb, or set engine.limits.side_by_side to 1."


class EditRefused(Fault):
    """An edit does not apply exactly and uniquely; nothing of its call was written."""

    fault_class = FaultClass.PERMANENT
    code = "edit.refused"
    remedy = "Bring the patch or block up to date with the base branch."


@dataclass(frozen=True, slots=True)
class TestCounts:
    """JUnit totals of one run."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped


@dataclass(frozen=True, slots=True)
class Feedback:
    """Why the last attempt was sent back: the fault code, and text for the engine (test failures, syntax errors)."""

    code: str
    text: str
    trust: str = ""  # who wrote the text, as in agents.roles.prompts.Trust; empty: a tool


@dataclass(frozen=True, slots=True)
class CodeMap:
    """What ANALYZE learned: files with sizes (bytes), languages by file count, test command, failing tests before."""

    files: tuple[tuple[str, int], ...]
    languages: dict[str, int]
    test_command: tuple[str, ...]
    baseline: TestCounts | None
    failing_before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One requirement on one code base.

    ``attempt`` counts CODE attempts from 1; ``feedback`` comes with attempts above 1.
    """

    requirements: str
    code_map: CodeMap
    base_tree: str
    attempt: int = 1
    feedback: tuple[Feedback, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One intended change, for people and for the coder; ``after`` are the earlier steps it needs, from 1."""

    title: str
    files: tuple[str, ...] = ()
    detail: str = ""
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine means to do, and how one sees that it is done; JSON-able by :func:`dataclasses.asdict`."""

    summary: str
    steps: tuple[PlanStep, ...]
    criteria: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edits:
    """What CODE changed (paths relative to the checkout), and the engine's own words on it."""

    changed: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A reviewer's opinion on one criterion of the plan."""

    criterion: str
    met: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A reviewer's opinion: it may veto, it can never overrule a red gate."""

    approved: bool
    comments: tuple[str, ...] = ()
    criteria: tuple[Judged, ...] = ()


class Workbench(Protocol):
    """Files and commands of one checkout in one berth. Paths are relative POSIX paths beneath the checkout."""

    def read(self, path: str, *, limit_bytes: int = 2_000_000) -> bytes:
        """The file's bytes. Raises ``FileNotFoundError`` or a Fault for what is outside, special or too big."""

    def write(self, path: str, content: bytes) -> None:
        """Replace or create atomically, parents included; keeps the executable bit of an existing file."""

    def delete(self, path: str) -> None: ...

    def exists(self, path: str) -> bool: ...

    def files(self) -> Sequence[str]:
        """Regular files, sorted, without ``.git``."""

    def run(self, argv: Sequence[str], *, timeout_s: float = 120.0, stdin: bytes = b"") -> Outcome:
        """A command inside the sandbox, in the checkout."""

    def say(self, line: str) -> None:
        """One line for the stage's live log. Never a secret."""

    def cancelled(self) -> bool:
        """True once the operation was cancelled: stop as soon as possible."""

    def copied(self, name: str) -> AbstractContextManager[Copy]:
        """The whole checkout once more, beside this one, for as long as the block lasts; ``name`` is a plain word.

        Raises :class:`CopyFailed`; nothing is left of the copy then.
        """


class Copy(Workbench, Protocol):
    """A workbench on a copy of a checkout; its lines begin with its name."""

    def give_back(self, paths: Sequence[str]) -> None:
        """Make these files of the original what they are in the copy, be it gone, with their permission bits."""


class Engine(Protocol):
    """One way to turn a requirement into edits."""

    kind: EngineKind

    def label(self) -> str:
        """What stands on rows, commits and pull requests: ``Deterministic change — no AI was used``, ``openai/…``."""

    def usage(self) -> dict[str, int]:
        """Model calls and tokens since the engine was made; empty for engines without a model."""

    def plan(self, task: Task, bench: Workbench) -> Plan: ...

    def code(self, task: Task, plan: Plan, bench: Workbench) -> Edits: ...

    def review(self, task: Task, plan: Plan, diff: str, facts: dict[str, Any], bench: Workbench) -> Review:
        """Engines without an opinion approve with no comments."""
