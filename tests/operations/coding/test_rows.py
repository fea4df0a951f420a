"""Rows of the hot path are stored and read as the ORM stores and reads them, on either database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, models, transaction

from operations.models import Operation, Step
from operations.rows import Rows

OPERATIONS, STEPS = Rows(Operation), Rows(Step)
LATER = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def values(row: models.Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def read(operation: Operation) -> Operation | None:
    key = Operation._meta.pk.get_db_prep_value(operation.pk, connection)
    return OPERATIONS.first(f"SELECT {OPERATIONS.columns} FROM {OPERATIONS.table} WHERE id = %s", [key])  # noqa: S608


def step(operation: Operation, **fields: Any) -> Step:
    return Step(operation=operation, turn=0, stage="init", attempt=1, claim="c", started_at=LATER, **fields)


def test_a_row_is_read_as_the_orm_reads_it(due_operation: Operation) -> None:
    assert values(read(due_operation)) == values(Operation.objects.get())


def test_what_is_updated_is_what_the_orm_reads_then(due_operation: Operation) -> None:
    due_operation.attention = {"kind": "input_required", "reason": 'a "quoted" ü\n', "since": None}
    due_operation.result, due_operation.answers = None, ["one", {"two": [3]}]
    due_operation.last_retry_at, due_operation.retry_count = LATER, 7
    due_operation.requirements = "not stored"
    OPERATIONS.update(due_operation, ("attention", "result", "answers", "last_retry_at", "retry_count", "agent"))
    stored = Operation.objects.get()
    assert stored.requirements != "not stored"
    due_operation.requirements = stored.requirements
    assert values(stored) == values(due_operation) == values(read(due_operation))
    assert not Operation.objects.exclude(result=None).exists(), "None in a JSON column is NULL, as the ORM stores it"


def test_an_inserted_row_has_the_key_that_the_database_gave_it(due_operation: Operation) -> None:
    rows = [step(due_operation, product={"a": [1]}), step(due_operation)]
    rows[1].claim = "d"
    for row in rows:
        STEPS.insert(row)
    assert [values(row) for row in rows] == [values(row) for row in Step.objects.order_by("id")]
    rows[0].log = "more"
    rows[0].save()
    assert Step.objects.count() == 2, "the ORM takes it for a row that is there"


def test_a_constraint_refuses_what_it_refuses_to_the_orm(due_operation: Operation) -> None:
    STEPS.insert(step(due_operation))
    with pytest.raises(IntegrityError), transaction.atomic():
        STEPS.insert(step(due_operation))


def test_a_row_that_is_gone_is_not_updated_in_silence(due_operation: Operation) -> None:
    row = step(due_operation)
    STEPS.insert(row)
    Step.objects.all().delete()
    with pytest.raises(DatabaseError, match="any more"):
        STEPS.update(row, ("log",))
