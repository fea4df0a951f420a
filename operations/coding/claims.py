"""Who runs a turn: a claim by compare-and-swap, kept alive by a pulse, lost as soon as the turn moves on."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection, transaction
from django.db.models import DateTimeField, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from agents import health
from agents.models import Fact
from operations.coding.stage_log import StageLog
from operations.models import Operation, Step

log = logging.getLogger(__name__)

MOST_LOST_WORKERS = 3  # a stage that takes its worker down so often is not tried again


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one turn of one operation, and the step row that tells of it."""

    operation: Operation  # as it was claimed; whoever writes loads it again
    turn: int
    token: str
    step: Step
    lost_workers: int  # how many workers were lost on this very turn

    @property
    def operation_id(self) -> uuid.UUID:
        return self.operation.pk

    @property
    def step_id(self) -> int:
        return self.step.pk


def claim(operation_id: uuid.UUID | str, *, turn: int, worker: str, now: datetime) -> Claim | None:
    """Claim the turn. None when it is stale, ended, waits for a person, or somebody else runs it."""
    token = uuid.uuid4().hex
    until = now + timedelta(seconds=settings.CLAIM_TTL_S)
    with transaction.atomic():
        free = Q(claim="") | Q(claimed_until__lt=now)
        mine = Operation.objects.filter(
            free, pk=operation_id, turn=turn, status__in=Operation.ACTIVE, attention__isnull=True
        ).update(
            claim=token,
            claimed_until=until,
            status=Operation.Status.RUNNING,
            started_at=Coalesce("started_at", Value(now, DateTimeField())),
        )
        if not mine:
            return None
        operation = Operation.objects.select_related("project", "agent__host", "created_by").get(pk=operation_id)
        stage = operation.stage
        steps = Step.objects.filter(operation_id=operation_id).order_by()
        # One look at the few steps is cheaper than a question for each of the three figures.
        earlier = list(steps.values_list("turn", "stage", "outcome"))
        if any(outcome == Step.Outcome.RUNNING for _, _, outcome in earlier):
            steps.filter(outcome=Step.Outcome.RUNNING).update(outcome=Step.Outcome.LOST, finished_at=now)
        entries = {at for at, of, outcome in earlier if of == stage and at != turn and outcome != Step.Outcome.WAITING}
        step = Step.objects.create(
            operation_id=operation_id, agent_id=operation.agent_id, turn=turn, stage=stage, attempt=1 + len(entries),
            claim=token, worker=worker, started_at=now,
        )  # fmt: skip
    lost = sum(at == turn and outcome in {Step.Outcome.RUNNING, Step.Outcome.LOST} for at, _, outcome in earlier)
    return Claim(operation, turn, token, step, lost)


class Pulse:
    """Keeps a claim alive while a stage runs, stores its log, and notices when the turn has moved on.

    ``lost()`` becomes true within about a second after a cancellation, and when the database could not be reached
    for as long as the claim lives: a runner that cannot prove that it lives stops itself.
    """

    def __init__(self, claimed: Claim, stage_log: StageLog, *, agent_id: uuid.UUID | None) -> None:
        self._claim, self._log, self._agent_id = claimed, stage_log, agent_id
        self._stop, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"pulse-{claimed.operation_id}", daemon=True)

    def lost(self) -> bool:
        """Whether the stage should stop: it has no say any more."""
        return self._lost.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _beat(self) -> None:
        last_proof = time.monotonic()
        extended = time.monotonic()
        try:
            while not self._stop.wait(min(1.0, settings.CLAIM_TTL_S / 5)):
                try:
                    due = time.monotonic() - extended >= settings.CLAIM_TTL_S / 3
                    if not self._check(extend=due):
                        self._lost.set()
                        return
                    last_proof = time.monotonic()
                    extended = last_proof if due else extended
                except DatabaseTrouble as error:
                    log.warning("pulse cannot reach the database", extra={"error": str(error)})
                    connection.close()
                    if time.monotonic() - last_proof > settings.CLAIM_TTL_S:
                        self._lost.set()
                        return
        finally:
            if not self._stop.is_set():
                self._lost.set()  # whatever ended the pulse: nobody proves any more that this runner lives
            connection.close()

    def _check(self, *, extend: bool) -> bool:
        mine = Operation.objects.filter(pk=self._claim.operation_id, turn=self._claim.turn, claim=self._claim.token)
        now = timezone.now()
        if text := self._log.unsaved():
            Step.objects.filter(pk=self._claim.step_id).update(log=text)
            self._seen(Fact.Kind.LAST_OUTPUT, now)
        if not extend:
            return mine.exists()
        self._seen(Fact.Kind.WORKER_HEARTBEAT, now)
        return bool(mine.update(claimed_until=now + timedelta(seconds=settings.CLAIM_TTL_S)))

    def _seen(self, kind: Fact.Kind, now: datetime) -> None:
        if self._agent_id is not None:
            health.observe(self._agent_id, kind, now=now)
