"""A look at a repository before work is requested: bounded, and saying what a stage would say."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from events.faults import Fault
from operations.coding import remote_look
from operations.coding.git_faults import BranchNotFound, RepositoryEmpty, RepositoryRefused, Unreachable

from .conftest import Upstream, git


@pytest.fixture
def allowed(upstream: Upstream, settings: Any) -> Upstream:
    settings.REPOSITORY_ROOTS = [upstream.bare.parent]
    return upstream


def test_the_branch_and_its_commit_are_told_and_nothing_is_kept(allowed: Upstream, settings: Any) -> None:
    commit = allowed.push({"a.py": b"1\n"})
    assert remote_look.look(url=str(allowed.bare)) == remote_look.Seen("main", commit)
    assert remote_look.look(url=str(allowed.bare), branch="main").commit == commit
    assert not (Path(settings.DATA) / "vaults").exists()


@pytest.mark.parametrize(
    ("branch", "fault", "words"),
    [("trunk", BranchNotFound, "it has main"), ("../x", BranchNotFound, "cannot be the name")],
)
def test_a_branch_that_is_not_there_is_said_with_those_that_are(
    allowed: Upstream, branch: str, fault: type[Fault], words: str
) -> None:
    allowed.push({"a.py": b"1\n"})
    with pytest.raises(fault, match=words):
        remote_look.look(url=str(allowed.bare), branch=branch)


def test_an_empty_repository_is_said(settings: Any, tmp_path: Path) -> None:
    settings.REPOSITORY_ROOTS = [tmp_path]
    git(tmp_path, "init", "--quiet", "--bare", str(tmp_path / "empty.git"))
    with pytest.raises(RepositoryEmpty):
        remote_look.look(url=str(tmp_path / "empty.git"))


@pytest.mark.parametrize("url", ["/etc", "file:///etc", "https://u:p@example.org/x.git", "ext::sh -c id", ""])
def test_what_is_not_allowed_is_not_asked(settings: Any, tmp_path: Path, url: str) -> None:
    settings.REPOSITORY_ROOTS = [tmp_path]
    with pytest.raises(RepositoryRefused):
        remote_look.look(url=url)


def test_a_remote_that_never_answers_holds_nobody_up(settings: Any) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        host = f"127.0.0.1:{deaf.getsockname()[1]}"
        settings.REPOSITORY_HOSTS = [host]
        began = time.monotonic()
        for _ in range(5):  # more than there are threads: those behind wait no longer either
            with pytest.raises(Unreachable, match="did not answer"):
                remote_look.look(url=f"http://{host}/x.git", patience_s=0.2)
        assert time.monotonic() - began < remote_look.PATIENCE_S
