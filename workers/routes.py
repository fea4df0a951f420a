"""Which event starts which task. One table: one grep, one hop.

The task goes to the queue of the host that the event names, else to ``control``. Its arguments are ids only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import current_app
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from agents.models import Agent
from events.delivery import DeliveryFailed
from events.recorded import Recorded
from operations.models import Operation
from resources import hosts

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


def _nothing(_event: Recorded) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Route:
    """A task's name, its arguments from the event, and whether only the event's host can do it."""

    task: str
    arguments: Callable[[Recorded], dict[str, Any]]
    on_host: bool = False
    when: Callable[[Recorded], bool] = lambda _event: True


ROUTES: dict[str, tuple[Route, ...]] = {
    "operation.submitted": (Route("coding.run_stage", _turn),),
    "operation.retried": (Route("coding.run_stage", _turn),),
    "operation.stage_finished": (Route("coding.run_stage", _turn, on_host=True),),
    "operation.approved": (Route("coding.run_stage", _turn, on_host=True),),
    "operation.budget_raised": (Route("coding.run_stage", _turn, on_host=True),),
    "budget.soft_limit": (Route("coding.budget_low", _low),),
    "operation.answered": (Route("coding.run_stage", _turn, on_host=True),),
    # With a pause, the due time stands in the row and the sweep sends it.
    "operation.retrying": (
        Route("coding.run_stage", _turn, on_host=True, when=lambda event: not event.data["pause_s"]),
    ),
    "agent.spawn_requested": (Route("agents.place", _agent),),
    "agent.placed": (Route("agents.open_berth", _generation, on_host=True),),
    "agent.running": (Route("coding.wake_for_agent", _agent, on_host=True),),
    "agent.failed": (
        Route("coding.agent_gone", _agent),
        Route("agents.clear_berth", _generation, on_host=True),
    ),
    "agent.stop_requested": (
        Route("coding.agent_gone", _agent),
        Route("agents.clear_berth", _generation, on_host=True),
    ),
    "templates.activated": (Route("agents.reload_outfits", _nothing),),
    # A host that is back looks at once at what of its berths still lives.
    "host.registered": (Route("agents.place_waiting", _nothing), Route("agents.inspect", _host, on_host=True)),
    "host.warm_retired": (Route("agents.tend_pool", _host, on_host=True),),
    "host.undrained": (Route("agents.place_waiting", _nothing),),
    "host.capacity_freed": (Route("agents.place_waiting", _nothing),),
}


def dispatch(event: Recorded) -> None:
    """The bus handler. Raises DeliveryFailed when the broker is away: the outbox offers the event again."""
    for route in ROUTES.get(event.kind, ()):
        if route.when(event):
            send(route.task, queue=_queue(route, event), **route.arguments(event))


def send(task: str, *, queue: str = CONTROL, **arguments: Any) -> None:
    """Send one task by name. A wake-up only: the database is the truth."""
    try:
        # On Redis a queue is a list and needs no declaring; ids need no careful representation.
        current_app.send_task(
            task, kwargs=arguments, queue=queue, ignore_result=True, declare=[], kwargsrepr=repr(arguments)
        )
    except (OperationalError, RedisError, OSError) as error:
        raise DeliveryFailed(f"the broker did not take {task}: {type(error).__name__}") from error


def wake_operation(operation: Operation) -> None:
    """Send the wake-up of an operation's current turn again."""
    agent = operation.agent
    host = agent.host if agent is not None and operation.stage != "init" else None
    queue = host_queue(host.name) if host else CONTROL
    send("coding.run_stage", queue=queue, operation_id=str(operation.pk), turn=operation.turn)


def wake_agent(agent: Agent) -> None:
    """Send again whatever an agent's state waits for. Nothing is sent to a lost host: it would only pile up there."""
    if agent.host and hosts.verdict(agent.host, now=timezone.now()) is hosts.Verdict.LOST:
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


def _queue(route: Route, event: Recorded) -> str:
    host = event.data.get("host")
    return host_queue(host) if route.on_host and host else CONTROL
