"""What a gate finds is asked of a person or refused, as the template says; the answer holds for that very tree."""

from __future__ import annotations

from operations import submit
from operations.models import Evidence, Operation
from tests.flows.inline import Inline
from tests.flows.repositories import FIX
from tests.flows.test_syntax import adding


def asked(inline: Inline) -> Operation:
    operation = inline.submit(requirements=adding("requirements.txt", "left-pad==1"))
    inline.run()
    operation.refresh_from_db()
    return operation


def test_a_new_dependency_waits_for_a_person_whose_yes_lets_it_through(inline: Inline) -> None:
    operation = asked(inline)
    assert (operation.status, operation.attention["kind"]) == ("waiting", "input_required")
    assert "requirements.txt asks for left-pad" in operation.attention["reason"]
    submit.answer(by=inline.user, operation_id=operation.pk, text="Yes.")
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    row = Evidence.objects.filter(operation=operation, kind="gate", name="dependencies").order_by("-id").first()
    assert row is not None
    assert row.passed
    assert row.detail["text"].startswith("allowed by a person")
    assert row.detail["findings"] == ["requirements.txt asks for left-pad"]


def test_any_other_answer_is_a_no_and_its_words_are_kept(inline: Inline) -> None:
    operation = asked(inline)
    submit.answer(by=inline.user, operation_id=operation.pk, text="Yes, if it were smaller")
    operation = inline.finish(operation)
    assert (operation.status, operation.error["code"]) == ("failed", "gates.failed")
    assert "if it were smaller" in operation.error["detail"]


def test_a_gate_that_refuses_is_not_asked_about(inline: Inline) -> None:
    operation = inline.finish(inline.submit(requirements=adding("odd.py", "def f(x):", "    return eval(x)")))
    assert (operation.status, operation.error["code"]) == ("failed", "gates.failed")
    assert "odd.py line 2: eval runs text as code" in operation.error["detail"]


def test_every_gate_of_a_fine_change_leaves_its_evidence(inline: Inline) -> None:
    operation = inline.finish(inline.submit(requirements=FIX))
    assert operation.status == "succeeded", operation.error
    rows = Evidence.objects.filter(operation=operation, kind="gate")
    assert {"secrets", "new skips", "dependencies", "linters"} <= {row.name for row in rows}
    assert all(row.passed and row.detail["text"] for row in rows)
