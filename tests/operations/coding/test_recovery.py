"""What is done about a fault: the table, its limits, and its last resort."""

from __future__ import annotations

import pytest

from agents.engines.external.faults import Flood, PermissionAsked, ProgramEnded
from agents.faults import BerthLost
from events.faults import Fault, FaultClass, Remembered
from operations import faults
from operations.coding import recovery
from operations.coding.context import TreeMissing
from operations.coding.evidence import EvidenceMissing
from operations.coding.forges.protocol import ForgeAuth, ForgeUnavailable
from operations.coding.git_faults import BaseGone, BranchDiverged
from operations.coding.recovery import ONE_TRY_ENGINES, RECOVERY, Action, ErrorKind, decide
from operations.coding.stages.code import DoesNotCompile, NoChanges
from operations.coding.stages.validate import GatesFailed, ReviewVetoed
from operations.coding.test_runs import TestsFailed, TestsNotFound
from operations.models import Stage
from resources.sandboxes.protocol import SandboxFailed, SandboxGone


def coded(code: str, fault_class: FaultClass = FaultClass.PERMANENT) -> Fault:
    return Remembered({"code": code, "class": fault_class.value, "detail": "d"})


KINDS = [
    (DoesNotCompile("d"), Stage.CODE, ErrorKind.COMPILATION_ERROR),
    (NoChanges("d"), Stage.CODE, ErrorKind.TEST_FAILURE),
    (TestsFailed("d"), Stage.TEST, ErrorKind.TEST_FAILURE),
    (GatesFailed("d"), Stage.VALIDATE, ErrorKind.TEST_FAILURE),
    (ReviewVetoed("d"), Stage.VALIDATE, ErrorKind.TEST_FAILURE),
    (coded("git.content_refused"), Stage.CODE, ErrorKind.TEST_FAILURE),
    (coded("git.content_refused"), Stage.ANALYZE, ErrorKind.OTHER),
    (SandboxGone("d"), Stage.TEST, ErrorKind.ENVIRONMENT_ERROR),
    (SandboxFailed("d"), Stage.ANALYZE, ErrorKind.ENVIRONMENT_ERROR),
    (BerthLost("d"), Stage.PLAN, ErrorKind.ENVIRONMENT_ERROR),
    (coded("git.unreachable"), Stage.ANALYZE, ErrorKind.GIT_ERROR),
    (coded("git.unreachable_by_design"), Stage.ANALYZE, ErrorKind.OTHER),
    (ForgeUnavailable("d"), Stage.PR, ErrorKind.TRANSIENT_ERROR),
    (ForgeAuth("d"), Stage.PR, ErrorKind.OTHER),
    (TreeMissing("d"), Stage.TEST, ErrorKind.VAULT_LOST),
    (BaseGone("d"), Stage.PR, ErrorKind.BASE_GONE),
    (faults.StageTimeout("d"), Stage.TEST, ErrorKind.TIMEOUT),
    (faults.StageInterrupted("d"), Stage.TEST, ErrorKind.TRANSIENT_ERROR),
    (faults.Unexpected("d"), Stage.CODE, ErrorKind.OTHER),
    (EvidenceMissing("d"), Stage.COMMIT, ErrorKind.EVIDENCE_MISSING),
    (BranchDiverged("d"), Stage.PR, ErrorKind.OTHER),
    (TestsNotFound("d"), Stage.ANALYZE, ErrorKind.OTHER),
    (coded("budget.exhausted"), Stage.CODE, ErrorKind.BUDGET),
    (coded("llm.rate_limited", FaultClass.TRANSIENT), Stage.CODE, ErrorKind.PROVIDER_RESTS),
    (coded("forge.rate_limited", FaultClass.TRANSIENT), Stage.PR, ErrorKind.PROVIDER_RESTS),
    (coded("llm.question"), Stage.PLAN, ErrorKind.QUESTION),
    (PermissionAsked("d"), Stage.CODE, ErrorKind.PERMISSION),
    (ProgramEnded("d"), Stage.CODE, ErrorKind.TRANSIENT_ERROR),
    (Flood("d"), Stage.CODE, ErrorKind.OTHER),
]


@pytest.mark.parametrize(("fault", "stage", "kind"), KINDS, ids=[f"{f.code}-{s}" for f, s, _ in KINDS])
def test_a_fault_is_of_the_kind_that_the_table_says(fault: Fault, stage: Stage, kind: ErrorKind) -> None:
    assert recovery.kind_of(fault, stage=stage) is kind


def test_every_kind_has_a_rule() -> None:
    assert set(RECOVERY) == set(ErrorKind)


RETRIED = [(kind, rule) for kind, rule in RECOVERY.items() if rule.action is not Action.ESCALATE]
EXAMPLE = {kind: fault for fault, _stage, kind in reversed(KINDS)}


@pytest.mark.parametrize(("kind", "rule"), RETRIED, ids=[kind.value for kind, _ in RETRIED])
def test_each_kind_is_tried_as_often_as_its_rule_says_and_then_goes_to_a_person(
    kind: ErrorKind, rule: recovery.Rule
) -> None:
    stage = next(stage for fault, stage, found in KINDS if fault is EXAMPLE[kind] and found is kind)
    earlier: list[str] = []
    pauses = []
    for _attempt in range(rule.limit):
        decision = decide(stage=stage, fault=EXAMPLE[kind], engine_kind="llm", earlier=earlier)
        assert decision.action is rule.action
        pauses.append(decision.pause_s)
        earlier.append(decision.kind.value)
    assert pauses == sorted(pauses), "each pause is at least as long as the one before"
    last = decide(stage=stage, fault=EXAMPLE[kind], engine_kind="llm", earlier=earlier)
    assert last.action is Action.ESCALATE
    assert last.stage == stage


def test_kinds_are_counted_apart() -> None:
    used_up = ["TEST_FAILURE"] * 3 + ["ENVIRONMENT_ERROR"] * 2
    assert (
        decide(stage=Stage.TEST, fault=TestsFailed("d"), engine_kind="llm", earlier=used_up).action is Action.ESCALATE
    )
    compiled = decide(stage=Stage.CODE, fault=DoesNotCompile("d"), engine_kind="llm", earlier=used_up)
    assert compiled.action is Action.REWORK


@pytest.mark.parametrize("engine", sorted(ONE_TRY_ENGINES))
def test_engines_that_would_do_the_same_again_get_no_rework(engine: str) -> None:
    assert decide(stage=Stage.TEST, fault=TestsFailed("d"), engine_kind=engine, earlier=[]).action is Action.ESCALATE
    gone = decide(stage=Stage.TEST, fault=SandboxGone("d"), engine_kind=engine, earlier=[])
    assert gone.action is Action.RECREATE_ENVIRONMENT


def test_rework_goes_back_to_code_and_everything_else_stays_in_its_stage() -> None:
    assert decide(stage=Stage.VALIDATE, fault=GatesFailed("d"), engine_kind="llm", earlier=[]).stage is Stage.CODE
    assert decide(stage=Stage.PR, fault=ForgeUnavailable("d"), engine_kind="llm", earlier=[]).stage is Stage.PR


def test_what_was_not_proved_is_tested_once_more_before_a_person_is_asked() -> None:
    missing = EvidenceMissing("d")
    decision = decide(stage=Stage.PR, fault=missing, engine_kind="patch", earlier=[])
    assert (decision.action, decision.stage) == (Action.RETRY, Stage.TEST)
    again = decide(stage=Stage.PR, fault=missing, engine_kind="patch", earlier=["EVIDENCE_MISSING"])
    assert again.action is Action.ESCALATE


@pytest.mark.parametrize("reworks", [1, 5])
def test_a_template_says_how_often_code_is_written_anew_after_failing_tests(reworks: int) -> None:
    def after(tried: int, fault: Fault) -> Action:
        earlier = [recovery.kind_of(fault, stage=Stage.TEST).value] * tried
        return decide(stage=Stage.TEST, fault=fault, engine_kind="llm", earlier=earlier, reworks=reworks).action

    assert [after(tried, TestsFailed("d")) for tried in (reworks - 1, reworks)] == [Action.REWORK, Action.ESCALATE]
    assert after(1, SandboxGone("d")) is Action.RECREATE_ENVIRONMENT, "other kinds keep their own limits"


def test_work_that_is_not_in_the_vault_begins_again_with_a_fresh_clone() -> None:
    decision = decide(stage=Stage.COMMIT, fault=TreeMissing("d"), engine_kind="patch", earlier=[])
    assert (decision.action, decision.stage) == (Action.FRESH_CLONE, Stage.ANALYZE)
