"""Hands in a stack that runs elsewhere: one request per line comes in as JSON, one answer per line goes out.

A process of its own, because the stack's data are not those of the test session's Django.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import psutil


def submit(
    *, remote: str, requirements: str, name: str, template: str = "plain", about: dict[str, Any] | None = None,
    **fields: Any,
) -> str:  # fmt: skip
    """Request an operation in a project of that name, made when it is not there yet; ``about`` is its metadata."""
    from django.contrib.auth import get_user_model

    from operations import projects
    from operations.models import Project
    from operations.submit import submit as request

    user, _ = get_user_model().objects.get_or_create(username="ada")
    project = Project.objects.filter(name=name).first() or projects.create(
        by=user, name=name, repository_url=remote, default_template=template, metadata=about or {}
    )
    return str(request(by=user, project=project, requirements=requirements, **fields).pk)


def submit_without_redis(*, pid: int, **fields: Any) -> dict[str, Any]:
    """Kill the broker and ask at once: the request is taken, its event waits in the outbox."""
    from events.models import Undelivered

    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    operation = submit(**fields)
    topic = f"operation.{operation}"
    return {
        "id": operation,
        "seconds": time.monotonic() - began,
        "waits": Undelivered.objects.filter(event__topic=topic).exists(),
    }


def operation(*, id: str) -> dict[str, Any]:
    """What the row says."""
    from operations.models import Operation

    found = Operation.objects.get(pk=id)
    return {field: getattr(found, field) for field in ("status", "stage", "turn", "error", "result")}


def steps(*, id: str) -> list[list[str]]:
    """Stage and outcome, in order."""
    from operations.models import Step

    return [list(row) for row in Step.objects.filter(operation_id=id).order_by("id").values_list("stage", "outcome")]


def pull_requests(*, id: str) -> int:
    """How many there are of this operation."""
    from operations.models import PullRequest

    return PullRequest.objects.filter(operation_id=id).count()


def look(*, id: str) -> None:
    """Have its pull request read now."""
    from operations.coding import decisions
    from operations.models import Operation

    decisions.look(by=Operation.objects.get(pk=id).created_by, operation_id=id)


def model_calls(*, id: str) -> list[list[Any]]:
    """State, cost and replays of the operation's calls, oldest first."""
    from agents.gateway.models import ModelCall

    found = ModelCall.objects.filter(run_id=id).order_by("created_at")
    return [list(row) for row in found.values_list("state", "cost_nanos", "replays")]


def ledger() -> dict[str, Any]:
    """The calls to models by their state, what they cost, and what the day's account says of it, in nano-dollars."""
    from django.db.models import Count, Sum

    from agents.gateway.models import Account, ModelCall

    states = dict(ModelCall.objects.order_by().values_list("state").annotate(Count("id")))
    cost = ModelCall.objects.aggregate(cost=Sum("cost_nanos"))["cost"]
    day = Account.objects.filter(scope="day").aggregate(spent=Sum("spent_nanos"), held=Sum("held_nanos"))
    return {"states": states, "cost": cost, **day}


def model_token(*, models: list[str]) -> list[str]:
    """Where OpenAI's chat dialect is spoken, and the token of a new run that may ask these models."""
    import uuid

    from django.conf import settings
    from django.utils import timezone

    from agents.gateway import tokens

    run = tokens.Run(run_id=uuid.uuid4(), lineage=uuid.uuid4().hex)
    token = tokens.issue(run, models=models, now=timezone.now(), ttl_s=600)
    return [f"{settings.GATEWAY_URL}/openai/v1/chat/completions", token]


def wait(*, ids: list[str], timeout_s: float = 400, doubling: bool = False) -> bool:
    """Whether all have ended and cleared their berths in time; ``doubling`` sends every wake-up again meanwhile."""
    from operations.models import Operation

    def ended() -> bool:
        if doubling:
            _dispatch_again(ids)
        return not Operation.objects.filter(pk__in=ids, status__in=Operation.ACTIVE).exists() and not left_held()

    return _until(ended, timeout_s, every_s=0.5) if doubling else _until_changed(ended, timeout_s)


def _dispatch_again(ids: list[str]) -> None:
    from events.journal import replay
    from operations.models import Operation
    from workers import routes

    for operation_id, agent_id in Operation.objects.filter(pk__in=ids).values_list("pk", "agent_id"):
        for topic in (f"operation.{operation_id}", f"agent.{agent_id}"):
            for event in list(replay(topic, after=0))[-3:]:
                routes.dispatch(event)


def wait_stage(*, id: str, stage: str, timeout_s: float = 400) -> bool:
    """Whether the stage began to run in time."""
    return _until_changed(lambda: _runs(id, stage), timeout_s)


def kill_in(
    *, id: str, stage: str, parts: list[str], whole: bool = False, time_number: int = 1, timeout_s: float = 400
) -> bool:
    """kill -9 while the stage runs: the parts' children, or the ``whole`` parts. False when the moment was missed.

    ``time_number`` says which of its runs that end well is meant: in a round a stage comes a second time.
    The database's write lock is held meanwhile: the stage cannot have finished when the signal arrives.
    """
    from django.db import transaction

    from operations.models import Operation

    def hit() -> bool:
        if not _runs(id, stage):
            return False
        with transaction.atomic():  # BEGIN IMMEDIATE
            if not _runs(id, stage):
                return False
            for process in [process for part in parts for process in _family(part, whole=whole)]:
                process.kill()
            return True

    def passed() -> bool:
        over = time_number == 1 and operation(id=id)["status"] in Operation.TERMINAL  # it rests between its rounds
        return over or steps(id=id).count([stage, "done"]) >= time_number

    found = False

    def look() -> bool:
        nonlocal found
        found = hit()
        return found or passed()

    _until_changed(look, timeout_s)
    return found


def kill_host_in(*, id: str, stage: str, group: int, timeout_s: float = 400) -> bool:
    """kill -9 a whole host's process group while the stage runs there, the database's write lock held meanwhile."""
    from django.db import transaction

    def hit() -> bool:
        if not _runs(id, stage):
            return False
        with transaction.atomic():  # BEGIN IMMEDIATE
            if not _runs(id, stage):
                return False
            os.killpg(group, signal.SIGKILL)
            return True

    return _until_changed(hit, timeout_s)


def drain(*, host: str, back: bool = False) -> None:
    """Drain a host, or undrain it."""
    from django.utils import timezone

    from resources import hosts
    from resources.models import Host

    found = Host.objects.get(name=host)
    if back:
        hosts.undrain(host_id=found.pk, actor="user:ada", reason="test")
    else:
        hosts.drain(host_id=found.pk, actor="user:ada", reason="test", now=timezone.now())


def wait_verdict(*, host: str, verdict: str, timeout_s: float = 200) -> bool:
    """Whether the host's verdict came to be this one in time."""
    from django.utils import timezone

    from resources import hosts
    from resources.models import Host

    def is_so() -> bool:
        found = Host.objects.filter(name=host).first()
        return found is not None and hosts.verdict(found, now=timezone.now()).value == verdict

    return _until(is_so, timeout_s)


def wait_status(*, id: str, status: str, timeout_s: float = 400) -> bool:
    """Whether the operation came to this status in time, whatever is left to clear."""
    return _until_changed(lambda: operation(id=id)["status"] == status, timeout_s)


def wait_blocked(*, id: str, kinds: list[str], timeout_s: float = 400) -> bool:
    """Whether the operation's agent came to wait for these reasons and no others in time."""
    from agents.models import Agent
    from operations.models import Operation

    def blocked() -> bool:
        agent = Operation.objects.select_related("agent").get(pk=id).agent
        waits = agent is not None and agent.state == Agent.State.SPAWNING
        return waits and sorted({reason["kind"] for reason in agent.blocked_by}) == sorted(kinds)

    return _until_changed(blocked, timeout_s)


def agents() -> list[dict[str, Any]]:
    """Every agent: where, in which state, and what broke it; the oldest first."""
    from agents.models import Agent

    return [
        {"state": agent.state, "host": agent.host.name if agent.host else None, "error": agent.error}
        for agent in Agent.objects.select_related("host").order_by("created_at")
    ]


def wait_clear(*, timeout_s: float = 400) -> bool:
    """Whether nothing was held any more in time."""
    return _until_changed(lambda: not left_held(), timeout_s)


def _words(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has ended since it was listed, as commands in berths do all the time."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _family(part: str, *, whole: bool) -> list[psutil.Process]:
    """The part's own process, or its pool's children; as they are now."""
    stack = psutil.Process(os.getppid()).children(recursive=True)
    ours = [process for process in stack if any(word.startswith(f"{part}@") for word in _words(process))]
    pids = {process.pid for process in ours}
    return [process for process in ours if (process.ppid() not in pids) == whole]


def left_held() -> list[str]:
    """Leases, agents and workspaces that are still there."""
    from django.conf import settings

    from config.demo.show import left_held as found

    return found(Path(settings.DATA))


def examples(*, timeout_s: float = 400) -> dict[str, Any]:
    """The three examples of the demo, with its report."""
    from django.conf import settings

    from config.demo import remotes, show

    found = remotes.build(examples=settings.BASE_DIR / "examples", remotes=settings.REPOSITORY_ROOTS[0])
    return show.perform(found, data=Path(settings.DATA), say=lambda _line: None, timeout_s=timeout_s)


def _runs(id: str, stage: str) -> bool:
    from operations.models import Step

    return Step.objects.filter(operation_id=id, stage=stage, outcome="running").exists()


def _until(condition: Callable[[], bool], timeout_s: float, *, every_s: float = 0.05) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def _until_changed(condition: Callable[[], bool], timeout_s: float) -> bool:
    """As :func:`_until`, within milliseconds of a commit, but asked only after one: to wait costs next to nothing."""
    from django.db import connection

    seen = None
    with connection.cursor() as cursor:

        def holds() -> bool:
            nonlocal seen
            version = cursor.execute("PRAGMA data_version").fetchone()
            if version == seen:
                return False
            seen = version
            return condition()

        return _until(holds, timeout_s, every_s=0.002)


DO: dict[str, Callable[..., Any]] = {
    do.__name__: do
    for do in (
        submit, submit_without_redis, operation, steps, pull_requests, model_calls, ledger, wait, wait_stage, kill_in,
        left_held, examples, look, kill_host_in, drain, wait_verdict, wait_status, wait_blocked, agents, wait_clear,
        model_token,
    )
}  # fmt: skip

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = DO[asked.pop("do")](**asked)
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()
