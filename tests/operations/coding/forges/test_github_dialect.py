"""GitHub's dialect where it is not what one would expect: renames, redirects, forks, branches that go, limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from operations.coding.forges.github_forge import GitHubForge
from operations.coding.forges.protocol import (
    Check,
    CheckState,
    ForgeAuth,
    ForgeRateLimited,
    ForgeRejected,
    Known,
)
from tests.fakes.github_server import GitHubServer, Misfortune, github_server
from tests.flows.repositories import PROJECT, make
from tests.operations.coding.forges.conftest import DRAFT, TOKEN

pytestmark = pytest.mark.django_db  # a breaker that opens is journalled

KNOWN = Known(1, "team/app")


@pytest.fixture
def forge(server: GitHubServer) -> GitHubForge:
    made = GitHubForge(base_url=server.url, token=TOKEN, timeout_s=5, look_again_s=(0.0,))
    made.open_or_adopt(DRAFT)
    server.asked.clear()
    return made


def rename(server: GitHubServer) -> None:
    server.renamed["team/app"] = "team/new"
    server.repositories["team/new"] = server.repositories.pop("team/app")
    for pull in server.pulls:
        pull["base"]["repo"]["full_name"] = pull["head"]["repo"]["full_name"] = "team/new"
        pull["html_url"] = f"{server.url}/team/new/pull/{pull['number']}"
        pull["url"] = f"{server.url}/repos/team/new/pulls/{pull['number']}"


def test_a_repository_that_was_renamed_is_followed_once_and_then_called_by_its_new_name(
    server: GitHubServer, forge: GitHubForge
) -> None:
    head = server.head_of(DRAFT.head_branch)
    server.check(head, "build", "failure", job=11)
    server.logs["11"] = "##[group]Run make\n##[error]no"
    rename(server)
    seen = forge.look(KNOWN)
    assert (seen.repository, seen.url) == ("team/new", f"{server.url}/team/new/pull/1")
    assert [check.name for check in seen.checks] == ["build"]
    known = replace(KNOWN, seen=seen)
    server.asked.clear()
    forge.look(known)
    assert forge.log_of(known, seen.checks[0]).endswith("no")
    forge.redescribe(known, body="New.")
    assert not [path for _, path in server.asked if path.startswith("/repos/team/app")]
    assert server.pulls[0]["body"] == "New."


def test_a_pull_request_is_opened_once_in_a_repository_that_was_renamed(
    server: GitHubServer, forge: GitHubForge
) -> None:
    rename(server)
    assert forge.open_or_adopt(DRAFT).adopted
    assert forge.open_or_adopt(replace(DRAFT, head_branch="moorage/two-2")).number == 2
    assert len(server.pulls) == 2


def test_a_log_at_another_host_is_fetched_without_our_token(server: GitHubServer, forge: GitHubForge) -> None:
    with github_server("of somebody else") as elsewhere:
        forge_may_follow = GitHubForge(base_url=server.url, token=TOKEN)
        server.logs["11"] = elsewhere.logs["11"] = "##[error]no"
        server.logs_at = elsewhere.url.replace("127.0.0.1", "localhost")
        with pytest.raises(Exception, match="do not follow"):  # over plain http only where the forge itself is
            forge_may_follow.log_of(KNOWN, Check("build", CheckState.FAILED, source="job:11"))
        assert elsewhere.asked == []
    server.logs_at = ""
    assert forge.log_of(KNOWN, Check("build", CheckState.FAILED, source="job:11")) == "##[error]no"
    assert server.strange == []


def test_a_pull_request_of_a_fork_with_the_same_branch_name_is_not_taken_for_ours(
    server: GitHubServer, forge: GitHubForge
) -> None:
    theirs = server.pulls[0]
    theirs["head"].update(label=f"mallory:{DRAFT.head_branch}", repo={"full_name": "mallory/app"})
    server.filters = False
    opened = forge.open_or_adopt(DRAFT)
    assert (opened.number, opened.adopted) == (2, False)


def test_a_token_without_the_right_to_open_one_is_told_so(server: GitHubServer, forge: GitHubForge) -> None:
    """GitHub hides what a token may not do behind 404."""
    server.script = [Misfortune("POST", 404, "Not Found", path="/pulls")]
    with pytest.raises(ForgeAuth, match="404"):
        forge.open_or_adopt(replace(DRAFT, head_branch="moorage/two-2"))
    assert len(server.pulls) == 1


@pytest.mark.parametrize(
    ("status", "words", "headers", "wait_s"),
    [
        (403, "You have exceeded a secondary rate limit. Please wait.", {"Retry-After": "60"}, 60),
        (403, "You have exceeded a secondary rate limit. Please wait.", {}, None),
        (403, "You have triggered an abuse detection mechanism.", {"Retry-After": "30"}, 30),
        (403, "You have triggered an abuse detection mechanism.", {}, None),
        (429, "Too many requests", {}, None),
    ],
)
def test_each_way_to_say_slow_down_is_one(
    server: GitHubServer, forge: GitHubForge, status: int, words: str, headers: dict[str, str], wait_s: int | None
) -> None:
    server.script = [Misfortune("GET", status, words, headers=headers)]
    with pytest.raises(ForgeRateLimited) as caught:
        forge.look(KNOWN)
    assert caught.value.facts["retry_after_s"] == wait_s
    asked = len(server.asked)
    with pytest.raises(ForgeRateLimited):
        forge.look(KNOWN)
    assert len(server.asked) == asked, "the credential rests, also where the forge did not say for how long"


def test_looks_that_show_nothing_new_do_not_count_against_the_forges_limit(
    server: GitHubServer, forge: GitHubForge
) -> None:
    seen = forge.look(KNOWN)
    used = server.limit_used
    assert forge.look(replace(KNOWN, seen=seen)).calls == 6
    assert server.limit_used == used


def test_one_whose_branch_was_deleted_by_hand_is_closed(
    server: GitHubServer, forge: GitHubForge, tmp_path: Path
) -> None:
    remote = make(tmp_path / "app.git", PROJECT)
    remote.commit({"a.py": ""}, branch=DRAFT.head_branch)
    server.git = remote.path
    assert forge.look(KNOWN).state == "open"
    remote.git("update-ref", "-d", f"refs/heads/{DRAFT.head_branch}")
    assert forge.look(KNOWN).state == "closed"


def test_one_that_becomes_ready_or_is_edited_is_still_the_same(server: GitHubServer, forge: GitHubForge) -> None:
    server.pulls[0]["draft"] = True
    before = forge.look(KNOWN)
    server.pulls[0].update(draft=False, title="Another", body="Other words")
    assert replace(forge.look(KNOWN), etags=before.etags) == before
    server.pulls[0]["base"]["ref"] = "release"
    assert forge.look(KNOWN).base_branch == "release"


def test_a_merged_one_cannot_be_closed(server: GitHubServer, forge: GitHubForge) -> None:
    server.pulls[0].update(state="closed", merged=True)
    with pytest.raises(ForgeRejected):
        forge.close(KNOWN)
