"""What a hostile workspace can do to the host: nothing. Its traps may go off inside the sandbox only."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from events.faults import Fault
from operations.coding.bundles import REF, take_in
from operations.coding.changes import diff, list_files, read_blob
from operations.coding.git_faults import ContentRefused
from operations.coding.limits import Limits
from operations.coding.repository import checkout, snapshot
from operations.coding.vault import Vault, base_commit
from resources.sandboxes.protocol import Command
from tests.fakes.plain_sandbox import PlainSandbox

from .conftest import git

TreeFrom = Callable[[dict[str, bytes]], str]


@pytest.fixture
def base(tree_from: TreeFrom) -> str:
    return tree_from({"a.txt": b"one\n", "src/b.py": b"x = 1\n"})


def set_traps(place: Path, marker: Path) -> None:
    """Everything in a workspace that makes git run a program."""
    trap = place.parent / "trap.sh"
    trap.write_text(f'#!/bin/sh\necho "$0 $PPID" >> {marker}\ncat\n')
    trap.chmod(0o755)
    hooks = place / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-checkout", "post-index-change", "reference-transaction", "pre-push",
                 "post-merge", "pre-auto-gc", "update", "post-update", "fsmonitor-watchman"):  # fmt: skip
        shutil.copy(trap, hooks / hook)
    (place / ".git" / "included").write_text(f"[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n")
    (place / ".git" / "config").write_text(
        f"""[core]
\trepositoryformatversion = 0
\thooksPath = {hooks}
\tfsmonitor = {trap}
\tsshCommand = {trap}
\taskPass = {trap}
\tpager = {trap}
\teditor = {trap}
\tgitProxy = {trap}
\talternateRefsCommand = {trap}
\tattributesFile = {place}/.gitattributes
\tworktree = /
[includeIf "gitdir:/"]
\tpath = included
[alias]
\tstatus = !{trap}
\tadd = !{trap}
[filter "evil"]
\tclean = {trap}
\tsmudge = {trap}
\tprocess = {trap}
\trequired = true
[diff "evil"]
\ttextconv = {trap}
\tcommand = {trap}
[diff]
\texternal = {trap}
[merge "evil"]
\tdriver = {trap}
[gpg]
\tprogram = {trap}
[uploadpack]
\tpackObjectsHook = {trap}
[credential]
\thelper = !{trap}
[remote "origin"]
\turl = ext::{trap}
\tuploadpack = {trap}
"""
    )
    (place / ".gitattributes").write_text("* filter=evil diff=evil merge=evil ident\n")
    (place / ".gitmodules").write_text('[submodule "m"]\n\tpath = m\n\turl = ./m\n\tupdate = none\n')
    alternates = place / ".git" / "objects" / "info"
    alternates.mkdir(parents=True, exist_ok=True)
    (alternates / "alternates").write_text(f"{place.parent}/elsewhere\n")
    (place / "nested").mkdir()
    (place / "nested" / ".git").write_text(f"gitdir: {place}/.git\n")


def test_no_trap_of_a_workspace_runs_on_either_side(
    sandbox: PlainSandbox, vault: Vault, base: str, tmp_path: Path
) -> None:
    place, marker = sandbox.workspace / "checkout", tmp_path / "marker"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    set_traps(place, marker)
    (place / "a.txt").write_text("two\n")
    git(
        tmp_path, "config", "--file", str(place / ".git" / "config"), "--get", "core.fsmonitor"
    )  # the traps can be read
    subprocess.run(["git", "status"], cwd=place, capture_output=True, check=False)
    assert marker.exists(), "the traps are not armed: this test would prove nothing"
    marker.unlink()

    # A file that says it is a repository of its own is the first trap: it is refused by name.
    with pytest.raises(Fault) as caught:
        snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base)
    assert "nested" in caught.value.detail
    shutil.rmtree(place / "nested")

    tree = snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base)
    found = diff(vault=vault, base_tree=base, tree=tree)
    read_blob(vault=vault, tree=tree, path="a.txt")
    fresh = sandbox.workspace / "fresh"
    checkout(sandbox=sandbox, vault=vault, tree=tree, directory=fresh)

    assert found.names("M") == ("a.txt",)
    assert "+two" in found.text
    assert not marker.exists(), marker.read_text()


def test_the_host_runs_nothing_in_the_workspace_itself(
    sandbox: PlainSandbox, vault: Vault, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The host's git goes through this shim, the sandbox's does not; it writes down where and on what it ran.
    real = shutil.which("git")
    shim, log = tmp_path / "shim", tmp_path / "log"
    shim.mkdir()
    (shim / "git").write_text(f'#!/bin/sh\necho "$PWD $*" >> {log}\nexec {real} "$@"\n')
    (shim / "git").chmod(0o755)
    host_path = f"{shim}:{os.environ['PATH']}"
    plain_path = os.environ["PATH"]
    sandboxed = sandbox.run

    def with_plain_path(command: Command, **more: object) -> object:
        monkeypatch.setenv("PATH", plain_path)
        try:
            return sandboxed(command, **more)  # type: ignore[arg-type]
        finally:
            monkeypatch.setenv("PATH", host_path)

    sandbox.run = with_plain_path  # type: ignore[method-assign,assignment]
    monkeypatch.setenv("PATH", host_path)
    place = sandbox.workspace / "checkout"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    (place / "new").write_text("x")
    tree = snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base)
    diff(vault=vault, base_tree=base, tree=tree)

    ran = log.read_text().splitlines()
    assert len(ran) > 5
    assert not [line for line in ran if str(sandbox.workspace) in line]


def test_a_link_on_the_desk_cannot_redirect_what_the_host_writes(
    sandbox: PlainSandbox, vault: Vault, base: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = sandbox.workspace / "checkout"
    (sandbox.workspace / ".moorage").symlink_to(outside)
    with pytest.raises(Fault):
        checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "missing", "giant"])
def test_what_the_sandbox_leaves_instead_of_a_bundle_is_harmless(
    sandbox: PlainSandbox, vault: Vault, base: str, tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    place = sandbox.workspace / "checkout"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    plain, swapped = sandbox.run, list[Path]()

    def swap(command: Command, **more: object) -> object:
        outcome = plain(command, **more)  # type: ignore[arg-type]
        for path in (sandbox.workspace / ".moorage").glob("git-*.bundle"):
            swapped.append(path)
            path.unlink()
            if kind == "link":
                path.symlink_to(secret)
            elif kind == "fifo":
                os.mkfifo(path)
            elif kind == "giant":
                with path.open("wb") as file:
                    file.truncate(10**12)
        return outcome

    sandbox.run = swap  # type: ignore[method-assign,assignment]
    with pytest.raises(Fault) as caught:
        snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base)
    assert len(swapped) == 1
    assert list((sandbox.workspace / ".moorage").glob("git-*")) == []
    assert "secret" not in str(caught.value.as_dict()).replace(str(tmp_path), "")


class Forger:
    """Builds bundles that no honest git would."""

    def __init__(self, vault: Vault, base_tree: str, place: Path) -> None:
        self.base = base_commit(vault=vault, tree=base_tree)
        self.vault, self.place = vault, place
        place.mkdir()
        git(place, "init", "--quiet", "--bare")
        (place / "objects" / "info").mkdir(exist_ok=True)
        (place / "objects" / "info" / "alternates").write_text(f"{vault.path}/objects\n")

    def object(self, kind: str, content: bytes) -> str:
        """Any bytes as an object, unchecked."""
        raw = f"{kind} {len(content)}\0".encode() + content
        name = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        path = self.place / "objects" / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(raw))
        return name

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        return self.object("tree", b"".join(f"{m} ".encode() + n + b"\0" + bytes.fromhex(o) for m, n, o in entries))

    def commit(self, tree: str, parent: str | None = None) -> str:
        person = "A <a@b> 1577836800 +0000"
        text = f"tree {tree}\nparent {parent or self.base}\nauthor {person}\ncommitter {person}\n\nx\n"
        return self.object("commit", text.encode())

    def bundle(self, commit: str, *objects: str, header: str | None = None) -> bytes:
        done = subprocess.run(
            ["git", "pack-objects", "--stdout", "-q"],
            cwd=self.place, input="".join(f"{o}\n" for o in (commit, *objects)).encode(),
            capture_output=True, check=True,
        )  # fmt: skip
        head = header if header is not None else f"# v2 git bundle\n-{self.base} \n{commit} {REF}\n\n"
        return head.encode() + done.stdout


@pytest.fixture
def forger(vault: Vault, base: str, tmp_path: Path) -> Forger:
    return Forger(vault, base, tmp_path / "forge")


def objects_of(vault: Vault) -> str:
    return git(vault.path, "count-objects", "-v")


@pytest.mark.parametrize(
    "name",
    [b".git", b".GIT", b".Git", b"git~1", b"GIT~2", b".git ", b".git.", b".g\xe2\x80\x8cit", b".git\\x",
     b"..",
     b".", b"\xff\xfe", b"a\nb", b"x" * 2000],
)  # fmt: skip
@pytest.mark.parametrize("depth", [0, 1])
def test_forged_names_are_refused(vault: Vault, base: str, forger: Forger, name: bytes, depth: int) -> None:
    blob = forger.object("blob", b"[core]\n")
    inner = forger.tree(("100644", b"config", blob))
    tree = forger.tree(("40000", name, inner))
    extra = [blob, inner, tree]
    if depth:
        tree = forger.tree(("40000", b"lib", tree))
        extra.append(tree)
    before = objects_of(vault)
    with pytest.raises(ContentRefused):
        take_in(vault=vault, bundle=forger.bundle(forger.commit(tree), *extra), base_tree=base)
    assert objects_of(vault) == before


def test_forged_modes_kinds_and_gaps_are_refused(vault: Vault, base: str, forger: Forger) -> None:
    blob = forger.object("blob", b"x")
    inner = forger.tree(("100644", b"f", blob))
    cases = {
        "gitlink": (forger.tree(("160000", b"sub", "1" * 40)), []),
        "odd mode": (forger.tree(("100600", b"f", blob)), [blob]),
        "device": (forger.tree(("60000", b"f", blob)), [blob]),
        "a tree as a file": (forger.tree(("100644", b"f", inner)), [inner, blob]),
        "a file as a tree": (forger.tree(("40000", b"f", blob)), [blob]),
        "twice": (forger.tree(("100644", b"f", blob), ("100644", b"f", blob)), [blob]),
        "unsorted": (forger.tree(("100644", b"z", blob), ("100644", b"a", blob)), [blob]),
        "a missing blob": (forger.tree(("100644", b"f", "2" * 40)), []),
        "a missing tree": ("3" * 40, []),
    }
    for what, (tree, extra) in cases.items():
        present = [] if what == "a missing tree" else [tree]
        with pytest.raises(ContentRefused):
            take_in(vault=vault, bundle=forger.bundle(forger.commit(tree), *present, *extra), base_tree=base)


def test_forged_headers_and_parents_are_refused(vault: Vault, base: str, forger: Forger) -> None:
    blob = forger.object("blob", b"x")
    tree = forger.tree(("100644", b"f", blob))
    commit = forger.commit(tree)
    whole = (tree, blob)
    stranger = forger.commit(tree, parent=commit)
    bundles = [
        b"",
        b"garbage",
        b"# v2 git bundle\n",
        b"# v2 git bundle\n\n",
        forger.bundle(commit, *whole)[:-30],
        forger.bundle(commit, *whole).replace(b"PACK", b"KCAP"),
        forger.bundle(commit, *whole) + b"trailing",
        forger.bundle(commit, *whole, header=f"# v2 git bundle\n{commit} {REF}\n\n"),
        forger.bundle(commit, *whole, header=f"# v2 git bundle\n-{commit}\n{commit} {REF}\n\n"),
        forger.bundle(commit, *whole, header=f"# v2 git bundle\n-{forger.base}\n{commit} refs/heads/../../x\n\n"),
        forger.bundle(commit, *whole, header=f"# v2 git bundle\n-{forger.base}\n{commit} {REF}\n{commit} HEAD\n\n"),
        forger.bundle(
            commit,
            *whole,
            header=f"# v3 git bundle\n@filter=blob:none\n-{forger.base}\n{commit} {REF}\n\n",
        ),
        forger.bundle(commit, *whole, header=f"# v2 git bundle\n-{forger.base}\n--help {REF}\n\n"),
        forger.bundle(tree, blob),
        forger.bundle(stranger, commit, *whole),
    ]
    before = objects_of(vault)
    for bundle in bundles:
        with pytest.raises(ContentRefused):
            take_in(vault=vault, bundle=bundle, base_tree=base)
    assert objects_of(vault) == before
    assert take_in(vault=vault, bundle=forger.bundle(commit, *whole), base_tree=base) == tree


def test_a_small_bundle_that_unfolds_to_a_giant_is_refused(vault: Vault, base: str, forger: Forger) -> None:
    blob = forger.object("blob", bytes(60_000_000))
    tree = forger.tree(("100644", b"zeros", blob))
    bundle = forger.bundle(forger.commit(tree), tree, blob)
    assert len(bundle) < 100_000
    with pytest.raises(Fault) as caught:
        take_in(vault=vault, bundle=bundle, base_tree=base, limits=Limits(blob_bytes=1_000_000))
    assert caught.value.code == "git.too_big"


def test_nothing_of_a_refused_bundle_stays(vault: Vault, base: str, forger: Forger) -> None:
    blob = forger.object("blob", b"x")
    tree = forger.tree(("100644", b".git", blob))
    with pytest.raises(ContentRefused):
        take_in(vault=vault, bundle=forger.bundle(forger.commit(tree), tree, blob), base_tree=base)
    assert list((vault.path / "objects").glob("incoming-*")) == []
    assert len(list_files(vault=vault, tree=base)) == 2
