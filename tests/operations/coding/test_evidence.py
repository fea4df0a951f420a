"""What opens COMMIT and PR, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from operations.coding import evidence
from operations.models import Evidence, Operation, Project

TREE, OTHER = "a" * 40, "b" * 40
Kind = Evidence.Kind


@pytest.fixture
def operation(db: None) -> Operation:
    user = get_user_model().objects.create_user("ada")
    now = timezone.now()
    project = Project.objects.create(name="p", repository_url="/x", owner=user, created_at=now)
    return Operation.objects.create(
        project=project, requirements="r", template="python", created_by=user, created_at=now
    )


def saw(operation: Operation, kind: str, *, turn: int, passed: bool = True, tree: str = TREE, name: str = "") -> None:
    Evidence.objects.create(
        operation=operation, turn=turn, kind=kind, name=name, tree=tree, passed=passed, created_at=timezone.now()
    )


def refused(operation: Operation, tree: str = TREE) -> str:
    with pytest.raises(evidence.EvidenceMissing) as missing:
        evidence.require(operation, tree=tree)
    assert missing.value.remedy_text
    return missing.value.detail


def test_green_tests_and_gates_on_the_very_tree_open_the_way(operation: Operation) -> None:
    saw(operation, Kind.TESTS, turn=4)
    saw(operation, Kind.GATE, turn=5, name="size")
    assert {row.kind for row in evidence.require(operation, tree=TREE)} == {Kind.TESTS, Kind.GATE}


def test_nothing_seen_is_nothing_proved(operation: Operation) -> None:
    assert "gate, tests.run" in refused(operation)


@pytest.mark.parametrize("lacking", [Kind.TESTS, Kind.GATE])
def test_one_of_the_two_is_not_enough(operation: Operation, lacking: Any) -> None:
    for kind in {Kind.TESTS, Kind.GATE} - {lacking}:
        saw(operation, kind, turn=4)
    assert lacking.value in refused(operation)


def test_evidence_of_another_tree_is_stale(operation: Operation) -> None:
    saw(operation, Kind.TESTS, turn=4)
    saw(operation, Kind.GATE, turn=5)
    refused(operation, OTHER)


def test_evidence_of_another_operation_is_somebody_elses(operation: Operation) -> None:
    other = Operation.objects.create(
        project=operation.project, requirements="r", template="python", created_by=operation.created_by,
        created_at=timezone.now(),
    )  # fmt: skip
    saw(other, Kind.TESTS, turn=4)
    saw(other, Kind.GATE, turn=5)
    refused(operation)


def test_the_baseline_on_the_same_tree_proves_nothing(operation: Operation) -> None:
    saw(operation, Kind.BASELINE, turn=2)
    saw(operation, Kind.GATE, turn=5)
    refused(operation)


def test_a_red_gate_among_green_ones_is_named(operation: Operation) -> None:
    saw(operation, Kind.TESTS, turn=4)
    saw(operation, Kind.GATE, turn=5, name="size")
    saw(operation, Kind.GATE, turn=5, name="secrets", passed=False)
    assert "gate secrets" in refused(operation)


def test_the_newest_word_counts(operation: Operation) -> None:
    saw(operation, Kind.TESTS, turn=4, passed=False)
    saw(operation, Kind.GATE, turn=5)
    saw(operation, Kind.TESTS, turn=7)
    evidence.require(operation, tree=TREE)
    saw(operation, Kind.TESTS, turn=9, passed=False)
    refused(operation)


def test_a_veto_closes_the_way_until_the_same_tree_is_judged_again(operation: Operation) -> None:
    saw(operation, Kind.TESTS, turn=4)
    saw(operation, Kind.GATE, turn=5)
    saw(operation, Kind.REVIEW, turn=5, passed=False, name="llm")
    assert "review llm" in refused(operation)
    saw(operation, Kind.GATE, turn=8)  # the reviewer had a second look, and nothing to say
    evidence.require(operation, tree=TREE)
