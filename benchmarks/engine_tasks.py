"""Stages that do nothing, and bare tasks to compare them with. Each tells Redis what it has to tell."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

from celery import shared_task
from django.db import connection

from agents.models import Agent
from events import live
from operations.coding import engine
from operations.coding.context import AwaitBerth, Context, Done, Outcome
from operations.models import Operation, Stage
from workers import presence

RUNS = "bench:runs"
WITH_BERTHS = os.environ.get("BENCH_BERTHS") == "1"


def _init(context: Context) -> Outcome:
    """Waits for a real berth where the benchmark is about berths, and clones nothing into it."""
    agent = context.operation.agent
    return AwaitBerth() if WITH_BERTHS and (agent is None or agent.state != Agent.State.RUNNING) else Done()


IDLE: dict[Stage, Callable[[Context], Outcome]] = {**dict.fromkeys(Stage, lambda _context: Done()), Stage.INIT: _init}


class Clock:
    """Adds up what the database takes; COMMIT is not a statement and not in it."""

    def __init__(self) -> None:
        self.seconds, self.statements = 0.0, 0

    def __call__(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            self.seconds += time.perf_counter() - began
            self.statements += 1


@shared_task(name="coding.run_stage")
def run_stage(*, operation_id: str, turn: int, **_newer: Any) -> None:
    clock = Clock()
    with connection.execute_wrapper(clock):
        engine.run_stage(operation_id, turn=turn, worker=presence.name(), stages=IDLE)
    _tell(db_s=clock.seconds, statements=clock.statements)


@shared_task(name="coding.wake_for_agent")
def wake_for_agent(*, agent_id: str, **_newer: Any) -> None:
    waiting = Operation.objects.filter(agent_id=agent_id, status="waiting", stage="init")
    for operation_id, turn in waiting.values_list("pk", "turn"):
        engine.run_stage(operation_id, turn=turn, worker=presence.name(), stages=IDLE)


@shared_task(name="coding.agent_gone")
def agent_gone(*, agent_id: str, **_newer: Any) -> None:
    engine.agent_gone(agent_id, worker=presence.name())


@shared_task(name="bench.nothing")
def nothing(*, last: bool) -> None:
    if last:
        _tell()


def _tell(**what: float) -> None:
    live.client().rpush(RUNS, json.dumps({"at": time.time(), **what}))
