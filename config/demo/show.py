"""Running the demo: submit everything at once, follow it, check that nothing is left held."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q

from agents.models import Agent
from config.demo import scenes
from config.demo.remotes import Example
from operations import projects
from operations.faults import NotPossibleNow
from operations.models import Operation
from operations.submit import cancel, submit
from resources.models import Host, Lease

LOOK_S = 0.1
LEAVE_S = 30.0  # for the berths of a demo that was late


class DemoFailed(Exception):
    """Something did not happen in time."""


def perform(
    examples: tuple[Example, ...], *, data: Path, say: Callable[[str], None], timeout_s: float
) -> dict[str, Any]:
    """Run all examples; the report has the operations, what is left held, and whether all is as expected."""
    deadline = time.monotonic() + timeout_s
    _await(lambda: Host.objects.exists(), deadline, "no worker has registered its host")
    began = time.monotonic()
    operations = {example.name: _request(example) for example in examples}
    watcher = scenes.Watcher({str(operation.pk): name for name, operation in operations.items()}, say=say)
    ids = [operation.pk for operation in operations.values()]

    def all_ended() -> bool:
        watcher.look()
        return not Operation.objects.filter(pk__in=ids, status__in=Operation.ACTIVE).exists()

    try:
        _await(all_ended, deadline, "the operations did not end in time")
        watcher.look()
        _await(lambda: not left_held(data), deadline, "the berths were not cleared in time")
    except DemoFailed as late:
        _leave(ids, data=data, late=late)
        raise
    rows = [scenes.row(name, Operation.objects.get(pk=operation.pk)) for name, operation in operations.items()]
    surprises = [
        words for row, example in zip(rows, examples, strict=True) for words in _surprises(row, example.expect)
    ]
    return {
        "operations": rows,
        "seconds": round(time.monotonic() - began, 1),
        "left_held": left_held(data),
        "surprises": surprises,
        "ok": not surprises and not left_held(data) and all(row["status"] == "succeeded" for row in rows),
    }


def left_held(data: Path) -> list[str]:
    """Leases, agents and workspaces that are still there."""
    leases = [str(lease) for lease in Lease.objects.filter(state__in=Lease.LIVE)]
    agents = [f"agent {agent}" for agent in Agent.objects.filter(~Q(state=Agent.State.STOPPED))]
    workspaces = [f"workspace {entry.name}" for entry in (data / "workspaces").glob("*")]
    return leases + agents + workspaces


def _request(example: Example) -> Operation:
    user, _ = get_user_model().objects.get_or_create(username="demo")
    project = projects.create(
        by=user, name=example.name, repository_url=str(example.remote), base_branch=example.base_branch,
        default_template=example.template,
    )  # fmt: skip
    return submit(
        by=user, project=project, requirements=example.requirements, engine=example.engine, metadata=example.metadata
    )


def _leave(ids: list[Any], *, data: Path, late: DemoFailed) -> None:
    """Cancel what still runs, and wait for its berths to be cleared: a late demo leaves nothing behind either."""
    for operation in Operation.objects.filter(pk__in=ids).select_related("created_by"):
        with contextlib.suppress(NotPossibleNow):  # it ended meanwhile
            cancel(by=operation.created_by, operation_id=operation.pk, reason=str(late))
    _await(lambda: not left_held(data), time.monotonic() + LEAVE_S, f"{late}, and the berths are not cleared")


def _await(condition: Callable[[], bool], deadline: float, otherwise: str) -> None:
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(otherwise)
        time.sleep(LOOK_S)


def _surprises(row: dict[str, Any], expect: dict[str, Any]) -> list[str]:
    seen = {
        "status": row["status"],
        "engine": row["engine"]["kind"],
        "attempts": row["code_attempts"],
        "tests": row["tests"],
    }
    return [
        f"{row['name']}: {key} is {value!r}, expected {expect[key]!r}"
        for key, value in seen.items()
        if value != expect[key]
    ]
