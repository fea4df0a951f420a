"""The nine stages with an agent program in the berth: its permissions, its money, its lies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from agents.engines.external.assignment import Answer
from agents.engines.protocol import EngineUnavailable
from agents.gateway import ways
from agents.gateway.models import ModelCall, RunToken
from agents.models import Fact
from events.models import Event
from operations import budgets, faults, plans, submit
from operations.models import Evidence, Operation, PullRequest, Step
from operations.snapshots import attention, blocked_by
from resources.egress import daemon
from tests.fakes import acp_agent
from tests.fakes.llm_server import LlmServer, Say
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import CALC, PROJECT, Remote, make
from tests.flows.test_llm import KEY, REQUIREMENT
from tests.gateway_server import gateway_server

pytestmark = [pytest.mark.needs_bubblewrap, pytest.mark.timeout(120)]

AGENT = "acp_agent.py"
FILES = {**PROJECT, AGENT: Path(acp_agent.__file__).read_text()}
MENDED = CALC.replace(acp_agent.WRONG, acp_agent.RIGHT)
TEMPLATE = """\
apiVersion: moorage/v1
kind: Template
name: {name}
version: 1.0.0
extends: python
spec:
  isolation: {{min: process}}
  tests: {{command: {tests}}}
  engine:
    kind: external
    max_attempts: 1
    external:
      program: [python3, {agent}, {behaviour}]
      name: fake-agent
      permissions: {{execute: {execute}}}
"""


@pytest.fixture
def isolated(inline: Inline, settings: Any) -> Inline:
    settings.ISOLATION, settings.ALLOW_BARE = "process", False
    settings.MODEL_ENVIRONMENT = {}
    inline.register_host()  # again: what its tiers are is another matter now
    return inline


NO_TESTS = "['true']"  # for what never comes to be tested


def template(data: Path, behaviour: str, *, execute: Answer = Answer.ALLOW, tests: str = "[]") -> str:
    name = f"with-{behaviour}"
    text = TEMPLATE.format(name=name, agent=AGENT, behaviour=behaviour, execute=execute.value, tests=tests)
    (data / "templates" / f"{name}.yaml").write_text(text)
    return name


def requested(inline: Inline, data: Path, behaviour: str, **more: Any) -> Operation:
    remote = make(inline.roots / f"{behaviour}.git", FILES)
    return inline.submit(inline.project(remote), requirements=REQUIREMENT, template=template(data, behaviour, **more))


def test_a_program_in_the_berth_brings_a_requirement_to_a_pull_request_that_names_it(
    isolated: Inline, data_directory: Path
) -> None:
    operation = isolated.finish(requested(isolated, data_directory, "well"))

    assert operation.status == "succeeded", operation.error
    assert [stage for stage, outcome in stages(operation) if outcome == "done"] == [
        "init", "analyze", "plan", "code", "test", "validate", "commit", "pr", "complete",
    ]  # fmt: skip
    assert (operation.engine_kind, operation.engine_label) == ("external", "fake-agent 1.4.2")
    assert operation.result["tests"]["after"]["passed"] == 2
    assert Evidence.objects.filter(operation=operation, kind=Evidence.Kind.TESTS, passed=True).exists()
    remote = Remote(isolated.roots / "well.git")
    assert "Moorage-Engine: fake-agent 1.4.2" in remote.git("log", "-1", "--format=%B", operation.result["branch"])
    assert "fake-agent 1.4.2" in PullRequest.objects.get().body
    assert remote.git("show", f"{operation.result['branch']}:calc.py") == MENDED.strip()
    calls = Event.objects.filter(topic=operation.topic, kind="operation.tool_call").order_by("seq")
    assert [event.data["tool"]["status"] for event in calls] == ["in_progress", "completed"]
    facts = {fact.kind: fact for fact in Fact.objects.filter(agent=operation.agent)}
    assert facts["last_tool_result"].detail == "edit: Edit calc.py"
    assert left_held() == []


def test_a_program_that_says_it_is_done_and_did_nothing_is_believed_nothing(
    isolated: Inline, data_directory: Path
) -> None:
    operation = isolated.finish(requested(isolated, data_directory, "lies", tests=NO_TESTS))
    assert (operation.status, operation.stage, operation.error["code"]) == ("failed", "code", "code.no_changes")
    assert not PullRequest.objects.exists()
    assert left_held() == []


def test_what_a_program_asks_waits_for_an_approval_and_then_goes_on(isolated: Inline, data_directory: Path) -> None:
    operation = isolated.finish(requested(isolated, data_directory, "asks", execute=Answer.ASK))
    assert (operation.status, operation.stage) == ("waiting", "code")
    asked = attention(operation)
    assert asked["kind"] == "approval_required"
    assert asked["reason"].startswith('The agent program asks for permission to execute Run make all: {"command"')
    assert [reason["kind"] for reason in blocked_by(operation)] == ["approval_required"]
    with pytest.raises(faults.NotPossibleNow):
        plans.edit(by=isolated.user, operation_id=operation.pk, summary="It waits for something else.", steps=None)

    submit.approve(by=isolated.user, operation_id=operation.pk)
    operation = isolated.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert operation.steps.get(action="ask_permission").product == {"allowed": True, "said": ""}


def test_a_program_that_asked_goes_on_with_its_session_and_its_files_once_a_person_answered(
    isolated: Inline, data_directory: Path
) -> None:
    operation = isolated.finish(requested(isolated, data_directory, "resumes", execute=Answer.ASK))
    assert attention(operation)["kind"] == "approval_required"
    session = operation.steps.get(action="ask_permission").fault["facts"]["session"]

    submit.answer(by=isolated.user, operation_id=operation.pk, text="Yes.")
    operation = isolated.finish(operation)

    assert operation.status == "succeeded", operation.error
    assert operation.steps.get(action="ask_permission").product == {"allowed": True, "said": "Yes."}
    assert f"says: it goes on in {session}" in operation.steps.get(stage="code", outcome="done").log
    remote = Remote(isolated.roots / "resumes.git")
    assert remote.git("show", f"{operation.result['branch']}:left.txt") == "half of it"
    assert remote.git("show", f"{operation.result['branch']}:calc.py") == MENDED.strip()


def test_a_template_without_a_program_is_refused_with_the_request(isolated: Inline) -> None:
    with pytest.raises(EngineUnavailable, match="names no agent program"):
        isolated.submit(engine="external")


def test_a_template_that_forbids_commands_has_no_use_for_a_program(isolated: Inline, data_directory: Path) -> None:
    name = template(data_directory, "well")
    place = data_directory / "templates" / f"{name}.yaml"
    place.write_text(place.read_text().replace("    external:", "    permissions: {run: deny}\n    external:"))
    operation = isolated.finish(isolated.submit(template=name, requirements=REQUIREMENT))
    assert (operation.stage, operation.error["code"]) == ("plan", "engine.not_permitted")


@pytest.fixture
def models(isolated: Inline, settings: Any) -> Iterator[LlmServer]:
    """A provider, the gateway before it, and the way out of the berths to it."""
    with LlmServer() as provider, gateway_server() as url:
        settings.GATEWAY_URL = url
        settings.MODEL_ENVIRONMENT = {
            "MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.base_url("openai"),
        }  # fmt: skip
        settings.BUDGET = {}
        port = int(url.rpartition(":")[2])
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(_egress(settings.HOST_NAME, port, stop)))
        thread.start()
        yield provider
        stop.set()
        thread.join()


async def _egress(host: str, port: int, stop: threading.Event) -> None:
    ended = asyncio.Event()
    ours = {ways.BERTH_HOST: ("127.0.0.1", port)}
    with daemon.only_one(host):
        served = asyncio.create_task(daemon.Daemon(host_name=host, private_hosts=frozenset(), ours=ours).run(ended))
        await asyncio.to_thread(stop.wait)
        ended.set()
        await served
    await sync_to_async(connections.close_all)()


def test_a_programs_model_calls_go_through_the_gateway_and_stop_where_the_money_does(
    isolated: Inline, data_directory: Path, models: LlmServer, settings: Any
) -> None:
    settings.BUDGET = {"run": 0.01}
    models.script.append(Say(text=MENDED))

    operation = isolated.finish(requested(isolated, data_directory, "model"))

    assert (operation.status, operation.stage) == ("waiting", "code")
    (reason,) = blocked_by(operation)
    assert (reason["kind"], reason["scope"], reason["limit_usd"]) == ("budget", "run", 0.01)
    assert not models.requests
    assert "the model answers 402" in operation.steps.filter(stage="code").last().log

    budgets.raise_run(by=isolated.user, operation_id=operation.pk, usd=5.0, now=timezone.now())
    operation = isolated.finish(operation)

    assert operation.status == "succeeded", operation.error
    coded = operation.steps.filter(stage="code", outcome="done").get()
    assert coded.product["usage"] == {"calls": 1, "failed_calls": 0, "input_tokens": 11, "output_tokens": 7}
    assert len(models.requests) == 1 == ModelCall.objects.count()
    assert Fact.objects.get(agent=operation.agent, kind="last_model_call").detail == "openai/gpt-5"
    assert models.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "REACHED" not in coded.log
    assert "the world:" in coded.log
    assert "my key is ••••" in coded.log
    everything = repr([
        list(Step.objects.values()), list(Event.objects.values()), list(Operation.objects.values()),
        list(Evidence.objects.values()), list(PullRequest.objects.values()),
    ])  # fmt: skip
    assert "mrt_" not in everything
    assert KEY not in everything
    assert not RunToken.objects.filter(revoked_at=None).exists()


def test_what_the_gateway_refused_a_program_is_the_reason_and_not_what_the_program_made_of_it(
    isolated: Inline, data_directory: Path, models: LlmServer
) -> None:
    operation = isolated.finish(requested(isolated, data_directory, "searches", tests=NO_TESTS))
    assert (operation.status, operation.stage, operation.error["code"]) == ("failed", "code", "gateway.bad_call")
    assert "'web_search' runs at the provider" in operation.error["detail"]
    assert operation.error["remedy"]
    assert not models.requests
