"""How the work went: noted once a minute, counted once, drawn on the harbour, forgotten after a day."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agents.gateway.models import Account, Scope
from operations import history
from operations.models import Minute, Operation, Project
from tests.browser import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(admin_user: Any) -> Project:
    return rows.project(admin_user)


def test_a_minute_says_how_many_wait_since_when_what_was_spent_and_what_ended_since(
    admin_user: Any, project: Project
) -> None:
    now = timezone.now()
    waits = rows.operation(admin_user, of=project)
    Operation.objects.filter(pk=waits.pk).update(created_at=now - timedelta(seconds=90))
    rows.running(admin_user, of=project)
    failed = rows.failed(admin_user, of=project)
    Operation.objects.filter(pk=failed.pk).update(completed_at=now - timedelta(seconds=10))
    Account.objects.create(scope=Scope.DAY, key="", period=now.date().isoformat(), spent_nanos=7, calls=1)
    history.note(now=now)
    (minute,) = history.since(now - timedelta(hours=1))
    assert (minute.waiting, minute.running, minute.oldest_s) == (1, 1, 90)
    assert (minute.spent_nanos, minute.succeeded, minute.failed) == (7, 0, 1)
    history.note(now=now + timedelta(seconds=70))
    assert [one.failed for one in history.since(now)] == [1, 0], "what ended is counted once"


def test_what_is_older_than_a_day_is_forgotten(db: None, settings: Any) -> None:
    now = timezone.now()
    history.note(now=now - timedelta(hours=settings.SAMPLES_KEEP_HOURS, minutes=1))
    history.note(now=now)
    assert history.prune(now=now) == 1
    assert [one.at for one in Minute.objects.all()] == [now]


def test_the_harbour_draws_it_with_a_table_behind(admin_client: Client, admin_user: Any, project: Project) -> None:
    assert "Nothing was noted yet" in admin_client.get(reverse("admin:index")).content.decode()
    now = timezone.now()
    for minute, waiting in enumerate((3, 9, 4)):
        Minute.objects.create(
            at=now - timedelta(minutes=3 - minute), waiting=waiting, running=1, oldest_s=130, spent_nanos=2 * 10**9,
            succeeded=2, failed=1,
        )  # fmt: skip
    waits = rows.operation(admin_user, of=project)
    Operation.objects.filter(pk=waits.pk).update(created_at=now - timedelta(seconds=130))
    Account.objects.create(scope=Scope.DAY, key="", period=now.date().isoformat(), spent_nanos=3 * 10**9, calls=1)
    html = admin_client.get(reverse("admin:index")).content.decode()
    card = html[html.index('data-part="hour"') : html.index('data-part="latest"')]
    assert card.count("<polyline") == 5
    for words in ("Waiting: now 1, from 1 to 9", "Oldest waits: now 2 min 10 s", "Spent today: now $3.00",
                  "Failed: 3 in all"):  # fmt: skip
        assert words in card
    assert [card.count(f">{head}</th>") for head in ("Waiting", "Spent today", "Running")] == [1, 1, 1]
