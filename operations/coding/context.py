"""What a stage is given, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents import equipment, health
from agents.models import Agent, Fact
from events.journal import record
from operations import projects
from operations.coding import credentials, rounds, vault
from operations.coding.credentials import Credentials
from operations.coding.git_faults import TreeMissing
from operations.coding.remotes import Remote
from operations.coding.stage_log import StageLog
from operations.coding.storable import storable
from operations.faults import StageInterrupted
from operations.models import Evidence, Operation, Rework, Stage, Step
from operations.submit import load
from resources import fleet
from resources.guarded import guarded
from resources.halting import Halting
from resources.operator_secrets import Mask
from resources.sandboxes import selection
from resources.sandboxes.protocol import Sandbox, SandboxGone
from resources.transcripts import Transcribed


@dataclass(frozen=True, slots=True)
class Done:
    """The stage is finished: ``product`` for later stages and people, ``fields`` of the operation to set."""

    product: dict[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AwaitBerth:
    """The operation waits for its agent; without one it asks for it."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The berth is a person's now, with a checkout of ``tree`` in it."""

    tree: str


Outcome = Done | AwaitBerth | HandOver


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Something the engine itself saw on a tree; becomes an Evidence row when the stage ends, well or not."""

    kind: Evidence.Kind
    tree: str
    passed: bool
    name: str = ""
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    tier: str = ""

    def row(self, *, operation: Operation, turn: int, now: datetime) -> Evidence:
        """The unsaved row."""
        return Evidence(
            operation=operation, turn=turn, kind=self.kind, name=self.name, tree=self.tree, passed=self.passed,
            command=list(self.command), exit_code=self.exit_code, counts=dict(self.counts),
            detail=storable(dict(self.detail)), tier=self.tier, created_at=now,
        )  # fmt: skip


class Level(IntEnum):
    """How much a line matters, as a template's `log_level` names it."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Context:
    """One stage attempt: the operation as it was claimed (read it, never save it), its berth, its vault, its log."""

    def __init__(self, *, operation: Operation, log: StageLog, lost: Callable[[], bool]) -> None:
        self.operation, self.log, self.lost = operation, log, lost
        self.witnessed: list[Witnessed] = []
        self.mask = Mask({})  # of the template's secrets, from the moment they are read
        self._products: dict[Stage, dict[str, Any]] = {}  # none changes as long as this attempt has a say

    @property
    def stage(self) -> Stage:
        """The stage that this attempt is of."""
        return Stage(self.operation.stage)

    def say(self, line: str, *, level: Level = Level.INFO) -> None:
        """One line for the stage's live log, if the template wants to hear lines of this level."""
        if level >= self._heard:
            self.log.say(self.mask.text(line))

    @cached_property
    def _heard(self) -> Level:
        agent = self.operation.agent
        spec = agent.resolved.get("spec", {}) if agent is not None else {}
        return Level[str(spec.get("log_level", Level.INFO.name)).upper()]

    def seen(self, kind: Fact.Kind, words: str) -> None:
        """A sign of life of the agent's, just now: for its health."""
        if self.operation.agent_id is not None:
            health.observe(self.operation.agent_id, kind, now=timezone.now(), detail=words)

    def record(self, kind: str, **data: Any) -> None:
        """An event of the operation from within the stage, as long as this attempt has a say."""
        claimed = self.operation
        with transaction.atomic():
            operation = load(claimed.pk)
            if (operation.turn, operation.claim, operation.status) == (
                claimed.turn, claimed.claim, Operation.Status.RUNNING,
            ):  # fmt: skip
                record(kind, operation, actor="system", **storable(data))

    def check(self) -> None:
        """Raise when the operation was cancelled, moved on, or is to pause: before anything that others can see."""
        fleet.check()
        if (
            self.lost()
            or not Operation.objects.filter(
                pk=self.operation.pk, turn=self.operation.turn, claim=self.operation.claim
            ).exists()
        ):
            raise StageInterrupted("the operation moved on while this stage ran")

    def witness(self, witnessed: Witnessed) -> None:
        """Keep evidence of this attempt."""
        self.witnessed.append(witnessed)

    def product(self, stage: Stage) -> dict[str, Any]:
        """What the last finished run of an earlier stage made; empty when it has not run since the work began."""
        if stage not in self._products:
            done = self._steps.filter(stage=stage, outcome=Step.Outcome.DONE)
            if stage.position > Stage.ANALYZE.position:
                done = done.filter(pk__gt=self._begun)
            self._products[stage] = done.order_by("-id").values_list("product", flat=True).first() or {}
        return self._products[stage]

    def handed_over(self) -> str:
        """The tree with which a person was given the berth of the stage before it began; empty where it was not so."""
        last = self._steps.filter(stage=Stage.CODE, pk__gt=self._begun).exclude(outcome=Step.Outcome.RUNNING)
        step = last.order_by("-id").first()
        return str(step.product.get("tree", "")) if step and step.outcome == Step.Outcome.WAITING else ""

    def tree(self, stage: Stage) -> str:
        """The tree that an earlier stage left. Raises TreeMissing when this host's vault does not hold it."""
        name = str(self.product(stage)["tree"])
        if not vault.has(self.vault, name):
            raise TreeMissing(f"the vault of this host does not hold tree {name[:12]} of stage {stage}")
        return name

    @cached_property
    def rework(self) -> Rework | None:
        """The round that a delivered pull request came back with; None before there was one."""
        return rounds.of(self.operation) if self.operation.result else None

    def sent_back(self) -> list[dict[str, Any]]:
        """What the engine is told of its work so far, oldest first: what the round is about, then its own faults."""
        rework = self.rework
        if rework is None or rework.cause == Rework.Cause.CONFLICT:
            return self.sent_back_here()
        return [*rework.fault.get("besides", ()), rework.fault, *self.sent_back_here()]

    def sent_back_here(self) -> list[dict[str, Any]]:
        """The faults for which recovery sent the work back to CODE, oldest first."""
        rows = self._steps.filter(turn__gte=self.operation.counting_from, pk__gt=self._begun, action="rework")
        return [fault for fault in rows.order_by("id").values_list("fault", flat=True) if fault]

    @cached_property
    def _begun(self) -> int:
        """The step in which the present work began: what was made before a fresh clone is no part of it."""
        analyzed = self._steps.filter(stage=Stage.ANALYZE, outcome=Step.Outcome.DONE).order_by("-id")
        return analyzed.values_list("pk", flat=True).first() or 0

    @property
    def _steps(self) -> Any:
        return Step.objects.filter(operation_id=self.operation.pk)

    @property
    def agent(self) -> Agent:
        """The operation's agent. Raises SandboxGone when it lost it."""
        if self.operation.agent is None:
            raise SandboxGone("the operation has no agent")
        return self.operation.agent

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved template of the agent."""
        return self.agent.resolved["spec"]

    @cached_property
    def sandbox(self) -> Sandbox:
        """The berth's sandbox, found again. Raises SandboxGone."""
        if self.agent.sandbox is None:
            raise SandboxGone(f"agent {self.agent.name} has no sandbox")
        return guarded(selection.adopt(self.agent.sandbox), owner=self.agent.owner)

    @cached_property
    def watched(self) -> Sandbox:
        """The same for all commands but git's own errands: none in a pause, and those who watch see what they print."""
        return Halting(Transcribed(self.sandbox, label=self.stage.value))

    @cached_property
    def equipped(self) -> Sandbox:
        """The same with what the template gives to commands: side services, secrets. For hooks, tests, the engine."""
        given = equipment.equip(self.agent, self.watched, say=self.say)
        self.mask = given.mask
        return given.sandbox

    @property
    def secrets_seen(self) -> Mask:
        """What knows the secrets that commands of this berth are given."""
        return self.mask or equipment.mask_of(self.spec)

    @cached_property
    def workspace(self) -> Path:
        """The berth's directory on this host."""
        return Path(self.sandbox.reference()["profile"]["workspace"])

    @cached_property
    def vault(self) -> vault.Vault:
        """The project's vault."""
        return vault.of_project(self.operation.project_id)

    @property
    def remote(self) -> Remote:
        """The project's repository, checked now."""
        return projects.checked_remote(self.operation.project)

    @property
    def credentials(self) -> Credentials:
        """What git may show to the remote."""
        return credentials.configured()
