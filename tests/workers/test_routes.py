"""The one table between events and tasks: complete, and nothing in it that is not there."""

from __future__ import annotations

import ast
import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.utils import timezone

from agents.models import Agent
from events import live
from events.delivery import DeliveryFailed
from events.recorded import Recorded
from resources.models import Host
from tests import factories
from tests.fakes.redis_process import RedisProcess
from tests.flows.inline import memory_broker
from workers import routes
from workers.routes import CONTROL, ROUTES, Place, Route, _queue

ROOMS = ("agents", "operations", "resources", "sessions", "templates_app")
# Told to people and to screens; nobody has to do anything.
FOR_PEOPLE = frozenset(
    {
        "operation.waiting", "operation.budget_low", "operation.input_required",
        "operation.plan_edited", "operation.approval_required", "operation.succeeded", "operation.failed",
        "operation.cancelled", "operation.pull_request_merged", "operation.checks_changed", "operation.attention_over",
        "operation.rework_withdrawn", "project.pull_request_changed", "agent.blocked", "agent.stopped", "agent.cleared",
        "host.draining", "project.created", "project.changed", "project.archived", "project.operation_submitted",
        "project.operation_ended", "operation.work_kept", "agent.egress_denied",
        "host.port_squatted", "host.uid_rests", "host.orphan_removed", "agent.outfit_reloaded", "template.published",
        "budget.set", "agent.idle", "agent.extended", "agent.handed_over", "fleet.paused", "operation.paused",
        "operation.taken_over", "operation.berth_left", "operation.tool_call", "operation.plan_step",
        "operation.take_over_promised", "operation.take_over_withdrawn", "host.lost",
        "template.refused", "template.deprecated", "template.restored",
    }
)  # fmt: skip
NOBODY = "7d9fffa2-3a5c-4a6d-b1e4-0d1c5b0c9d11"
SUBJECTS = ("operation.", "agent.", "host.", "project.", "template.", "templates.", "budget.", "fleet.")


def recorded_kinds() -> set[str]:
    """Every kind of event that the rooms record about what the workers deal with, read from their sources."""
    found: set[str] = set()
    for room in ROOMS:
        for path in (Path(settings.BASE_DIR) / room).rglob("*.py"):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                found |= _kinds_in(node)
    return found


def _kinds_in(node: ast.AST) -> set[str]:
    candidates: list[ast.expr] = []
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        candidates += node.args[:1] if name == "record" else []
        candidates += [keyword.value for keyword in node.keywords if keyword.arg == "kind"]
    elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "kind" for target in node.targets):
        candidates.append(node.value)
    constants = [c.value for expression in candidates for c in ast.walk(expression) if isinstance(c, ast.Constant)]
    return {text for text in constants if isinstance(text, str) and text.startswith(SUBJECTS)}


def test_every_event_has_a_route_or_is_for_people_and_none_is_both() -> None:
    kinds = recorded_kinds()
    assert kinds >= {"operation.submitted", "agent.failed", "host.capacity_freed", "operation.retrying"}
    assert kinds - set(ROUTES) - FOR_PEOPLE == set(), "recorded, but nobody said who wakes up"
    assert set(ROUTES) & FOR_PEOPLE == set()


def test_every_route_is_of_an_event_that_is_recorded_somewhere() -> None:
    assert set(ROUTES) - recorded_kinds() == set()


ALL = [(kind, route) for kind, routes in ROUTES.items() for route in routes]


def an_event(kind: str, **data: Any) -> Recorded:
    subject = f"{kind.partition('.')[0]}.{NOBODY}"
    full = {"turn": 4, "generation": 2, "pause_s": 0, "host": None, "pull_request_id": NOBODY, **data}
    return Recorded(1, subject, 1, kind, "system", "", full, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(("kind", "route"), ALL, ids=[f"{kind}-{route.task}" for kind, route in ALL])
def test_a_route_names_a_task_that_takes_its_arguments_and_those_are_ids_and_numbers(kind: str, route: Route) -> None:
    current_app.loader.import_default_modules()
    arguments = route.arguments(an_event(kind, host="node-7"))
    assert all(isinstance(value, (str, int)) and len(str(value)) <= 36 for value in arguments.values())
    signature = inspect.signature(current_app.tasks[route.task].run)
    signature.bind(**arguments)
    signature.bind(**arguments, something_newer=1)


def queues(agent: Agent, *, host: str | None, stage: str = "code") -> dict[Place, set[str | None]]:
    """Where each route's task goes, by who can do it."""
    found: dict[Place, set[str | None]] = {place: set() for place in Place}
    for kind, route in ALL:
        event = an_event(kind, host=host, agent_id=str(agent.pk), stage=stage)
        found[route.place].add(_queue(route, event))
    return found


@pytest.mark.django_db
def test_what_only_one_host_can_do_goes_to_its_queue() -> None:
    factories.host("node-7")
    agent = factories.running()
    assert queues(agent, host="node-7") == {
        Place.ANYWHERE: {CONTROL}, Place.HOST: {"host.node-7"}, Place.BERTH: {"host.node-7"}
    }  # fmt: skip
    assert queues(agent, host=None) == {place: {CONTROL} for place in Place}


@pytest.mark.django_db
def test_nothing_goes_to_a_lost_host_and_what_becomes_of_its_operations_is_decided_anywhere() -> None:
    factories.host("node-7")
    agent = factories.running()
    Host.objects.update(heartbeat_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert queues(agent, host="node-7") == {Place.ANYWHERE: {CONTROL}, Place.HOST: {None}, Place.BERTH: {CONTROL}}


@pytest.mark.django_db
def test_a_stage_whose_berth_is_gone_is_decided_anywhere_and_what_needs_the_vault_alone_is_not() -> None:
    factories.host("node-7")
    agent = factories.placed()
    assert queues(agent, host="node-7", stage="test")[Place.BERTH] == {CONTROL}
    assert queues(agent, host="node-7", stage="commit")[Place.BERTH] == {"host.node-7"}


def test_a_retry_with_a_pause_is_left_to_the_sweep() -> None:
    (route,) = ROUTES["operation.retrying"]
    assert route.when(an_event("operation.retrying"))
    assert not route.when(an_event("operation.retrying", pause_s=2))


def test_all_tasks_take_keywords_only_and_newer_ones_too() -> None:
    current_app.loader.import_default_modules()
    ours = [task for name, task in current_app.tasks.items() if name.startswith(("coding.", "agents.", "cleanup."))]
    assert len(ours) >= 9
    for task in ours:
        kinds = {parameter.kind for parameter in inspect.signature(task.run).parameters.values()}
        assert kinds <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}, task.name
        assert inspect.Parameter.VAR_KEYWORD in kinds, task.name


def test_the_wake_up_of_a_turn_is_called_after_it_so_that_it_can_be_linked_to() -> None:
    with memory_broker():
        routes.send("coding.run_stage", operation_id="7d9fffa2", turn=4)
        routes.send("agents.place", agent_id="7d9fffa2")
        with current_app.connection_for_read() as connection:
            sent = [connection.default_channel.basic_get(CONTROL, no_ack=True) for _ in range(2)]
    named, other = (message.headers["id"] for message in sent)
    assert named == "7d9fffa2.4"
    assert other not in {None, "", named}


def test_nobody_waits_for_a_broker_whose_redis_is_known_to_be_away(redis_process: RedisProcess) -> None:
    """The broker's own client would try for seconds, for each event anew."""
    redis_process.kill()
    assert not live.publish_snapshot("queue", {}, now=timezone.now())
    try:
        with pytest.raises(DeliveryFailed, match="Redis does not answer"):
            routes.send("coding.run_stage", operation_id="x", turn=0)
    finally:
        redis_process.start()
