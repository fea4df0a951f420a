"""The whole cluster inside the test process: real routes, tasks and engine; Celery's memory transport as the broker.

Tasks that events start lie in the queue until the test runs them, one by one, in its own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from agents.models import Agent
from operations import projects
from operations.models import Operation, Project
from operations.submit import submit
from resources import hosts
from resources.models import Host, Lease
from tests.flows.repositories import FIX, PROJECT, Remote, make
from workers import routes
from workers.routes import CLEANUP, CONTROL, host_queue

PLAIN_TEMPLATE = """\
apiVersion: moorage/v1
kind: Template
name: plain
version: 1.0.0
extends: python
description: For tests, on any machine.
spec:
  isolation:
    min: bare
"""


@contextmanager
def memory_broker() -> Iterator[None]:
    """Celery talks to queues in this process's memory."""
    app = current_app
    app.loader.import_default_modules()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CELERY_BROKER_URL", "memory://")  # goes before the settings
        _forget_connections(app)
        yield
        with app.connection_for_write() as connection:
            type(connection.default_channel).queues.clear()
    _forget_connections(app)


def _forget_connections(app: Any) -> None:
    app._pool = None  # the next message opens one to the broker of that moment
    app.amqp._producer_pool = None


class Inline:
    """A host, a user, and the queues of both workers."""

    def __init__(self, *, roots: Path) -> None:
        self.roots = roots
        self.user: Any = get_user_model().objects.create_user("ada", password="a-long-password")
        self.beats = True  # a host that runs tasks has a heart
        self.ran: list[tuple[str, dict[str, Any]]] = []
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self.register_host()

    def register_host(self, **capacity: int) -> None:
        """This machine, with plenty of room."""
        workspaces = Path(settings.DATA) / "workspaces"
        workspaces.mkdir(exist_ok=True)
        room = {"slots": 4, "memory_mb": 64_000, "cpu_millis": 64_000, "disk_mb": 640_000, "port_first": 20000,
                "port_last": 20099, **capacity}  # fmt: skip
        hosts.register(
            name=settings.HOST_NAME,
            capacity=hosts.Capacity(**room),
            facts=hosts.own_facts(workspaces=workspaces),
            now=timezone.now(),
        )

    def project(self, remote: Remote | None = None, **fields: Any) -> Project:
        """A project on a remote; on a fresh one of the small project without."""
        number = Project.objects.count()
        remote = remote or make(self.roots / f"calc-{number}.git", PROJECT)
        made = {"name": f"calc-{number}", "repository_url": str(remote.path), "default_template": "plain", **fields}
        return projects.create(by=self.user, **made)

    def submit(self, project: Project | None = None, *, requirements: str = FIX, **fields: Any) -> Operation:
        """A request; nothing has run yet."""
        return submit(by=self.user, project=project or self.project(), requirements=requirements, **fields)

    def queued(self) -> list[tuple[str, dict[str, Any]]]:
        """Take everything out of the queues, unrun: task name and arguments."""
        taken, self._waiting = self._waiting, []
        with current_app.connection_for_read() as connection:
            for queue in (CONTROL, host_queue(settings.HOST_NAME), CLEANUP):
                while (message := connection.default_channel.basic_get(queue, no_ack=True)) is not None:
                    _positional, arguments, _options = message.decode()
                    taken.append((message.headers["task"], arguments))
        return taken

    def run(self, until: Callable[[], bool] = lambda: False, *, most: int = 120) -> None:
        """Run what is queued, and what that starts, until nothing is queued or the condition holds."""
        for _count in range(most):
            self._waiting = self.queued()
            if self.beats:
                Host.objects.filter(name=settings.HOST_NAME).update(heartbeat_at=timezone.now())
            if not self._waiting or until():
                return
            task, arguments = self._waiting.pop(0)
            self.run_task(task, arguments)
        raise AssertionError(f"{most} tasks and no end: {self.ran[-10:]}")

    def run_task(self, task: str, arguments: dict[str, Any]) -> None:
        """Run one task here, by its name."""
        self.ran.append((task, arguments))
        current_app.tasks[task](**arguments)

    def run_pauses(self, operation: Operation, *, most: int = 20) -> Operation:
        """Run to the end; pauses before retries are not waited for, their time is set to now."""
        for _count in range(most):
            self.run()
            operation.refresh_from_db()
            if operation.status in Operation.TERMINAL or operation.wake_up_at is None:
                return operation
            Operation.objects.filter(pk=operation.pk).update(wake_up_at=timezone.now() - timedelta(seconds=1))
            self.wake(operation)
        raise AssertionError(f"it never ends: {operation.status} in {operation.stage}")

    def wake(self, operation: Operation) -> None:
        """Send its wake-up as the sweep does."""
        routes.wake_operation(Operation.objects.select_related("agent__host").get(pk=operation.pk))

    def finish(self, operation: Operation) -> Operation:
        """Run everything; the operation as it is then."""
        self.run()
        operation.refresh_from_db()
        return operation


def left_held() -> list[str]:
    """Leases, agents and workspaces that are still there."""
    leases = [str(lease) for lease in Lease.objects.filter(state__in=Lease.LIVE)]
    agents = [f"{agent} {agent.state}" for agent in Agent.objects.exclude(state=Agent.State.STOPPED)]
    return leases + agents + [str(path) for path in (Path(settings.DATA) / "workspaces").glob("*")]


def stages(operation: Operation) -> list[tuple[str, str]]:
    """Its steps: stage and outcome, in order."""
    return list(operation.steps.order_by("id").values_list("stage", "outcome"))
