"""Health of this process and of what it stands on, and the figures of the whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.models import Agent
from events import live as live_stream
from events.models import Undelivered
from events.plain_text import ago
from operations import figures, queues
from operations.models import Operation
from resources import breakers, hosts
from resources.api import HostSerializer, shape_for
from resources.models import Host, Tick


def live(_request: HttpRequest) -> HttpResponse:
    """The web process answers. Says nothing about the rest: see /api/v1/health/."""
    return HttpResponse("ok\n", content_type="text/plain")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that Moorage stands on: whether it is well, the cause, and what mends it."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    starting: bool = False  # not well yet, and nothing is wrong: this process has just begun


@dataclass(frozen=True, slots=True)
class Seen:
    """What the parts are judged by, as read from the database."""

    hosts: Sequence[Host]
    undelivered: int
    late: int  # of them, those whose event is older than half a minute
    swept_at: datetime | None


LATE = timedelta(seconds=30)
SILENT = timedelta(seconds=60)  # a sweep comes every few seconds
STARTING_S = 30.0  # so long after its start a process is not surprised that nobody has swept
_BEGAN = time.monotonic()
SWEEP = "wake operations"  # the duty whose tick tells of the sweep


def _seen(now: datetime) -> Seen:
    # By the event's own age: every sweep that tries again in vain moves the row's next attempt.
    late = Count("pk", filter=Q(event__created_at__lt=now - LATE))
    outbox = Undelivered.objects.aggregate(all=Count("pk"), late=late)
    swept = Tick.objects.filter(name=SWEEP).values_list("due_at", flat=True).first()
    return Seen(list(Host.objects.all()), outbox["all"], outbox["late"], swept)


LEAST_FREE_MB = 100  # below, the next clone, log or database page may be the one that does not fit


def _disk(known: Sequence[Host]) -> Part:
    """What is free where our data lies, and as each host said last."""
    here = shutil.disk_usage(settings.DATA).free // 2**20
    short = [] if here >= LEAST_FREE_MB else [f"{here:,} MB free under MOORAGE_DATA"]
    for host in known:
        free = host.facts.get("disk_free_mb")
        if free is not None and free < LEAST_FREE_MB and not (short and host.name == settings.HOST_NAME):
            short.append(f"{free:,} MB free on {host.name}")
    if short:
        words = ", ".join(short)
        return Part("disk", False, f"full: {words}" if here < 1 else f"nearly full: {words}", DISK_REMEDY)
    return Part("disk", True, f"{here:,} MB free")


DISK_REMEDY = (
    "Free some space there (`du -xm MOORAGE_DATA | sort -n | tail` says what takes it). "
    "What was accepted is kept and goes on by itself then."
)


def _redis() -> Part:
    try:
        live_stream.client().ping()
    except redis.ResponseError as error:  # it runs, and refuses: most often it cannot write
        return Part(
            "redis", False, f"refuses: {str(error)[:200]}", "Where no space is left, free some; else see its log."
        )
    except redis.RedisError as error:
        return Part("redis", False, type(error).__name__, "Start Redis; accepted work waits in the database meanwhile.")
    return Part("redis", True, "answers")


def _hosts(known: Sequence[Host], *, now: datetime) -> Part:
    lost = [host.name for host in known if hosts.verdict(host, now=now) is hosts.Verdict.LOST]
    if not known:
        return Part("hosts", False, "no worker has registered a host", "Start a worker: `make up`.")
    if lost:
        return Part(
            "hosts", False, f"lost: {', '.join(lost)}", "Start the worker of each lost host again, or drain it."
        )
    return Part("hosts", True, f"{len(known)} alive")


def _sweep(swept_at: datetime | None, *, now: datetime, up_s: float) -> Part:
    silent = swept_at is None or now - swept_at > SILENT
    if silent and up_s < STARTING_S:
        return Part("sweep", True, "starting: the first sweep comes within seconds", starting=True)
    remedy = "Start beat and a worker of the queue control: `make up` does."
    if swept_at is None:
        return Part("sweep", False, "nobody has swept yet", remedy)
    if now - swept_at > SILENT:
        return Part("sweep", False, f"the last one was due {ago(swept_at, now=now)}", remedy)
    return Part("sweep", True, "beat and a worker take their turns")


def _outbox(undelivered: int, late: int) -> Part:
    if late:
        return Part("outbox", False, f"{late} events wait for delivery", "Check that beat, a worker and Redis run.")
    return Part("outbox", True, f"{undelivered} events are on their way" if undelivered else "empty")


def _services() -> Part:
    """The breakers: which outside services are left alone because they fail."""
    resting = [breaker for breaker in breakers.known() if breaker.position is not breakers.Position.CLOSED]
    if not resting:
        return Part("outside services", True, "none is failing")
    said = "; ".join(
        f"{one.name} is left alone since {one.opened_at:%H:%M:%S} UTC ({one.reason}); "
        + (f"next try in {one.next_try_in_s:.0f} s" if one.next_try_in_s else "the next call tries it")
        for one in resting
    )
    return Part("outside services", False, said, "Look whether the service runs; it is tried again by itself.")


def _egress(known: Sequence[Host], *, now: datetime) -> Part:
    alive = [host for host in known if hosts.verdict(host, now=now) is not hosts.Verdict.LOST]
    said = {host.name: host.facts.get("egress") or {} for host in alive}
    if silent := {name: facts["detail"] for name, facts in said.items() if facts.get("unserved")}:
        words = "; ".join(f"{name}: {detail}" for name, detail in silent.items())
        return Part("egress proxy", False, words, "Start it on that host: `python manage.py egress` (make up does).")
    served = sum(facts.get("berths", 0) for facts in said.values())
    return Part("egress proxy", True, f"serves {served} berths" if served else "no berth may reach out")


def parts(seen: Seen | None = None, *, now: datetime | None = None, up_s: float | None = None) -> list[Part]:
    """Every part now; ``seen`` by a caller who has read the database already. ``up_s``: how long we have been here."""
    now = now or timezone.now()
    up_s = time.monotonic() - _BEGAN if up_s is None else up_s
    try:
        seen = seen or _seen(now)
    except DatabaseError as error:
        broken = Part("database", False, type(error).__name__, "Check MOORAGE_DATABASE_URL and that the server runs.")
        return [broken, _disk(()), _redis()]
    return [
        Part("database", True, connection.vendor), _disk(seen.hosts), _redis(), _hosts(seen.hosts, now=now),
        _egress(seen.hosts, now=now), _sweep(seen.swept_at, now=now, up_s=up_s),
        _outbox(seen.undelivered, seen.late), _services(),
    ]  # fmt: skip


class PartSerializer(serializers.Serializer[Part]):
    """One part's health."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    detail = serializers.CharField()
    remedy = serializers.CharField()
    starting = serializers.BooleanField(help_text="Not well yet, and nothing is wrong: the stack has just begun.")


class StackHealthSerializer(serializers.Serializer[Any]):
    """All parts."""

    ok = serializers.BooleanField()
    parts = PartSerializer(many=True)


class HealthView(APIView):
    """What Moorage stands on."""

    @extend_schema(responses=StackHealthSerializer)
    def get(self, request: Request) -> Response:
        """Each part: well or not, why, and what mends it. 200 even when something is not: the body says so."""
        found = parts()
        return Response(StackHealthSerializer({"ok": all(part.ok for part in found), "parts": found}).data)


class QueueSerializer(serializers.Serializer[Any]):
    """One queue."""

    name = serializers.CharField()
    total_operations = serializers.IntegerField()
    active_operations = serializers.IntegerField()
    waiting_operations = serializers.IntegerField()
    average_wait_s = serializers.FloatField()
    oldest_wait_s = serializers.FloatField()
    reasons = serializers.DictField(child=serializers.IntegerField())


class QueuesView(APIView):
    """Queues as people mean them."""

    @extend_schema(responses=QueueSerializer(many=True))
    def get(self, request: Request) -> Response:
        """How many operations wait and run, since when, and why the waiting ones wait."""
        return Response(QueueSerializer(queues.status(now=timezone.now()), many=True).data)


class FiguresSerializer(serializers.Serializer[Any]):
    """Counts by state, and hosts with capacity and reservations."""

    operations = serializers.DictField(child=serializers.IntegerField())
    agents = serializers.DictField(child=serializers.IntegerField())
    hosts = HostSerializer(many=True)


class MetricsView(APIView):
    """Figures of the whole."""

    @extend_schema(responses=FiguresSerializer)
    def get(self, request: Request) -> Response:
        """Operations and agents by state; each host's capacity and what is reserved of it, to staff."""
        rows = Host.objects.all()
        return Response(
            {
                "operations": figures.by(Operation, "status"),
                "agents": figures.by(Agent, "state"),
                "hosts": shape_for(request.user)(rows, many=True).data,
            }
        )
