"""What to do about a fault: a table, read from top to bottom, with a counter of its own for each kind of error."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from agents.engines.protocol import EngineKind
from events.faults import Fault, FaultClass
from operations.models import Stage


class Action(StrEnum):
    """The ways on after a fault."""

    RETRY = "retry"
    REWORK = "rework"
    RECREATE_ENVIRONMENT = "recreate_environment"
    FRESH_CLONE = "fresh_clone"
    WAIT_FOR_BUDGET = "wait_for_budget"
    WAIT_FOR_PROVIDER = "wait_for_provider"
    ASK = "ask"
    ASK_PERMISSION = "ask_permission"
    ESCALATE = "escalate"


class ErrorKind(StrEnum):
    """What a fault is, for recovery; each kind is counted by itself."""

    COMPILATION_ERROR = "COMPILATION_ERROR"
    TEST_FAILURE = "TEST_FAILURE"
    ENVIRONMENT_ERROR = "ENVIRONMENT_ERROR"
    GIT_ERROR = "GIT_ERROR"
    TRANSIENT_ERROR = "TRANSIENT_ERROR"
    VAULT_LOST = "VAULT_LOST"
    BASE_GONE = "BASE_GONE"
    EVIDENCE_MISSING = "EVIDENCE_MISSING"
    TIMEOUT = "TIMEOUT"
    BUDGET = "BUDGET"
    PROVIDER_RESTS = "PROVIDER_RESTS"
    QUESTION = "QUESTION"
    PERMISSION = "PERMISSION"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Rule:
    """At most ``limit`` times ``action``, each after its pause in seconds; then a person.

    It goes on at stage ``to``, or at the one that failed.
    """

    action: Action
    limit: int
    pauses_s: tuple[float, ...] = (0,)
    to: Stage | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The action, the stage to go to, and after how many seconds."""

    action: Action
    kind: ErrorKind
    stage: Stage
    pause_s: float = 0


@dataclass(frozen=True, slots=True)
class Symptom:
    """Faults whose code matches, in these stages (in any when empty), are of this kind."""

    codes: str
    kind: ErrorKind
    stages: frozenset[Stage] = frozenset()


# First match wins.
SYMPTOMS: tuple[Symptom, ...] = (
    # What the engine left is nothing that we let into the vault: the engine's turn again.
    Symptom(r"git\.content_refused", ErrorKind.TEST_FAILURE, frozenset({Stage.CODE})),
    Symptom(r"code\.does_not_compile", ErrorKind.COMPILATION_ERROR),
    Symptom(r"tests\.failed|gates\.failed|review\.vetoed|code\.no_changes", ErrorKind.TEST_FAILURE),
    Symptom(
        r"sandbox\..*|workspace\..*|agent\.berth_lost|git\.snapshot_failed|git\.no_space|ports\.exhausted",
        ErrorKind.ENVIRONMENT_ERROR,
    ),
    # A berth that could not be opened needs another one; in a later stage the engine may come back to the same berth.
    Symptom(r"engine\.unreachable", ErrorKind.ENVIRONMENT_ERROR, frozenset({Stage.INIT})),
    Symptom(r"git\.(unreachable|busy|failed)", ErrorKind.GIT_ERROR),
    Symptom(r"vault\.tree_missing", ErrorKind.VAULT_LOST),
    Symptom(r"git\.base_gone", ErrorKind.BASE_GONE),
    Symptom(r"evidence\.missing", ErrorKind.EVIDENCE_MISSING),
    Symptom(r"stage\.timeout", ErrorKind.TIMEOUT),
    Symptom(r"budget\.exhausted", ErrorKind.BUDGET),
    Symptom(r"llm\.rate_limited|forge\.rate_limited", ErrorKind.PROVIDER_RESTS),
    Symptom(r"llm\.question|gates\.asked", ErrorKind.QUESTION),
    Symptom(r"external\.permission_asked", ErrorKind.PERMISSION),
)

RECOVERY: dict[ErrorKind, Rule] = {
    ErrorKind.COMPILATION_ERROR: Rule(Action.REWORK, limit=3, to=Stage.CODE),
    ErrorKind.TEST_FAILURE: Rule(Action.REWORK, limit=3, to=Stage.CODE),
    ErrorKind.ENVIRONMENT_ERROR: Rule(Action.RECREATE_ENVIRONMENT, limit=2),
    ErrorKind.GIT_ERROR: Rule(Action.FRESH_CLONE, limit=3, pauses_s=(2, 10, 30)),
    # On another host than before: what was made there is not here, so the work begins again on a fresh clone.
    ErrorKind.VAULT_LOST: Rule(Action.FRESH_CLONE, limit=2, to=Stage.ANALYZE),
    ErrorKind.BASE_GONE: Rule(Action.FRESH_CLONE, limit=2, to=Stage.ANALYZE),
    ErrorKind.EVIDENCE_MISSING: Rule(Action.RETRY, limit=1, to=Stage.TEST),  # a tree is proved by testing it
    ErrorKind.TRANSIENT_ERROR: Rule(Action.RETRY, limit=3, pauses_s=(2, 10, 30)),
    ErrorKind.TIMEOUT: Rule(Action.RETRY, limit=1, pauses_s=(10,)),  # half an hour each: not over and over
    ErrorKind.BUDGET: Rule(Action.WAIT_FOR_BUDGET, limit=1000),  # a person ends this, not a count
    # The provider says how long; the pause here is for one that does not.
    ErrorKind.PROVIDER_RESTS: Rule(Action.WAIT_FOR_PROVIDER, limit=100, pauses_s=(15,)),
    ErrorKind.QUESTION: Rule(Action.ASK, limit=3),  # a model that only asks is no help
    ErrorKind.PERMISSION: Rule(Action.ASK_PERMISSION, limit=20),  # a program that asks for ever is no help either
    ErrorKind.OTHER: Rule(Action.ESCALATE, limit=0),
}

# Engines that would do the very same thing again: sending the work back to them is no way on.
ONE_TRY_ENGINES = frozenset({"patch", "codemod"})

# Engines whose next attempt is about what the last one left; the others start from the base again. Only these can
# answer what comes back from a forge.
GO_ON_FROM_LAST = frozenset({EngineKind.LLM, EngineKind.EXTERNAL, EngineKind.REPLAY})


def kind_of(fault: Fault, *, stage: Stage) -> ErrorKind:
    """The kind by the table, else by the fault's class."""
    for symptom in SYMPTOMS:
        if (not symptom.stages or stage in symptom.stages) and re.fullmatch(symptom.codes, fault.code):
            return symptom.kind
    return ErrorKind.TRANSIENT_ERROR if fault.fault_class is FaultClass.TRANSIENT else ErrorKind.OTHER


def decide(
    *, stage: Stage, fault: Fault, engine_kind: str, earlier: Iterable[str], reworks: int | None = None
) -> Decision:
    """The way on. ``earlier`` are the kinds of the faults recovered from since a person last had a say.

    ``reworks`` is how often the template lets code be written anew after failing tests.
    """
    kind = kind_of(fault, stage=stage)
    rule = RECOVERY[kind]
    limit = reworks if reworks is not None and kind is ErrorKind.TEST_FAILURE else rule.limit
    tried = Counter(earlier)[kind.value]
    if rule.action is Action.REWORK and engine_kind in ONE_TRY_ENGINES:
        return Decision(Action.ESCALATE, kind, stage)
    if rule.action is Action.ESCALATE or tried >= limit:
        return Decision(Action.ESCALATE, kind, stage)
    pause_s = rule.pauses_s[min(tried, len(rule.pauses_s) - 1)]
    if rule.action is Action.WAIT_FOR_PROVIDER:
        pause_s = max(1.0, float(fault.facts.get("retry_after_s") or pause_s))
    return Decision(rule.action, kind, rule.to or stage, pause_s)
