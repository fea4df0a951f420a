"""Whatever is done twice: one commit, one branch, one pull request."""

from __future__ import annotations

from typing import Any

import pytest

from operations.coding import remotes, upstream
from operations.coding.context import Context, Done
from operations.coding.stage_log import StageLog
from operations.coding.stages import STAGES
from operations.models import Operation, PullRequest, Stage, Step
from tests.fakes.github_server import Misfortune, github_server
from tests.flows.inline import Inline, left_held, stages
from tests.flows.repositories import PROJECT, Remote, make


def up_to(inline: Inline, operation: Operation, stage: str) -> Operation:
    inline.run(until=lambda: Operation.objects.get(pk=operation.pk).stage == stage)
    inline.queued()
    return Operation.objects.select_related("project", "agent__host", "created_by").get(pk=operation.pk)


def context_of(operation: Operation) -> Context:
    """The stage as a runner would see it that was killed before it could write anything down."""
    return Context(operation=operation, log=StageLog(), lost=lambda: False)


def test_a_commit_made_twice_is_the_same_commit(inline: Inline) -> None:
    operation = up_to(inline, inline.submit(), "commit")
    first, second = (STAGES[Stage.COMMIT](context_of(operation)) for _twice in range(2))
    assert isinstance(first, Done)
    assert first == second
    inline.wake(operation)
    assert inline.finish(operation).result["commit"] == first.product["commit"]


def test_a_pull_request_stage_that_was_killed_at_its_very_end_is_repeated_without_a_trace(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = up_to(inline, inline.submit(inline.project(remote)), "pr")
    for _killed in range(2):
        assert isinstance(STAGES[Stage.PR](context_of(operation)), Done)
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert remote.branches() == {
        "main": operation.result["base_commit"],
        operation.result["branch"]: operation.result["commit"],
    }
    assert PullRequest.objects.count() == 1
    assert operation.result["pull_request"]["number"] == 1


def test_a_kill_between_push_and_row_is_made_good(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = up_to(inline, inline.submit(inline.project(remote)), "pr")
    made = Step.objects.get(operation=operation, stage="commit", outcome="done").product
    context = context_of(operation)
    upstream.push(vault=context.vault, remote=context.remote, commit=made["commit"], branch=made["branch"])
    assert PullRequest.objects.count() == 0
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert (len(remote.branches()), PullRequest.objects.count()) == (2, 1)


def test_a_merge_that_was_faster_than_the_second_look_is_adopted(inline: Inline) -> None:
    operation = up_to(inline, inline.submit(), "pr")
    STAGES[Stage.PR](context_of(operation))
    PullRequest.objects.update(state="merged")
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "succeeded", operation.error
    assert PullRequest.objects.count() == 1
    assert operation.result["pull_request"]["state"] == "merged"


def test_two_operations_with_the_same_requirement_get_a_branch_each(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    project = inline.project(remote)
    both = [inline.submit(project) for _each in range(2)]
    inline.run()
    results = [Operation.objects.get(pk=each.pk).result for each in both]
    assert len({result["branch"] for result in results}) == 2
    assert {result["tree"] for result in results} == {results[0]["tree"]}
    assert sorted(result["pull_request"]["number"] for result in results) == [1, 2]
    assert len(remote.branches()) == 3


def test_a_branch_of_ours_that_holds_somebody_elses_commit_is_never_overwritten(inline: Inline) -> None:
    remote = make(inline.roots / "r.git", PROJECT)
    operation = up_to(inline, inline.submit(inline.project(remote)), "pr")
    made = Step.objects.get(operation=operation, stage="commit", outcome="done").product
    theirs = remote.commit({"other.txt": "theirs\n"}, branch=made["branch"])
    inline.wake(operation)
    operation = inline.finish(operation)
    assert operation.status == "failed"
    assert operation.error["code"] == "git.branch_diverged"
    assert "Delete or rename the branch" in operation.error["remedy"]
    assert remote.branches()[made["branch"]] == theirs
    assert PullRequest.objects.count() == 0
    assert left_held() == []


@pytest.fixture
def github(settings: Any) -> Any:
    with github_server("t0ken") as server:
        settings.GITHUB_URL, settings.GITHUB_TOKEN = server.url, "t0ken"
        yield server


def on_github(inline: Inline, remote: Remote) -> Operation:
    """The remote is a local one; its pull requests are GitHub's."""
    project = inline.project(remote, metadata={"forge": "github"})
    return inline.submit(project)


def test_a_pull_request_that_github_made_before_it_answered_502_is_not_made_again(inline: Inline, github: Any) -> None:
    path = inline.roots / "team" / "app.git"
    remote = make(path, PROJECT)
    slug = operation_slug(inline, remote)
    github.repositories[slug] = {"main"}
    github.script.append(Misfortune("POST", status=502, after_the_effect=True, path="/pulls"))
    operation = inline.run_pauses(on_github(inline, remote))
    assert operation.status == "succeeded", operation.error
    assert len(github.pulls) == 1
    assert PullRequest.objects.get().forge == "github"
    assert operation.result["pull_request"]["url"] == github.pulls[0]["html_url"]
    assert len(remote.branches()) == 2


def test_a_github_that_stays_away_is_tried_again_and_then_shown_to_a_person(inline: Inline, github: Any) -> None:
    remote = make(inline.roots / "team" / "app.git", PROJECT)
    github.repositories[operation_slug(inline, remote)] = {"main"}
    github.script += [Misfortune(method, status=503) for method in ("GET", "POST") for _each in range(60)]
    operation = inline.run_pauses(on_github(inline, remote))
    assert (operation.status, operation.error["class"]) == ("failed", "transient")
    assert operation.error["code"].startswith("forge.")
    assert [outcome for stage, outcome in stages(operation) if stage == "pr"] == ["fault"] * 4
    assert left_held() == []
    github.script.clear()


def operation_slug(inline: Inline, remote: Remote) -> str:
    """What a repository at this place is called at a forge."""
    return remotes.check_url(str(remote.path), local_roots=[inline.roots], allowed_hosts=[]).slug
