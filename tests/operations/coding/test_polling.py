"""Polling: what a hundred open, idle pull requests cost in an hour, counted by the forge itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from operations.coding import watching
from operations.coding.forges import allowance
from operations.models import Operation, Project, PullRequest
from tests import factories
from tests.fakes.github_server import GitHubServer, Misfortune, github_server

pytestmark = [pytest.mark.django_db, pytest.mark.needs_redis]

TOKEN = "ghp_averysecrettoken0123456789"
MANY = 100


@pytest.fixture
def forge(settings: Any, redis_url: str, tmp_path: Any) -> Iterator[GitHubServer]:
    with github_server(TOKEN) as running:
        settings.GITHUB_URL, settings.GITHUB_TOKEN, settings.REDIS_URL = running.url, TOKEN, redis_url
        settings.REPOSITORY_ROOTS = [tmp_path]
        (tmp_path / "team" / "app.git").mkdir(parents=True)
        yield running


def opened(forge: GitHubServer, many: int, *, tmp_path: Any, now: datetime) -> None:
    """So many delivered pull requests, each with a green check."""
    user = factories.user()
    project = Project.objects.create(
        name="app", repository_url=str(tmp_path / "team" / "app.git"), owner=user, created_at=now,
        metadata={"forge": "github"},
    )  # fmt: skip
    for number in range(1, many + 1):
        branch = f"moorage/change-{number}"
        operation = Operation.objects.create(
            project=project, requirements="x", template="python", created_by=user, created_at=now, completed_at=now,
            status="succeeded", result={}, engine_kind="llm",
        )  # fmt: skip
        with forge.state:
            forge.add("team/app", {"head": branch, "base": "main", "title": "t"})
        commit = forge.head_of(branch)
        forge.check(commit, "build", "success", job=number)
        PullRequest.objects.create(
            project=project, operation=operation, forge="github", number=number, title="t", head_branch=branch,
            head_commit=commit, base_branch="main", base_commit="2" * 40, created_at=now, look_due_at=now,
            url=f"{forge.url}/team/app/pull/{number}",
        )  # fmt: skip


def sweep(now: datetime) -> None:
    for key in watching.due(now=now, limit=12):
        watching.look(key, now=now, actor="system", routine=True)


def test_a_hundred_idle_ones_cost_at_most_two_hundred_requests_an_hour_and_all_are_looked_at(
    forge: GitHubServer, tmp_path: Any
) -> None:
    start = timezone.now()
    opened(forge, MANY, tmp_path=tmp_path, now=start)
    for row in PullRequest.objects.all():  # they were looked at before, and have been quiet since
        watching.look(row.pk, now=start - timedelta(hours=2), actor="system")
    PullRequest.objects.update(quiet_looks=watching.IDLE_LOOKS, look_due_at=start)
    forge.asked.clear()
    forge.not_modified = 0

    asked = []
    for minute in range(0, 76, 5):
        sweep(start + timedelta(minutes=minute))
        asked.append((minute, len(forge.asked)))

    per_hour = max(
        later - earlier for at, earlier in [(-1, 0), *asked] for until, later in asked if 0 < until - at <= 60
    )
    assert per_hour <= 200
    assert forge.not_modified == len(forge.asked) > 200, "every look is answered by 304 alone"
    assert PullRequest.objects.filter(looked_at__gte=start).count() == MANY


def test_the_allowance_is_shared_refills_and_takes_debts_into_account(redis_url: str, settings: Any) -> None:
    settings.REDIS_URL = redis_url
    now = timezone.now()
    takes = [allowance.take("shared", calls=2, per_hour=200, now=now) for _each in range(11)]
    assert takes[:10] == [0.0] * 10
    assert takes[10] == pytest.approx(40, abs=1)
    assert allowance.take("another", calls=2, per_hour=200, now=now) == 0
    later = now + timedelta(seconds=41)
    assert allowance.take("shared", calls=2, per_hour=200, now=later) == 0
    allowance.settle("shared", calls=6)
    assert allowance.take("shared", calls=2, per_hour=200, now=later) == pytest.approx(160, abs=2)
    assert allowance.take("none", calls=2, per_hour=0, now=now) == 3600


def test_without_redis_nobody_polls(tmp_path: Any, settings: Any) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/absent.sock"
    assert allowance.take("away", calls=2, per_hour=200, now=timezone.now()) == 60


def test_one_where_something_happens_is_noticed_by_polling_alone(forge: GitHubServer, tmp_path: Any) -> None:
    now = timezone.now()
    opened(forge, 1, tmp_path=tmp_path, now=now)
    sweep(now)
    forge.pulls[0].update(state="closed", merged=True, merge_commit_sha="c" * 40)
    sweep(now + timedelta(hours=2))
    row = PullRequest.objects.get()
    assert (row.state, row.merged_commit, row.look_due_at) == ("merged", "c" * 40, None)


def test_a_limit_of_rate_parks_all_looks_of_the_credential(forge: GitHubServer, tmp_path: Any) -> None:
    now = timezone.now()
    opened(forge, 3, tmp_path=tmp_path, now=now)
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(now.timestamp()) + 900)}
    forge.script = [Misfortune("GET", 403, "API rate limit exceeded", headers=limit)]
    sweep(now)
    assert len(forge.asked) == 1
    rows = PullRequest.objects.all()
    assert all(row.note.startswith("forge.rate_limited: ") for row in rows)
    assert all(timedelta(minutes=13) < row.look_due_at - now < timedelta(minutes=16) for row in rows)
