"""The claim on a berth that is being worked on: extended for as long as its worker lives, however long that takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import connection
from django.utils import timezone

from agents.models import Agent

log = logging.getLogger(__name__)


@contextmanager
def held(agent: Agent) -> Iterator[None]:
    """Extend the agent's claim three times in its life, until the block ends.

    ``agent.claimed_until`` follows: it is the token by which the one who made the berth is known. Once somebody else
    has the claim, it is left alone.
    """
    done = threading.Event()
    thread = threading.Thread(target=_extend, args=(agent, done), name="berth-claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _extend(agent: Agent, done: threading.Event) -> None:
    try:
        while not done.wait(settings.CLAIM_TTL_S / 3):
            until = timezone.now() + timedelta(seconds=settings.CLAIM_TTL_S)
            mine = Agent.objects.filter(pk=agent.pk, generation=agent.generation, claimed_until=agent.claimed_until)
            try:
                if not mine.update(claimed_until=until, wake_up_at=until):
                    return
            except DatabaseTrouble as error:
                log.warning("a berth's claim was not extended", extra={"agent": str(agent.pk), "error": str(error)})
                connection.close()
                continue
            agent.claimed_until = until
    finally:
        connection.close()
