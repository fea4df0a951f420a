"""The base branch comes in, our branch goes out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from events.faults import Fault, FaultClass
from operations.coding.changes import read_blob
from operations.coding.credentials import Credentials
from operations.coding.git_faults import (
    AuthFailed,
    BranchDiverged,
    BranchNotFound,
    PushRejected,
    RepositoryEmpty,
    RepositoryNotFound,
    RepositoryRefused,
    TooBig,
    Unreachable,
)
from operations.coding.limits import Limits
from operations.coding.remotes import Remote, check_url
from operations.coding.upstream import Base, fetch_base, move_branch, push
from operations.coding.vault import (
    MOORAGE,
    Vault,
    commit,
    forget,
    has,
    open_vault,
    preserve,
    refs,
    tidy,
)
from tests.fakes.git_server import git_server

from .conftest import Upstream, git

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN = "ghp_averysecrettoken0123456789"


def local(upstream: Upstream) -> Remote:
    return check_url(str(upstream.bare), local_roots=[upstream.bare.parent])


def fetch(vault: Vault, remote: Remote, branch: str | None = None, **more: object) -> Base:
    return fetch_base(vault=vault, remote=remote, branch=branch, operation_id=uuid4(), **more)  # type: ignore[arg-type]


def work_on(vault: Vault, base: Base, message: str = "Work") -> str:
    return commit(vault=vault, tree=base.tree, parents=(base.commit,), message=message, author=MOORAGE, when=WHEN)


def test_the_tip_of_the_main_branch_comes_in_without_history(upstream: Upstream, vault: Vault) -> None:
    first = upstream.push({"a": b"1"})
    tip = upstream.push({"a": b"2"})
    base = fetch(vault, local(upstream))
    assert (base.branch, base.commit) == ("main", tip)
    assert read_blob(vault=vault, tree=base.tree, path="a") == b"2"
    assert not has(vault, first)


@pytest.mark.parametrize("name", ["trunk", "feature/ünïcode", "release-1.0", "a/b/c"])
def test_the_base_branch_may_have_any_name(upstream: Upstream, vault: Vault, name: str) -> None:
    tip = upstream.push({"a": b"1"}, branch=name)
    assert fetch(vault, local(upstream), name).commit == tip


def test_the_remote_says_which_branch_is_its_main_one(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"}, branch="trunk")
    git(upstream.bare, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert fetch(vault, local(upstream)).branch == "trunk"


def test_a_missing_branch_is_named_with_those_there_are(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"}, branch="trunk")
    with pytest.raises(BranchNotFound, match="trunk") as caught:
        fetch(vault, local(upstream), "nope")
    assert caught.value.pointer == "/base_branch"
    with pytest.raises(BranchNotFound, match="trunk"):
        fetch(vault, local(upstream))  # HEAD names "main", which is not there


@pytest.mark.parametrize("name", ["--upload-pack=touch x", "a..b", "a b", "-x", "a:refs/heads/b", "*", "a.lock"])
def test_a_branch_name_never_becomes_anything_else(upstream: Upstream, vault: Vault, name: str) -> None:
    upstream.push({"a": b"1"})
    with pytest.raises(BranchNotFound):
        fetch(vault, local(upstream), name)


@pytest.mark.parametrize("branch", [None, "main"])
def test_an_empty_repository_says_so(upstream: Upstream, vault: Vault, branch: str | None) -> None:
    with pytest.raises(RepositoryEmpty):
        fetch(vault, local(upstream), branch)


def test_a_directory_that_is_no_repository_says_so(upstream: Upstream, vault: Vault) -> None:
    plain = upstream.bare.parent / "plain"
    plain.mkdir()
    with pytest.raises(RepositoryNotFound):
        fetch(vault, check_url(str(plain), local_roots=[plain.parent]))


def test_a_directory_that_became_a_link_is_refused(upstream: Upstream, vault: Vault, tmp_path: Path) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    upstream.bare.rename(tmp_path / "elsewhere")
    upstream.bare.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RepositoryRefused):
        fetch(vault, remote)


def test_a_shallow_remote_can_be_fetched_and_pushed_to(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    upstream.push({"a": b"2"})
    shallow = upstream.bare.parent / "shallow.git"
    git(upstream.bare.parent, "clone", "--quiet", "--bare", "--depth=1", upstream.bare.as_uri(), str(shallow))
    remote = check_url(str(shallow), local_roots=[shallow.parent])
    base = fetch(vault, remote)
    ours = work_on(vault, base)
    push(vault=vault, remote=remote, commit=ours, branch="moorage/x")
    assert git(shallow, "rev-parse", "moorage/x") == ours


def test_a_fetch_that_is_too_big_is_ended_and_leaves_nothing(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"big": os.urandom(30_000_000)})
    with pytest.raises(TooBig):
        fetch(vault, local(upstream), limits=Limits(fetch_bytes=100_000, tree_bytes=1_000_000))
    assert list((vault.path / "objects" / "pack").glob("tmp_*")) == []


def test_many_operations_fetch_from_one_moving_branch_at_once(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"0"})
    remote = local(upstream)
    with ThreadPoolExecutor(6) as pool:
        started = [pool.submit(fetch, vault, remote) for _ in range(6)]
        for number in range(3):
            upstream.push({"a": str(number).encode()})
        started += [pool.submit(fetch, vault, remote) for _ in range(6)]
        bases = [future.result() for future in started]
    assert all(has(vault, base.commit) and has(vault, base.tree) for base in bases)
    assert git(vault.path, "fsck", "--strict") == ""


def test_processes_open_one_vault_at_once(tmp_path: Path) -> None:
    project = str(uuid4())
    program = (
        "import sys, pathlib; from operations.coding.vault import open_vault;"
        "print(open_vault(root=pathlib.Path(sys.argv[1]), project_id=sys.argv[2]).path)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "vaults"), project]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0] * 4, said
    assert len({out for out, _ in said}) == 1


def test_the_same_work_is_the_same_commit(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    base = fetch(vault, local(upstream))
    assert work_on(vault, base) == work_on(vault, base)
    assert work_on(vault, base) != work_on(vault, base, "Other words")


def test_a_push_creates_the_branch_and_confirms_it_later(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    ours = work_on(vault, fetch(vault, remote))
    push(vault=vault, remote=remote, commit=ours, branch="moorage/x")
    push(vault=vault, remote=remote, commit=ours, branch="moorage/x")
    assert git(upstream.bare, "rev-parse", "refs/heads/moorage/x") == ours


def test_a_branch_with_another_commit_is_never_moved(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    base = fetch(vault, remote)
    git(upstream.bare, "branch", "moorage/x", base.commit)  # even though ours would be a fast-forward
    with pytest.raises(BranchDiverged):
        push(vault=vault, remote=remote, commit=work_on(vault, base), branch="moorage/x")
    assert git(upstream.bare, "rev-parse", "refs/heads/moorage/x") == base.commit


def test_of_two_pushes_at_once_one_wins_and_the_other_hears_it(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    base = fetch(vault, remote)
    commits = [work_on(vault, base, f"Work {n}") for n in range(4)]
    gate = threading.Barrier(4)

    def one(name: str) -> str:
        gate.wait()
        try:
            push(vault=vault, remote=remote, commit=name, branch="moorage/x")
        except BranchDiverged:
            return "lost"
        return name

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, commits))
    assert results.count("lost") == 3
    assert git(upstream.bare, "rev-parse", "refs/heads/moorage/x") in results


def test_a_branch_moves_forward_once(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    base = fetch(vault, remote)
    ours = work_on(vault, base)
    for _ in range(2):
        move_branch(vault=vault, remote=remote, branch="main", expected=base.commit, commit=ours)
    assert git(upstream.bare, "rev-parse", "main") == ours


def test_a_branch_that_moved_or_would_lose_commits_is_left_alone(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    base = fetch(vault, remote)
    ours, other = work_on(vault, base), work_on(vault, base, "Other")
    with pytest.raises(BranchDiverged, match="build on"):
        move_branch(vault=vault, remote=remote, branch="main", expected=other, commit=ours)
    tip = upstream.push({"a": b"2"})
    with pytest.raises(BranchDiverged, match="moved"):
        move_branch(vault=vault, remote=remote, branch="main", expected=base.commit, commit=ours)
    assert git(upstream.bare, "rev-parse", "main") == tip


def test_a_hook_of_the_remote_that_declines_is_a_rejection(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    remote = local(upstream)
    ours = work_on(vault, fetch(vault, remote))
    hook = upstream.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no work on sundays\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushRejected, match="sundays"):
        push(vault=vault, remote=remote, commit=ours, branch="moorage/x")


def test_work_in_progress_is_kept_listed_and_forgotten(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    base = fetch(vault, local(upstream))
    operation, other = uuid4(), uuid4()
    preserve(vault=vault, name=base.tree, operation_id=operation, label="turn-3")
    preserve(vault=vault, name=base.tree, operation_id=operation, label="turn-3")
    preserve(vault=vault, name=base.commit, operation_id=other, label="turn-1")
    tidy(vault=vault, now=datetime.now(UTC))
    assert refs(vault=vault, operation_id=operation) == {"turn-3": base.tree}
    forget(vault=vault, operation_id=operation)
    forget(vault=vault, operation_id=operation)
    assert refs(vault=vault, operation_id=operation) == {}
    assert refs(vault=vault, operation_id=other) == {"turn-1": base.commit}


def test_tidying_removes_what_a_killed_worker_left_and_nothing_younger(vault: Vault) -> None:
    old, young = vault.path.parent / ".login-old", vault.path.parent / ".login-young"
    half_taken = vault.path / "objects" / "incoming-old"
    for path in (old, young, half_taken):
        path.mkdir()
        (path / "token").write_text("x")
    for path in (old, half_taken):
        os.utime(path, (1, 1))
    tidy(vault=vault, now=datetime.now(UTC))
    assert not old.exists()
    assert not half_taken.exists()
    assert young.exists()


def test_a_label_cannot_leave_the_operations_refs(vault: Vault) -> None:
    for label in ("../../heads/main", "a/b", "-d", "x\ny"):
        with pytest.raises(Fault):
            preserve(vault=vault, name="1" * 40, operation_id=uuid4(), label=label)


def test_the_token_logs_in_and_is_found_nowhere(
    upstream: Upstream, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.push({"a": b"1"})
    git(upstream.bare, "config", "http.receivepack", "true")
    caplog.set_level("DEBUG")
    with git_server(upstream.bare.parent, TOKEN) as server:
        remote = check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host])
        login = Credentials(token=TOKEN, hosts=("127.0.0.1",))
        base = fetch(vault, remote, credentials=login)
        ours = work_on(vault, base)
        push(vault=vault, remote=remote, commit=ours, branch="moorage/x", credentials=login)
        assert server.logins
        assert set(server.logins) == {f"x-access-token:{TOKEN}"}
    assert git(upstream.bare, "rev-parse", "refs/heads/moorage/x") == ours
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(login)
    leaks = [p for p in vault.path.parent.rglob("*") if p.is_file() and TOKEN.encode() in p.read_bytes()]
    assert leaks == []
    assert [p.name for p in vault.path.parent.glob(".login*")] == []


def test_the_token_is_not_shown_to_another_host(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    with git_server(upstream.bare.parent, TOKEN) as server:
        remote = check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host])
        with pytest.raises(AuthFailed) as caught:
            fetch(vault, remote, credentials=Credentials(token=TOKEN, hosts=("git.example.org",)))
        assert server.logins == []
    assert TOKEN not in str(caught.value.as_dict())


def test_a_wrong_token_is_a_matter_of_configuration(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    with git_server(upstream.bare.parent, TOKEN) as server:
        remote = check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host])
        with pytest.raises(AuthFailed) as caught:
            fetch(vault, remote, credentials=Credentials(token="wrong", hosts=("127.0.0.1",)))
    assert caught.value.fault_class is FaultClass.CONFIGURATION


@pytest.mark.parametrize(
    ("status", "fault"),
    [(404, RepositoryNotFound), (500, Unreachable), (503, Unreachable), (403, AuthFailed)],
)
def test_what_the_server_answers_becomes_a_typed_fault(
    upstream: Upstream, vault: Vault, status: int, fault: type[Fault]
) -> None:
    with git_server(upstream.bare.parent) as server:
        server.status = status
        with pytest.raises(fault):
            fetch(vault, check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host]))


def test_a_redirect_is_not_followed(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    with git_server(upstream.bare.parent) as inner, git_server(upstream.bare.parent) as server:
        server.redirect = f"http://{inner.host}/remote.git/info/refs?service=git-upload-pack"
        with pytest.raises(Fault):
            fetch(vault, check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host]))
        assert inner.asked == []


def test_a_connection_that_breaks_after_the_push_was_taken_is_a_success(upstream: Upstream, vault: Vault) -> None:
    upstream.push({"a": b"1"})
    git(upstream.bare, "config", "http.receivepack", "true")
    with git_server(upstream.bare.parent) as server:
        remote = check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host])
        ours = work_on(vault, fetch(vault, remote))
        server.break_after_push = True
        push(vault=vault, remote=remote, commit=ours, branch="moorage/x")
    assert git(upstream.bare, "rev-parse", "refs/heads/moorage/x") == ours


def test_a_server_that_is_not_there_is_transient(upstream: Upstream, vault: Vault) -> None:
    with git_server(upstream.bare.parent) as server:
        remote = check_url(f"http://{server.host}/remote.git", allowed_hosts=[server.host])
    with pytest.raises(Unreachable) as caught:
        fetch(vault, remote)
    assert caught.value.fault_class is FaultClass.TRANSIENT


def test_a_server_that_never_answers_is_left_after_the_time_limit(upstream: Upstream, vault: Vault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        remote = check_url(f"http://{host}/remote.git", allowed_hosts=[host])
        started = time.monotonic()
        with pytest.raises(Unreachable):
            fetch(vault, remote, "main", limits=Limits(fetch_timeout_s=1.0))
        assert time.monotonic() - started < 10


def test_ssh_goes_to_the_checked_address_and_asks_for_the_key_of_the_name(
    upstream: Upstream, vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tip = upstream.push({"a": b"1"})
    log, programs = tmp_path / "log", tmp_path / "programs"
    programs.mkdir()
    # Stands in for the ssh program: writes down how it was called and runs the far side's command here.
    (programs / "ssh").write_text(
        f'#!/bin/sh\necho "$@" >> {log}\nfor last; do :; done\ncd {upstream.bare.parent} && exec sh -c "$last"\n'
    )
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    key = tmp_path / "a key; touch x"
    remote = check_url("git@git.example.org:remote.git", resolve=lambda host: ["93.184.215.14"])
    base = fetch(vault, remote, credentials=Credentials(ssh_key_file=key), resolve=lambda host: ["93.184.215.14"])
    assert base.commit == tip
    said = log.read_text()
    assert "-oHostName=93.184.215.14 -oHostKeyAlias=git.example.org" in said
    assert "-oStrictHostKeyChecking=yes" in said
    assert f"-i {key}" in said


def test_the_services_own_environment_does_not_reach_git(
    upstream: Upstream, vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upstream.push({"a": b"1"})
    seen = tmp_path / "seen"
    hook = upstream.bare / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nenv > {seen}\n")
    hook.chmod(0o755)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-shouldnotbeseen")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {tmp_path / 'pwned'}")
    remote = local(upstream)
    push(vault=vault, remote=remote, commit=work_on(vault, fetch(vault, remote)), branch="moorage/x")
    assert "OPENAI" not in seen.read_text()


def test_a_second_project_has_a_vault_of_its_own(tmp_path: Path) -> None:
    one, two = (open_vault(root=tmp_path, project_id=uuid4()) for _ in range(2))
    assert one.path != two.path
    with pytest.raises(ValueError, match="UUID"):
        open_vault(root=tmp_path, project_id="../../etc")
