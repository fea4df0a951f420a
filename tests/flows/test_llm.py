"""The nine stages with a language model: scripted answers over real HTTP, through the real client libraries."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.models import Fact
from operations import faults, plans, submit
from operations.models import Operation, PullRequest, Step
from tests.fakes.llm_server import Fail, LlmServer, Say
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, make
from tests.gateway_server import gateway_server

KEY = "sk-very-secret-key"
REQUIREMENT = "sub() must subtract."
CRITERION = "sub(5, 3) is 2."
PLANNED = {
    "summary": "Mend sub().", "steps": [{"title": "Mend", "files": ["calc.py"]}], "criteria": [CRITERION],
}  # fmt: skip
PLAN = Say(calls=(("SubmitPlan", PLANNED),))
LIE = Say(calls=(("Done", {"summary": "All tests pass!"}),))
DONE = Say(calls=(("Done", {"summary": "sub() subtracts."}),))
JUDGED = {"criterion": CRITERION, "met": True, "why": "test_sub"}
APPROVED = Say(calls=(("SubmitReview", {"approved": True, "comments": ["Small and right."], "criteria": [JUDGED]}),))
DIAGNOSIS = Say(calls=(("SubmitDiagnosis", {"cause": "add() subtracts now.", "corrections": ["Put + back."]}),))


def edit(search: str, replace: str) -> Say:
    return Say(calls=(("EditFiles", {"edits": [{"path": "calc.py", "search": search, "replace": replace}]}),))


WRONG = edit("def add(a, b):\n    return a + b\n", "def add(a, b):\n    return a - b\n")
RIGHT = edit("def add(a, b):\n    return a - b\n", "def add(a, b):\n    return a + b\n")
MEND = edit("def sub(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n")


@pytest.fixture
def server(settings: Any) -> Iterator[LlmServer]:
    with LlmServer() as running, gateway_server() as url:
        settings.GATEWAY_URL = url
        settings.MODEL_ENVIRONMENT = {
            "MOORAGE_MODELS": "openai:first,anthropic:second",
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": running.base_url("openai"),
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": running.base_url("anthropic"),
        }
        settings.MODEL_TIMEOUT_S = 10
        yield running


def everything_said(operation: Any) -> str:
    steps = Step.objects.filter(operation=operation)
    return repr(list(steps.values_list("log", "product", "fault"))) + PullRequest.objects.get().body


def test_a_model_that_lies_about_its_tests_is_sent_back_and_what_it_mends_is_delivered(
    inline: Inline, server: LlmServer
) -> None:
    remote = make(inline.roots / "calc.git", PROJECT)
    server.script.extend([PLAN, MEND, WRONG, LIE, DIAGNOSIS, RIGHT, DONE, APPROVED])

    operation = inline.finish(inline.submit(inline.project(remote), requirements=REQUIREMENT))

    assert operation.status == "succeeded", operation.error
    assert (operation.engine_kind, operation.engine_label) == ("llm", "openai/first")
    assert [outcome for stage, outcome in stages(operation) if stage == "test"] == ["fault", "done"]
    assert "All tests pass!" not in PullRequest.objects.get().body
    assert f"| {CRITERION} | ✓ | in the reviewer's eyes: test_sub |" in PullRequest.objects.get().body
    assert (
        remote.git("show", f"{operation.result['branch']}:calc.py")
        == PROJECT["calc.py"].replace("def sub(a, b):\n    return a + b", "def sub(a, b):\n    return a - b").strip()
    )
    assert operation.result["tests"]["after"] == {"passed": 2, "failed": 0, "errors": 0, "skipped": 0}
    coded = operation.steps.filter(stage="code", outcome="done").last()
    assert coded.product["usage"]["calls"] == 3
    assert KEY not in everything_said(operation)
    assert not server.script
    assert left_held() == []


def test_the_next_provider_takes_over_where_the_first_is_down(inline: Inline, server: LlmServer, settings: Any) -> None:
    with LlmServer() as down:  # its script is empty: it answers 500
        settings.MODEL_ENVIRONMENT = settings.MODEL_ENVIRONMENT | {"OPENAI_BASE_URL": down.base_url("openai")}
        server.script.extend([PLAN, MEND, DONE, APPROVED])

        operation = inline.finish(inline.submit(requirements=REQUIREMENT))

        assert operation.status == "succeeded", operation.error
        assert operation.engine_label == "anthropic/second"
        assert 5 <= len(down.requests) < 12  # then its breaker leaves it alone, or lets a probe through
        assert not server.script


def test_a_refused_key_goes_to_a_person_at_once_and_is_told_nowhere(inline: Inline, server: LlmServer) -> None:
    server.script.extend([Fail(401, message=KEY)])

    operation = inline.finish(inline.submit(requirements=REQUIREMENT))

    assert (operation.status, operation.stage) == ("failed", "plan")
    assert operation.error["code"] == "llm.auth"
    assert operation.error["remedy"]
    assert KEY not in repr(operation.error)
    assert len(server.requests) == 1
    assert left_held() == []


def test_a_big_file_in_the_repository_does_not_keep_a_model_from_searching(inline: Inline, server: LlmServer) -> None:
    remote = make(inline.roots / "calc.git", {**PROJECT, "dump.sql": "return a + b\n" + "x" * 2_100_000})
    search = Say(calls=(("SearchText", {"text": "return a + b"}), ("ReadFile", {"path": "dump.sql"})))
    server.script.extend([PLAN, search, MEND, DONE, APPROVED])

    operation = inline.finish(inline.submit(inline.project(remote), requirements=REQUIREMENT))

    assert operation.status == "succeeded", operation.error
    facts = {fact.kind: fact for fact in Fact.objects.filter(agent=operation.agent)}
    assert facts["last_model_call"].detail == "openai/first"


def test_a_coder_that_broke_the_syntax_goes_on_from_what_it_left(inline: Inline, server: LlmServer) -> None:
    # By a command: an edit that breaks a file is taken back at once.
    script = "/def sub/{s/b):/b:/;n;s/+/-/}"
    broke = Say(calls=(("RunCommand", {"argv": ["sed", "-i", "-e", script, "calc.py"]}),))
    mended = edit("def sub(a, b:\n", "def sub(a, b):\n")
    tried = Say(calls=(("RunCommand", {"argv": ["true"]}),))
    server.script.extend([PLAN, broke, DONE, DIAGNOSIS, mended, tried, DONE, APPROVED])

    operation = inline.finish(inline.submit(requirements=REQUIREMENT))

    assert operation.status == "succeeded", operation.error
    assert not server.script
    sent_back = operation.steps.get(outcome="fault")
    assert (sent_back.fault["code"], sent_back.action) == ("code.does_not_compile", "rework")
    facts = {fact.kind: fact for fact in Fact.objects.filter(agent=operation.agent)}
    assert facts["last_tool_result"].detail.startswith("true: exit 0")


def test_a_coder_that_was_sent_back_begins_anew_where_the_vault_was_lost(
    inline: Inline, server: LlmServer, data_directory: Path
) -> None:
    server.script.extend([PLAN, WRONG, DONE])
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).retry_count == 1)
    shutil.rmtree(data_directory / "vaults")
    server.script.extend([PLAN, MEND, DONE, APPROVED])

    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert not server.script, "the new attempt is the first on the fresh clone: no diagnosis of what is gone"


def test_a_question_waits_for_a_person_and_the_answer_reaches_the_planner(inline: Inline, server: LlmServer) -> None:
    asked = {"summary": "s", "steps": [{"title": "t"}], "question": "Which sign?"}
    server.script.append(Say(calls=(("SubmitPlan", asked),)))
    operation = inline.finish(inline.submit(requirements=REQUIREMENT))
    assert (operation.status, operation.stage) == ("waiting", "plan")
    assert (operation.attention["kind"], operation.attention["reason"]) == ("input_required", "Which sign?")

    server.script.extend([PLAN, MEND, DONE, APPROVED])
    submit.answer(by=inline.user, operation_id=operation.pk, text="Minus.")
    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert "Minus." in server.requests[1].body["messages"][1]["content"]


def test_a_person_edits_the_plan_before_it_is_approved(inline: Inline, server: LlmServer) -> None:
    server.script.append(PLAN)
    operation = inline.finish(inline.submit(requirements=REQUIREMENT, approval="plan"))
    assert operation.attention["kind"] == "approval_required"
    steps = (plans.EditedStep("Only sub()", ("calc.py",), "Leave add() alone."),)
    plans.edit(by=inline.user, operation_id=operation.pk, summary="By hand.", steps=steps)

    server.script.extend([MEND, DONE, APPROVED])
    submit.approve(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert "Leave add() alone." in server.requests[1].body["messages"][1]["content"]
    with pytest.raises(faults.NotPossibleNow):
        plans.edit(by=inline.user, operation_id=operation.pk, summary="Too late.", steps=None)
