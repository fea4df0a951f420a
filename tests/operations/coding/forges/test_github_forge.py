"""Pull requests at GitHub: opened once, found again, and honest about what went wrong."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from events.faults import FaultClass
from operations.coding.forges.github_forge import GitHubForge
from operations.coding.forges.protocol import (
    ForgeAuth,
    ForgeRateLimited,
    ForgeRejected,
    ForgeUnavailable,
    PullRequestDraft,
)
from tests.fakes.github_server import GitHubServer, Misfortune, github_server
from tests.operations.coding.forges.conftest import TOKEN

pytestmark = pytest.mark.django_db  # a breaker that opens is journalled

DRAFT = PullRequestDraft(
    repository="team/app",
    head_branch="moorage/fix-the-median-12345678",
    head_commit="1" * 40,
    base_branch="main",
    base_commit="2" * 40,
    title="Fix the median",
    body="Of even lists.",
)


def forge(server: GitHubServer, **more: object) -> GitHubForge:
    options = {
        "base_url": server.url,
        "token": TOKEN,
        "timeout_s": 1,
        "look_again_s": (0.0, 0.02, 0.05),
        **more,
    }
    return GitHubForge(**options)  # type: ignore[arg-type]


def test_a_pull_request_is_opened(server: GitHubServer) -> None:
    opened = forge(server).open_or_adopt(DRAFT)
    assert (opened.number, opened.state, opened.title, opened.adopted) == (1, "open", "Fix the median", False)
    assert opened.url == f"{server.url}/team/app/pull/1"
    assert server.pulls[0]["body"] == "Of even lists."


def test_asking_again_adopts_the_same_one(server: GitHubServer) -> None:
    first = forge(server).open_or_adopt(DRAFT)
    again = forge(server).open_or_adopt(DRAFT)
    assert again == replace(first, adopted=True)
    assert len(server.pulls) == 1


def test_a_closed_one_or_one_of_another_head_is_not_adopted(server: GitHubServer) -> None:
    forge(server).open_or_adopt(DRAFT)
    server.pulls[0]["state"] = "closed"
    assert forge(server).open_or_adopt(DRAFT).number == 2
    assert forge(server).open_or_adopt(replace(DRAFT, head_branch="moorage/other-1")).number == 3


@pytest.mark.parametrize(
    "misfortune",
    [
        Misfortune("POST", 502, "Bad Gateway", after_the_effect=True),
        Misfortune("POST", 500, "boom", after_the_effect=True),
        Misfortune("POST", after_the_effect=True),  # taken, then the connection breaks
        Misfortune("POST", hang=True, after_the_effect=True),
        Misfortune("POST", 201, body=b"<html>proxy</html>", after_the_effect=True),
    ],
)
def test_one_that_was_made_in_spite_of_an_error_is_adopted(server: GitHubServer, misfortune: Misfortune) -> None:
    server.script = [misfortune]
    server.listed_late = 1
    opened = forge(server).open_or_adopt(DRAFT)
    assert (opened.number, opened.adopted) == (1, True)
    assert len(server.pulls) == 1
    assert server.count("POST") == 1


@pytest.mark.parametrize("status", [500, 502, 503, 0])
def test_an_error_that_made_nothing_is_reported_and_not_sent_again(server: GitHubServer, status: int) -> None:
    server.script = [Misfortune("POST", status, "boom")]
    with pytest.raises(ForgeUnavailable) as caught:
        forge(server).open_or_adopt(DRAFT)
    assert caught.value.fault_class is FaultClass.TRANSIENT
    assert server.count("POST") == 1
    assert forge(server).open_or_adopt(DRAFT).adopted is False


def test_one_that_somebody_else_made_between_look_and_create_is_adopted(server: GitHubServer) -> None:
    with server.state:
        server.add("team/app", {"head": DRAFT.head_branch, "base": "main", "title": "theirs"})
    server.listed_late = 2
    opened = forge(server).open_or_adopt(DRAFT)
    assert (opened.number, opened.adopted, opened.title) == (1, True, "theirs")


def test_ten_at_once_open_one(server: GitHubServer) -> None:
    with ThreadPoolExecutor(10) as pool:
        opened = list(pool.map(lambda _: forge(server, timeout_s=10).open_or_adopt(DRAFT), range(10)))
    assert {one.number for one in opened} == {1}
    assert sum(not one.adopted for one in opened) == 1
    assert len(server.pulls) == 1


def test_a_wrong_token_is_a_matter_of_configuration(server: GitHubServer) -> None:
    with pytest.raises(ForgeAuth) as caught:
        forge(server, token="ghp_wrongwrongwrong").open_or_adopt(DRAFT)
    assert caught.value.fault_class is FaultClass.CONFIGURATION
    assert "ghp_" not in str(caught.value.as_dict())
    with pytest.raises(ForgeAuth):
        forge(server, token="").open_or_adopt(DRAFT)


@pytest.mark.parametrize("message", ["Resource not accessible by personal access token", "Must have admin rights"])
def test_a_token_that_may_not_is_a_matter_of_configuration(server: GitHubServer, message: str) -> None:
    server.script = [Misfortune("POST", 403, message)]
    with pytest.raises(ForgeAuth, match=message):
        forge(server).open_or_adopt(DRAFT)


def test_a_repository_that_is_hidden_or_missing_says_so(server: GitHubServer) -> None:
    with pytest.raises(ForgeAuth, match="404"):
        forge(server).open_or_adopt(replace(DRAFT, repository="team/other"))


@pytest.mark.parametrize(
    ("misfortune", "wait"),
    [
        (
            Misfortune("GET", 403, "API rate limit exceeded for user", headers={"X-RateLimit-Remaining": "0"}),
            None,
        ),
        (Misfortune("GET", 429, "slow down", headers={"Retry-After": "17"}), 17),
        (
            Misfortune("POST", 403, "You have exceeded a secondary rate limit.", headers={"Retry-After": "60"}),
            60,
        ),
        (
            Misfortune("POST", 403, "API rate limit exceeded", headers={"X-RateLimit-Reset": "99999999999"}),
            3600,
        ),
    ],
)
def test_a_limit_of_rate_is_told_with_the_wait_and_not_waited_for(
    server: GitHubServer, misfortune: Misfortune, wait: int | None
) -> None:
    server.script = [misfortune]
    started = time.monotonic()
    with pytest.raises(ForgeRateLimited) as caught:
        forge(server).open_or_adopt(DRAFT)
    assert time.monotonic() - started < 2
    assert caught.value.facts["retry_after_s"] == wait
    assert caught.value.fault_class is FaultClass.TRANSIENT
    assert server.pulls == []


def test_a_refusal_comes_with_the_forges_reason(server: GitHubServer) -> None:
    with pytest.raises(ForgeRejected, match="invalid") as caught:
        forge(server).open_or_adopt(replace(DRAFT, base_branch="nope"))
    assert caught.value.fault_class is FaultClass.PERMANENT


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"a": 1}', b'"x"', b"17", b"null", b"\xff\xfe", b"[1, 2]"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_github_is_unavailable(server: GitHubServer, method: str, body: bytes) -> None:
    server.script = [Misfortune(method, 200, body=body, path="/pulls") for _ in range(2)]
    if method == "GET" and body in {b"[]", b"null"}:  # an empty listing is an answer
        assert forge(server).open_or_adopt(DRAFT).number == 1
        return
    with pytest.raises(ForgeUnavailable):
        forge(server).open_or_adopt(DRAFT)


def test_a_forge_that_hangs_or_is_not_there_is_unavailable(server: GitHubServer) -> None:
    server.script = [Misfortune("GET", hang=True)]
    with pytest.raises(ForgeUnavailable):
        forge(server).open_or_adopt(DRAFT)
    with github_server(TOKEN) as gone:
        pass
    with pytest.raises(ForgeUnavailable):
        GitHubForge(base_url=gone.url, token=TOKEN, timeout_s=1).open_or_adopt(DRAFT)


def test_long_titles_and_bodies_are_cut_to_what_github_takes(server: GitHubServer) -> None:
    forge(server).open_or_adopt(replace(DRAFT, title="x\n" * 500, body="y" * 100_000))
    assert len(server.pulls[0]["title"]) <= 256
    assert "\n" not in server.pulls[0]["title"]
    assert len(server.pulls[0]["body"]) <= 65_536


@pytest.mark.parametrize("name", ["", "app", "../../user", "team/app/issues", "team/app?x", "a b/c"])
def test_a_repository_name_cannot_become_another_request(server: GitHubServer, name: str) -> None:
    with pytest.raises(ForgeRejected):
        forge(server).open_or_adopt(replace(DRAFT, repository=name))
    assert server.asked == []


def test_the_token_is_in_no_text(server: GitHubServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    server.script = [Misfortune("POST", 500, f"boom {TOKEN}")]
    with pytest.raises(ForgeUnavailable) as caught:
        forge(server).open_or_adopt(DRAFT)
    assert TOKEN not in str(caught.value.as_dict())
    assert TOKEN not in repr(forge(server))
    assert TOKEN not in caplog.text.replace(f"boom {TOKEN}", "")
