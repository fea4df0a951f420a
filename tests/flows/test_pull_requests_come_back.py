"""Delivered pull requests come back: failed checks, reviews, conflicts, merges. Git, a forge and a model, all real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from events.models import Event
from operations import faults
from operations.coding import pull_requests, watching
from operations.models import Operation, PullRequest, Rework
from operations.submit import retry
from tests.fakes.github_deliveries import SECRET, about, deliver
from tests.fakes.github_server import GitHubServer, github_server
from tests.fakes.llm_server import Fail, LlmServer
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import CALC, PROJECT, Remote, make
from tests.flows.test_llm import APPROVED, DIAGNOSIS, DONE, MEND, PLAN, edit, server

__all__ = ["server"]  # the model's, with its gateway

TOKEN = "ghp_averysecrettoken0123456789"
MENDED = CALC.replace("def sub(a, b):\n    return a + b", "def sub(a, b):\n    return a - b")
COMMENTED = edit("def add(a, b):\n", "def add(a, b):\n    # the sum\n")
TOLD_AGAIN = edit("    # the sum\n", "    # the sum of both\n")
ROUND = [DIAGNOSIS, COMMENTED, DONE, APPROVED]
LOG = "##[group]Run lint\nadd() needs a comment; TOKEN=hunter2hunter2\n##[error]exit 1\n"


@dataclass
class Delivered:
    """A project at the forge, with one pull request that a model made."""

    inline: Inline
    forge: GitHubServer
    model: LlmServer
    remote: Remote
    operation: Operation

    @property
    def row(self) -> PullRequest:
        return PullRequest.objects.get()

    @property
    def head(self) -> str:
        return self.remote.branches()[self.row.head_branch]

    def fails(self, name: str = "lint", *, job: int = 11) -> None:
        """A check of the head fails."""
        self.forge.logs[str(job)] = LOG
        self.forge.check(self.head, name, "failure", job=job)

    def hint(self, event: str = "check_run") -> Operation:
        """A delivery about it, and all that follows; time for more passes before."""
        PullRequest.objects.update(looked_at=None)
        assert deliver(event, about(self.forge.pulls[0])).status_code == 202
        return self.inline.finish(self.operation)


@pytest.fixture
def forge(settings: Any) -> Iterator[GitHubServer]:
    with github_server(TOKEN) as running:
        settings.GITHUB_URL, settings.GITHUB_TOKEN = running.url, TOKEN
        settings.GITHUB_WEBHOOK_SECRET = SECRET
        yield running


@pytest.fixture
def delivered(inline: Inline, server: LlmServer, forge: GitHubServer) -> Delivered:
    remote = make(inline.roots / "team" / "app.git", PROJECT)
    forge.git = remote.path
    server.script.extend([PLAN, MEND, DONE, APPROVED])
    project = inline.project(remote, metadata={"forge": "github"})
    operation = inline.finish(inline.submit(project, requirements="sub() must subtract. Ask @ada."))
    assert operation.status == "succeeded", operation.error
    return Delivered(inline, forge, server, remote, operation)


def kinds(operation: Operation) -> list[str]:
    rows = Event.objects.filter(topic=operation.topic).order_by("seq")
    return [kind for kind in rows.values_list("kind", flat=True) if "stage" not in kind]


def test_a_failed_check_comes_back_to_the_same_branch_and_pull_request(delivered: Delivered) -> None:
    """Told by several deliveries, one of them twice: it is one round."""
    first, number = delivered.head, delivered.row.number
    body = delivered.forge.pulls[0]["body"]
    assert "| No test fails that passed before | ✓ | exit 0, 2 passed, 0 failed |" in body
    assert "`@ada`" in body
    delivered.fails()
    delivered.model.script.extend(ROUND)
    said = about(delivered.forge.pulls[0])
    answers = [deliver("check_run", said, delivery="the-same-one").json() for _each in range(3)]
    assert [answer["duplicate"] for answer in answers] == [False, True, True]
    deliver("status", {**said, "sha": delivered.head})

    operation = delivered.hint()

    assert operation.status == "succeeded", operation.error
    assert not delivered.model.script
    assert [row.number for row in Rework.objects.all()] == [1]
    assert (len(delivered.forge.pulls), delivered.row.number) == (1, number)
    assert delivered.remote.git("rev-parse", f"{delivered.head}^") == first
    assert "# the sum" in delivered.remote.git("show", f"{delivered.head}:calc.py")
    assert delivered.row.head_commit == delivered.head == operation.result["commit"]
    assert "Moorage-Round: 1 (checks)" in delivered.remote.git("log", "-1", "--format=%B", delivered.head)
    assert "## Rounds\n1. Failed checks:" in delivered.forge.pulls[0]["body"]
    told = next(r.body["messages"][1]["content"] for r in delivered.model.requests if "needs a comment" in str(r.body))
    assert "checks.failed" in told
    assert "hunter2" not in told
    assert TOKEN not in repr(list(Event.objects.values_list("data", "reason"))) + repr(operation.result)
    assert "operation.rework_began" in kinds(operation)
    assert left_held() == []


def test_a_round_on_a_host_without_the_vault_fetches_what_it_goes_on_from(
    delivered: Delivered, data_directory: Path
) -> None:
    shutil.rmtree(data_directory / "vaults")
    first = delivered.head
    delivered.fails()
    delivered.model.script.extend([PLAN, *ROUND])

    operation = delivered.hint()

    assert operation.status == "succeeded", operation.error
    assert not delivered.model.script
    assert delivered.remote.git("rev-parse", f"{delivered.head}^") == first
    content = delivered.remote.git("show", f"{delivered.head}:calc.py")
    assert "# the sum" in content
    assert "return a - b" in content, "what was delivered before is still there"


def test_one_that_is_merged_in_mid_rework_ends_the_round_and_nothing_is_pushed(delivered: Delivered) -> None:
    delivered.fails()
    delivered.model.script.extend(ROUND)
    pushed = delivered.head
    PullRequest.objects.update(looked_at=None)
    deliver("check_run", about(delivered.forge.pulls[0]))
    delivered.inline.run(until=lambda: Operation.objects.get().stage == "pr")
    delivered.forge.pulls[0].update(state="closed", merged=True, merge_commit_sha="b" * 40)

    operation = delivered.inline.finish(delivered.operation)

    assert (operation.status, delivered.row.state, operation.error) == ("succeeded", "merged", None)
    assert (delivered.head, operation.result["commit"]) == (pushed, pushed)
    assert "operation.rework_withdrawn" in kinds(operation)
    assert len(delivered.forge.pulls) == 1
    assert left_held() == []


def test_a_branch_that_somebody_pushed_to_in_mid_rework_is_never_overwritten(delivered: Delivered) -> None:
    delivered.fails()
    delivered.model.script.extend(ROUND)
    branch, ours = delivered.row.head_branch, delivered.head
    PullRequest.objects.update(looked_at=None)
    deliver("check_run", about(delivered.forge.pulls[0]))
    delivered.inline.run(until=lambda: Operation.objects.get().stage == "pr")
    theirs = delivered.remote.commit({**PROJECT, "theirs.py": ""}, branch=branch, parent=ours)

    operation = delivered.inline.finish(delivered.operation)

    assert (operation.status, operation.error["code"]) == ("failed", "git.branch_diverged")
    assert delivered.head == theirs
    delivered.hint()
    assert (Rework.objects.count(), len(delivered.forge.pulls)) == (1, 1)


def test_a_conflict_with_a_base_that_was_force_pushed_is_rebased_in_the_sandbox_and_tested_again(
    delivered: Delivered,
) -> None:
    base = delivered.remote.commit({**PROJECT, "new.py": "X = 1\n"})
    delivered.forge.pulls[0]["mergeable"] = False
    PullRequest.objects.update(looked_at=None)
    PullRequest.objects.update(look_due_at=timezone.now() + timedelta(hours=1))
    push = {"repository": about(delivered.forge.pulls[0])["repository"], "ref": "refs/heads/main"}
    assert deliver("push", push).json()["hinted"] == 0, "a push to the base may concern many: nobody hurries"
    (due,) = watching.due(now=timezone.now())
    watching.look(due, now=timezone.now(), actor="system")
    delivered.model.script.append(APPROVED)
    delivered.inline.run(until=lambda: Operation.objects.get().stage == "pr")
    delivered.forge.pulls[0]["mergeable"] = True
    operation = delivered.inline.finish(delivered.operation)

    assert operation.status == "succeeded", operation.error
    assert delivered.remote.git("rev-parse", f"{delivered.head}^") == base == delivered.row.base_commit
    assert delivered.remote.git("show", f"{delivered.head}:calc.py") == MENDED.strip()
    assert "new.py" in delivered.remote.git("ls-tree", "--name-only", delivered.head)
    assert [outcome for stage, outcome in stages(operation) if stage == "test"] == ["done", "done"]
    assert len(delivered.forge.pulls) == 1
    assert not delivered.model.script, "a rebase that fits needs no coder"


def test_a_round_that_failed_goes_on_when_a_person_retries_it(delivered: Delivered) -> None:
    delivered.fails()
    delivered.model.script.append(Fail(401, message="no such key"))
    operation = delivered.hint()
    assert (operation.status, operation.error["code"]) == ("failed", "llm.auth")
    delivered.model.script.extend(ROUND)
    retry(by=delivered.inline.user, operation_id=operation.pk)
    operation = delivered.inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert (Rework.objects.count(), len(delivered.forge.pulls)) == (1, 1)


# --- the local forge ------------------------------------------------------------------------------------------------


def _look_where_due(inline: Inline, operation: Operation) -> Operation:
    for key in watching.due(now=timezone.now() + timedelta(minutes=2)):
        watching.look(key, now=timezone.now(), actor="system", routine=True)
    return inline.finish(operation)


def test_a_local_check_that_fails_brings_a_round_back(inline: Inline, server: LlmServer) -> None:
    check = ["python", "-c", "import sys; sys.exit('# the sum' not in open('calc.py').read() and 'no comment')"]
    project = inline.project(metadata={"local_check": {"command": check, "timeout_s": 60}})
    server.script.extend([PLAN, MEND, DONE, APPROVED])
    operation = inline.finish(inline.submit(project, requirements="sub() must subtract."))
    assert operation.status == "succeeded", operation.error
    row = PullRequest.objects.get()
    assert [(c["name"], c["state"], c["summary"]) for c in row.seen["checks"]] == [
        ("local check", "failed", "no comment")
    ]
    server.script.extend(ROUND)

    operation = _look_where_due(inline, operation)

    assert operation.status == "succeeded", operation.error
    row = PullRequest.objects.get()
    assert [check["state"] for check in row.seen["checks"]] == ["passed"]
    assert "no comment" in row.reworks.get().fault["facts"]["checks"]
    assert row.head_commit == operation.result["commit"]
    assert left_held() == []


def test_merging_at_the_local_forge_onto_a_base_that_moved_puts_it_there_first(inline: Inline) -> None:
    remote = make(inline.roots / "calc.git", PROJECT)
    operation = inline.finish(inline.submit(inline.project(remote)))
    base = remote.commit({**PROJECT, "new.py": "X = 1\n"}, parent=remote.branches()["main"])
    row = PullRequest.objects.get()
    with pytest.raises(faults.NotPossibleNow) as caught:
        pull_requests.merge(by=inline.user, pull_request_id=row.pk)
    assert "put on the new base" in caught.value.remedy_text

    operation = inline.finish(operation)

    assert operation.status == "succeeded", operation.error
    row.refresh_from_db()
    assert (row.base_commit, row.seen) == (base, {})
    merged = pull_requests.merge(by=inline.user, pull_request_id=row.pk)
    assert merged.state == "merged"
    assert "return a - b" in remote.git("show", "main:calc.py")
    assert "new.py" in remote.git("ls-tree", "--name-only", "main")


def test_a_change_that_does_not_fit_on_the_new_base_is_returned_to_a_person_with_the_files(inline: Inline) -> None:
    remote = make(inline.roots / "calc.git", PROJECT)
    operation = inline.finish(inline.submit(inline.project(remote)))
    pushed = operation.result["commit"]
    other = CALC.replace("def sub(a, b):\n    return a + b", "def sub(a, b):\n    return b + a")
    remote.commit({**PROJECT, "calc.py": other}, parent=remote.branches()["main"])
    with pytest.raises(faults.NotPossibleNow):
        pull_requests.merge(by=inline.user, pull_request_id=PullRequest.objects.get().pk)

    operation = inline.finish(operation)

    assert (operation.status, operation.error["code"]) == ("failed", "rebase.conflicts")
    assert "calc.py" in operation.error["detail"]
    assert operation.error["remedy"]
    assert remote.branches()[operation.result["branch"]] == pushed
    assert left_held() == []
