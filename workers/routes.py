"""Which event starts which task. One table: one grep, one hop.

A task goes to ``control``, or to the queue of the host that the event names, as long as somebody listens there. Its
arguments are ids only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from agents.models import Agent
from events import live
from events.delivery import DeliveryFailed
from events.recorded import Recorded
from operations.coding import engine
from operations.models import Operation, Stage
from resources import hosts
from resources.models import Host

CONTROL, CLEANUP = "control", "cleanup"


def _turn(event: Recorded) -> dict[str, Any]:
    return {"operation_id": event.subject_id, "turn": event.data["turn"]}


def _agent(event: Recorded) -> dict[str, Any]:
    return {"agent_id": event.subject_id}


def _generation(event: Recorded) -> dict[str, Any]:
    return {"agent_id": event.subject_id, "generation": event.data["generation"]}


def _host(event: Recorded) -> dict[str, Any]:
    return {"host": event.data["host"]}


def _low(event: Recorded) -> dict[str, Any]:
    return {"operation_id": event.subject_id, "reason": event.reason}


def _pull_request(event: Recorded) -> dict[str, Any]:
    return {"pull_request_id": event.data["pull_request_id"]}


def _nothing(_event: Recorded) -> dict[str, Any]:
    return {}


class Place(StrEnum):
    """Who can do it."""

    ANYWHERE = "anywhere"
    HOST = "host"  # the event's host alone: nothing is sent to a lost one, it would only pile up there
    BERTH = "berth"  # the host of the operation's berth; without a living one any worker decides what becomes of it


@dataclass(frozen=True, slots=True)
class Route:
    """A task's name, its arguments from the event, and where it is done."""

    task: str
    arguments: Callable[[Recorded], dict[str, Any]]
    place: Place = Place.ANYWHERE
    when: Callable[[Recorded], bool] = lambda _event: True


ROUTES: dict[str, tuple[Route, ...]] = {
    "operation.submitted": (Route("coding.run_stage", _turn),),
    "operation.retried": (Route("coding.run_stage", _turn),),
    "operation.stage_finished": (Route("coding.run_stage", _turn, Place.BERTH),),
    "operation.approved": (Route("coding.run_stage", _turn, Place.BERTH),),
    "operation.budget_raised": (Route("coding.run_stage", _turn, Place.BERTH),),
    "budget.soft_limit": (Route("coding.budget_low", _low),),
    "operation.handed_back": (Route("coding.run_stage", _turn, Place.BERTH),),
    "operation.answered": (Route("coding.run_stage", _turn, Place.BERTH),),
    # With a pause, the due time stands in the row and the sweep sends it.
    "operation.retrying": (
        Route("coding.run_stage", _turn, Place.BERTH, when=lambda event: not event.data["pause_s"]),
    ),
    "operation.rework_began": (Route("coding.run_stage", _turn),),
    "operation.pull_request_hinted": (Route("forges.look", _pull_request),),
    "agent.spawn_requested": (Route("agents.place", _agent),),
    "agent.placed": (Route("agents.open_berth", _generation, Place.HOST),),
    "agent.running": (Route("coding.wake_for_agent", _agent, Place.BERTH),),
    "agent.failed": (
        Route("coding.agent_gone", _agent),
        Route("agents.clear_berth", _generation, Place.HOST),
    ),
    "agent.stop_requested": (
        Route("coding.agent_gone", _agent),
        Route("agents.clear_berth", _generation, Place.HOST),
    ),
    "templates.activated": (Route("agents.reload_outfits", _nothing),),
    # A host that is back looks at once at what of its berths still lives.
    "host.registered": (Route("agents.place_waiting", _nothing), Route("agents.inspect", _host, Place.HOST)),
    "host.warm_retired": (Route("agents.tend_pool", _host, Place.HOST),),
    "host.undrained": (Route("agents.place_waiting", _nothing),),
    "host.capacity_freed": (Route("agents.place_waiting", _nothing),),
    "fleet.released": (Route("agents.place_waiting", _nothing), Route("coding.go_on", _nothing)),
    "operation.unpaused": (Route("coding.run_stage", _turn, Place.BERTH),),
}


def dispatch(event: Recorded) -> None:
    """The bus handler. Raises DeliveryFailed when the broker is away: the outbox offers the event again."""
    for route in ROUTES.get(event.kind, ()):
        if route.when(event) and (queue := _queue(route, event)):
            send(route.task, queue=queue, **route.arguments(event))


def send(task: str, *, queue: str = CONTROL, expires_s: float | None = None, **arguments: Any) -> None:
    """Send one task by name. A wake-up only: the database is the truth.

    One that comes again by itself expires: behind a long stage a worker finds one of it, not a pile.
    """
    if live.away() and str(current_app.conf.broker_url).startswith("redis"):
        raise DeliveryFailed(f"the broker did not take {task}: Redis does not answer")
    try:
        # On Redis a queue is a list and needs no declaring; ids need no careful representation.
        current_app.send_task(
            task,
            kwargs=arguments,
            queue=queue,
            ignore_result=True,
            declare=[],
            kwargsrepr=repr(arguments),
            expires=expires_s,
            task_id=_task_id(arguments),
        )
    except (OperationalError, RedisError, OSError) as error:
        raise DeliveryFailed(f"the broker did not take {task}: {type(error).__name__}") from error


def _task_id(arguments: Mapping[str, Any]) -> str | None:
    """A turn's wake-up is called after it, so that the console can link to it in Flower; Celery names the others."""
    if "operation_id" in arguments and "turn" in arguments:
        return f"{arguments['operation_id']}.{arguments['turn']}"
    return None


def wake_operation(operation: Operation) -> None:
    """Send the wake-up of an operation's current turn again."""
    queue = CONTROL
    if operation.agent_id is not None and operation.stage != Stage.INIT:
        queue = _berth_queue(operation.agent_id, stage=operation.stage)
    send("coding.run_stage", queue=queue, operation_id=str(operation.pk), turn=operation.turn)


def wake_agent(agent: Agent) -> None:
    """Send again whatever an agent's state waits for. Nothing is sent to a lost host: it would only pile up there."""
    if agent.host and _is_lost(agent.host):
        return
    queue = host_queue(agent.host.name) if agent.host else CONTROL
    if agent.state == Agent.State.SPAWNING and agent.host is None:
        send("agents.place", agent_id=str(agent.pk))
    elif agent.state == Agent.State.SPAWNING:
        send("agents.open_berth", queue=queue, agent_id=str(agent.pk), generation=agent.generation)
    else:
        send("agents.clear_berth", queue=queue, agent_id=str(agent.pk), generation=agent.generation)


def host_queue(name: str) -> str:
    """The queue that only the workers of one host consume."""
    return f"host.{name}"


def _queue(route: Route, event: Recorded) -> str | None:
    """The queue for one route of an event; None where only a host could do it that is lost."""
    name = event.data.get("host")
    if route.place is Place.ANYWHERE or not name:
        return CONTROL
    if route.place is Place.BERTH:
        agent_id = event.data.get("agent_id") or event.subject_id
        return _berth_queue(agent_id, stage=event.data.get("stage", Stage.INIT))
    host = Host.objects.filter(name=name).first()
    return None if host is None or _is_lost(host) else host_queue(name)


def _berth_queue(agent_id: Any, *, stage: str) -> str:
    """Where a stage of the agent's operation is run; ``control`` where it can only be told that its berth is gone."""
    agent = Agent.objects.select_related("host").filter(pk=agent_id).first()
    if agent is None or agent.host is None or _is_lost(agent.host):
        return CONTROL
    if stage in engine.IN_BERTH and agent.state != Agent.State.RUNNING:
        return CONTROL
    return host_queue(agent.host.name)


def _is_lost(host: Host) -> bool:
    return hosts.verdict(host, now=timezone.now()) is hosts.Verdict.LOST
