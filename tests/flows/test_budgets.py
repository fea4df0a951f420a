"""Money in the nine stages: a run that has none waits and says so, goes on when it is given, and pays once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from agents.gateway import limits
from agents.gateway.models import Account, Budget, ModelCall, RunToken
from agents.gateway.money import nanos
from operations import budgets, faults, spend, submit
from operations.models import Operation, Step
from operations.snapshots import attention, blocked_by
from tests.fakes.llm_server import Behaviour, Fail, LlmServer, Say
from tests.flows.inline import PLAIN_TEMPLATE, Inline
from tests.flows.repositories import PROJECT, make
from tests.flows.test_llm import APPROVED, DONE, KEY, MEND, PLAN, REQUIREMENT
from tests.gateway_server import gateway_server


@pytest.fixture
def server(settings: Any) -> Iterator[LlmServer]:
    with LlmServer() as running, gateway_server() as url:
        settings.GATEWAY_URL = url
        settings.MODEL_ENVIRONMENT = {
            "MOORAGE_MODELS": "openai:gpt-5",
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": running.base_url("openai"),
        }
        settings.MODEL_TIMEOUT_S = 10
        settings.BUDGET = {}
        yield running


def costing(say: Say, output_tokens: int = 1000) -> Say:
    """The same answer with this usage: 1000 tokens of gpt-5 are a cent."""
    return Say(say.text, say.calls, say.stop, input_tokens=0, output_tokens=output_tokens)


def script(server: LlmServer, *behaviours: Behaviour) -> None:
    server.script.extend(behaviours)


@pytest.mark.parametrize(
    ("said", "unit"),
    [
        ("cost_cents: 15", {"limit_usd": 0.15, "spent_usd": 0.08}),
        ("model_calls: 1", {"limit_calls": 1}),
        ("tokens: 15000", {"limit_tokens": 15000}),
    ],
)
def test_what_a_template_allows_is_the_budget_of_the_run(
    inline: Inline, server: LlmServer, data_directory: Path, said: str, unit: dict[str, float]
) -> None:
    text = PLAIN_TEMPLATE.replace("name: plain", "name: mine") + f"  budgets: {{{said}}}\n"
    (data_directory / "templates" / "mine.yaml").write_text(text)
    script(server, costing(PLAN, 8000), costing(MEND), DONE, APPROVED)
    project = inline.project(make(inline.roots / "mine.git", PROJECT), default_template="mine")
    operation = inline.finish(inline.submit(project, requirements=REQUIREMENT))
    assert (operation.status, operation.stage) == ("waiting", "code")
    (reason,) = blocked_by(operation)
    assert (reason["kind"], reason["scope"]) == ("budget", "run")
    assert {name: reason.get(name) for name in unit} == unit
    assert len(server.requests) == 1


def test_a_template_loosens_no_limit_of_the_operator_and_no_word_of_a_person(db: None, settings: Any) -> None:
    settings.BUDGET = {"run": 1.0, "run.calls": 7}
    run, now = uuid.uuid4(), timezone.now()
    place = limits.Place("run", str(run))
    wide = limits.Limit(nanos=nanos(5), tokens=100, calls=9)
    for _ in range(2):
        limits.bound_run(run, wide, template="mine", now=now)
        assert limits.of([place])[place] == limits.Limit(nanos=nanos(1), tokens=100, calls=7)
    assert Budget.objects.get().set_by == "template:mine"
    limits.put(scope="run", key=str(run), usd=3.0, actor="user:ada", now=now)
    limits.bound_run(run, wide, template="mine", now=now)
    assert limits.of([place])[place] == limits.Limit(nanos=nanos(3))


def test_a_run_without_money_waits_says_so_and_goes_on_when_it_gets_some(
    inline: Inline, server: LlmServer, settings: Any
) -> None:
    settings.BUDGET = {"run": 0.15}  # one call holds at most about ten cents
    script(server, costing(PLAN, 8000), costing(MEND), DONE, APPROVED)

    operation = inline.finish(inline.submit(requirements=REQUIREMENT))

    assert (operation.status, operation.stage) == ("waiting", "code")
    (reason,) = blocked_by(operation)
    assert (reason["kind"], reason["scope"], reason["limit_usd"], reason["spent_usd"]) == ("budget", "run", 0.15, 0.08)
    assert "budget of this run" in attention(operation)["reason"]
    assert len(server.requests) == 1
    with pytest.raises(faults.NotPossibleNow):
        submit.answer(by=inline.user, operation_id=operation.pk, text="Go on!")

    budgets.raise_run(by=inline.user, operation_id=operation.pk, usd=1.0, now=timezone.now())
    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert not server.script
    (row,) = spend.by("run", user=inline.user, since=timezone.now().date())
    assert row.spend.cost_nanos == sum(ModelCall.objects.values_list("cost_nanos", flat=True))
    assert (row.spend.calls, row.outcomes, len(row.pull_requests)) == (4, {"succeeded": 1}, 1)
    assert not RunToken.objects.filter(revoked_at=None).exists()


def test_a_cent_buys_no_call_and_nothing_is_sent(inline: Inline, server: LlmServer, settings: Any) -> None:
    settings.BUDGET = {"project": 0.01}
    operation = inline.finish(inline.submit(requirements=REQUIREMENT))
    assert (operation.status, operation.stage) == ("waiting", "plan")
    assert blocked_by(operation)[0]["scope"] == "project"
    assert not server.requests
    with pytest.raises(faults.StaffOnly):
        budgets.put(by=inline.user, scope="project", key="", usd=5, now=timezone.now())
    staff = get_user_model().objects.create_user("root", is_staff=True)
    budgets.put(by=staff, scope="project", key=str(operation.project_id), usd=5, now=timezone.now())
    script(server, PLAN, MEND, DONE, APPROVED)
    assert inline.finish(operation).status == "succeeded"


def test_a_days_budget_is_renewed_with_the_day(inline: Inline, server: LlmServer, settings: Any) -> None:
    settings.BUDGET = {"day": 0.01}
    operation = inline.finish(inline.submit(requirements=REQUIREMENT))
    assert operation.status == "waiting"
    assert budgets.resume_renewed(now=timezone.now()) == 0
    assert budgets.resume_renewed(now=timezone.now() + timedelta(days=1)) == 1
    operation.refresh_from_db()
    assert (operation.status, operation.attention, blocked_by(operation)) == ("running", None, [])


def test_a_soft_limit_draws_attention_and_stops_nothing(inline: Inline, server: LlmServer, settings: Any) -> None:
    settings.BUDGET = {"run": 0.3}
    settings.BUDGET_SOFT = 0.2
    script(server, costing(PLAN, 8000), MEND, DONE, APPROVED)
    operation = inline.submit(requirements=REQUIREMENT, approval="pull_request")
    inline.run(until=lambda: Operation.objects.get().notice is not None)
    operation.refresh_from_db()
    assert attention(operation)["kind"] == "budget_low"
    assert "$0.08 of the $0.30" in attention(operation)["reason"].replace("0.080000", "0.08")
    operation = inline.finish(operation)
    assert attention(operation)["kind"] == "approval_required"
    submit.approve(by=inline.user, operation_id=operation.pk)
    operation = inline.finish(operation)
    assert (operation.status, attention(operation)["kind"]) == ("succeeded", "none")


def test_what_a_lost_worker_had_paid_for_is_not_paid_again(inline: Inline, server: LlmServer) -> None:
    script(server, PLAN, MEND, DONE, APPROVED)
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: Operation.objects.get().stage == "test")
    # As after kill -9 of CODE's worker: its step was never finished, and the turn is claimed anew.
    coded = Step.objects.get(stage="code")
    Step.objects.filter(pk=coded.pk).update(outcome="lost")
    Operation.objects.update(stage="code", turn=coded.turn, claim="", wake_up_at=timezone.now())
    inline.queued()
    inline.wake(operation)

    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert len(server.requests) == 4 == ModelCall.objects.count()
    assert sum(ModelCall.objects.values_list("replays", flat=True)) == 2
    assert sum(ModelCall.objects.values_list("cost_nanos", flat=True)) == Account.objects.get(scope="day").spent_nanos


def test_a_coder_that_ran_the_tests_is_not_paid_again_though_they_took_another_time(
    inline: Inline, server: LlmServer
) -> None:
    tests = Say(calls=(("RunCommand", {"argv": ["python", "-m", "pytest", "-p", "no:cacheprovider"]}),))
    script(server, PLAN, tests, MEND, tests, DONE, APPROVED)
    operation = inline.submit(requirements=REQUIREMENT)
    inline.run(until=lambda: Operation.objects.get().stage == "test")
    coded = Step.objects.get(stage="code")
    Step.objects.filter(pk=coded.pk).update(outcome="lost")
    Operation.objects.update(stage="code", turn=coded.turn, claim="", wake_up_at=timezone.now())
    inline.queued()
    inline.wake(operation)

    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert len(server.requests) == 6 == ModelCall.objects.count()
    assert sum(ModelCall.objects.values_list("replays", flat=True)) == 4
    assert "1 failed, 1 passed" in str(server.requests[2].body)


def test_a_provider_that_names_a_time_parks_the_run_and_costs_no_attempt(inline: Inline, server: LlmServer) -> None:
    script(server, Fail(429, {"retry-after": "600"}, message="insufficient_quota"))
    operation = inline.finish(inline.submit(requirements=REQUIREMENT))
    assert (operation.status, operation.stage, operation.retry_count) == ("waiting", "plan", 0)
    (reason,) = blocked_by(operation)
    assert reason["kind"] == "provider"
    assert operation.wake_up_at > timezone.now() + timedelta(seconds=500)
    second = inline.finish(inline.submit(requirements=REQUIREMENT))
    assert second.status == "waiting"
    assert second.wake_up_at > operation.wake_up_at  # in line, and not in the same moment
    assert len(server.requests) == 1  # nobody asked the provider in vain
