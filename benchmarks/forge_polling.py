"""What polling costs: 100 open, idle pull requests through one simulated hour, counted by the forge that is asked.

The database, the shared token bucket in Redis and a server that speaks GitHub's dialect are real. The clock is the
argument that the sweep's duty and the look take anyway: the duty hands out what is due, and each of these is looked
at.
"""

from __future__ import annotations

import resource
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import report, stack
from benchmarks.report import Figure, at_most

MANY = 100
CALLS_AN_HOUR = 200
SWEEP_S = 15  # the real one looks every five: it hands out no more in an hour
TOKEN = "ghp_only_for_the_benchmark"


def _delivered(forge: Any, *, now: datetime) -> None:
    """A hundred delivered pull requests, each with a green check and a review, at one forge with one token."""
    from benchmarks import rows
    from operations import projects
    from operations.models import Operation, PullRequest

    repository = rows.project().repository_url.replace("nothing.git", "team/app.git")
    Path(repository).mkdir(parents=True)
    project = projects.create(by=rows.user(), name="app", repository_url=repository, metadata={"forge": "github"})
    forge.permissions = {"ada": "write"}
    forge.say("ada", "Looks right.", at="2026-11-30T10:00:00Z")
    for number in range(1, MANY + 1):
        branch = f"moorage/change-{number}"
        operation = Operation.objects.create(
            project=project, requirements="x", template="lightweight", created_by=rows.user(), created_at=now,
            completed_at=now, status="succeeded", result={}, engine_kind="llm",
        )  # fmt: skip
        with forge.state:
            pull = forge.add("team/app", {"head": branch, "base": "main", "title": "t"})
        commit = forge.head_of(branch)
        forge.check(commit, "build", "success", job=number)
        PullRequest.objects.create(
            project=project, operation=operation, forge="github", number=number, title="t", head_branch=branch,
            head_commit=commit, base_branch="main", base_commit="2" * 40, created_at=now, url=pull["html_url"],
            look_due_at=now, handled=["review-1", "comment-1"],
        )  # fmt: skip


def _hour(forge: Any, start: datetime) -> tuple[int, int]:
    """Requests of one hour, and how many of them were answered by 304."""
    from operations.coding import watching

    asked, unchanged = len(forge.asked), forge.not_modified
    for second in range(0, 3600, SWEEP_S):
        now = start + timedelta(seconds=second)
        for key in watching.due(now=now):
            watching.look(key, now=now, actor="bench", routine=True)
    return len(forge.asked) - asked, forge.not_modified - unchanged


def measure() -> list[Figure]:
    """The first hour after 100 deliveries at once, an hour after they have become idle, and one after they closed."""
    from tests.fakes.github_server import github_server

    with github_server(TOKEN) as forge, stack.running(MOORAGE_GITHUB_URL=forge.url, MOORAGE_GITHUB_TOKEN=TOKEN):
        from django.utils import timezone

        from operations.models import PullRequest

        start = timezone.now()
        _delivered(forge, now=start)
        busy, _ = _hour(forge, start)
        idle_from = start + timedelta(hours=12)
        _calm_down(now=idle_from)
        used, began = forge.limit_used, resource.getrusage(resource.RUSAGE_SELF)
        idle, unchanged = _hour(forge, idle_from)
        ended = resource.getrusage(resource.RUSAGE_SELF)
        counted = forge.limit_used - used
        seen = PullRequest.objects.filter(looked_at__gte=idle_from).count()
        for pull in forge.pulls:
            pull["state"] = "closed"
        _told(idle_from + timedelta(hours=1))
        closed, _ = _hour(forge, idle_from + timedelta(hours=1))
    return [
        at_most("requests in an hour, all idle", idle, "requests", CALLS_AN_HOUR),
        Figure("of them answered by 304", unchanged, f"of {idle}", goal="all", met=unchanged == idle),
        Figure("of them counted by the forge's own limit", counted, "requests", goal="0", met=counted == 0),
        Figure("pull requests looked at in that hour", seen, f"of {MANY}", goal="≥ 99", met=seen >= 99),
        Figure("requests in the first hour after 100 deliveries at once", busy, "requests"),
        Figure("requests in the hour after all were closed", closed, "requests", goal="0", met=closed == 0),
        Figure("processor time of the idle hour", round(ended.ru_utime - began.ru_utime, 2), "s"),
    ]  # fmt: skip


def _calm_down(*, now: datetime) -> None:
    """Each is looked at, and has been quiet since: its next look is due."""
    from operations.coding import watching
    from operations.models import PullRequest

    _told(now - timedelta(hours=1))
    PullRequest.objects.update(quiet_looks=watching.IDLE_LOOKS, look_due_at=now)


def _told(now: datetime) -> None:
    """What a webhook does: each is looked at, whatever the allowance."""
    from operations.coding import watching
    from operations.models import PullRequest

    for key in PullRequest.objects.values_list("pk", flat=True):
        watching.look(key, now=now, actor="bench")


if __name__ == "__main__":
    report.main(measure)
