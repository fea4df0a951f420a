"""How work crosses the border of a sandbox: out as one parentless commit, back in as a checked bundle.

What comes in is hostile: it is unpacked in a quarantine, checked there, and only then moved into the vault.
Only its tree is used; its commit, refs, authors and messages are thrown away.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from events.faults import Fault
from operations.coding import tree_rules
from operations.coding.git_faults import ContentRefused, GitMissing, NoSpace, TooBig, VaultBusy
from operations.coding.host_git import run
from operations.coding.limits import LIMITS, Limits
from operations.coding.vault import Vault, base_commit

REF = "refs/heads/main"  # the one ref of a bundle, both ways
_HEADER_LIMIT = 4096

# git's own checks that only inform by default (git-fsck(1), "FSCK MESSAGES").
_STRICTER = "badFilemode=error,hasDotgit=error,hasDotdot=error,hasDot=error,nulInCommit=error"
_OURS = (ContentRefused, TooBig, NoSpace, GitMissing, VaultBusy)


def bundle_of(*, vault: Vault, tree: str, limits: Limits = LIMITS) -> bytes:
    """A complete bundle of ``tree`` as a commit without parents: no history leaves with it."""
    return bundle_of_commits(vault=vault, refs={REF: base_commit(vault=vault, tree=tree)}, limits=limits)


def bundle_of_commits(*, vault: Vault, refs: Mapping[str, str], limits: Limits = LIMITS) -> bytes:
    """A complete bundle of these commits, ref → commit, with all that they build on."""
    pack = io.BytesIO()
    run(
        vault.path, "pack-objects", "--revs", "--stdout", "--quiet", "--delta-base-offset",
        doing="Packing the checkout", stdin="".join(f"{commit}\n" for commit in refs.values()).encode(), sink=pack,
        limit_bytes=limits.fetch_bytes, timeout_s=limits.fetch_timeout_s,
    )  # fmt: skip
    named = "".join(f"{commit} {ref}\n" for ref, commit in refs.items())
    return f"# v2 git bundle\n{named}\n".encode() + pack.getvalue()


def take_in(*, vault: Vault, bundle: bytes, base_tree: str, limits: Limits = LIMITS) -> str:
    """Let a sandbox's bundle into the vault, if it keeps the rules; returns the tree it carries.

    1. the header names our base commit and one ref, nothing else; 2. the pack is unpacked in a quarantine,
    with git's strict checks; 3. all that the new commit needs is there; 4. what differs from ``base_tree``
    keeps :mod:`operations.coding.tree_rules`; 5. the packs move into the vault.
    """
    if len(bundle) > limits.bundle_bytes:
        raise TooBig(f"The bundle is {len(bundle)} bytes", limit_bytes=limits.bundle_bytes)
    base = base_commit(vault=vault, tree=base_tree)
    commit, pack = _open_header(bundle, base=base)
    _check_count(pack, limits)
    # Beneath objects/: the same file system as the vault's packs, and a name that git never looks at.
    quarantine = Path(tempfile.mkdtemp(prefix="incoming-", dir=vault.path / "objects"))
    seen = {
        "GIT_OBJECT_DIRECTORY": str(quarantine),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(vault.path / "objects"),
    }
    try:
        _unpack(vault, pack, quarantine, seen, limits)
        tree = _tree_of_new_commit(vault, commit, base, seen)
        tree_rules.check(vault=vault, base_tree=base_tree, tree=tree, limits=limits, quarantine=seen)
        _move_in(quarantine, vault)
    except _OURS:
        raise
    except Fault as fault:
        # Whatever git has to say about a stranger's objects, it is the objects that are refused.
        raise ContentRefused(fault.detail) from fault
    finally:
        shutil.rmtree(quarantine, ignore_errors=True)
    return tree


def _unpack(vault: Vault, pack: bytes, quarantine: Path, seen: dict[str, str], limits: Limits) -> None:
    run(
        vault.path,
        *(
            "index-pack",
            "--stdin",
            f"--strict={_STRICTER}",
            "--fix-thin",
            f"--max-input-size={limits.bundle_bytes}",
        ),
        doing="Unpacking the bundle",
        stdin=pack,
        environment=seen,
        timeout_s=limits.fetch_timeout_s,
        grown=lambda: _size(quarantine) > 2 * limits.bundle_bytes,
    )


def _open_header(bundle: bytes, *, base: str) -> tuple[str, bytes]:
    end = bundle.find(b"\n\n", 0, _HEADER_LIMIT)
    if end < 0 or not bundle.startswith((b"# v2 git bundle\n", b"# v3 git bundle\n")):
        raise ContentRefused("What the sandbox handed over is not a git bundle")
    lines = bundle[:end].decode("utf-8", "replace").split("\n")[1:]
    lines = [line for line in lines if line != "@object-format=sha1"]
    needed = [line[1:].split(" ")[0] for line in lines if line.startswith("-")]
    refs = [line for line in lines if not line.startswith("-")]
    match = re.fullmatch(rf"([0-9a-f]{{40}}) {REF}", refs[0]) if len(refs) == 1 else None
    if needed != [base] or match is None:
        raise ContentRefused("The bundle does not build on the commit that the sandbox was given")
    return match.group(1), bundle[end + 2 :]


def _check_count(pack: bytes, limits: Limits) -> None:
    if pack[:4] != b"PACK" or len(pack) < 12:
        raise ContentRefused("The bundle holds no pack")
    count = int.from_bytes(pack[8:12], "big")
    if count > limits.new_objects:
        raise TooBig(f"The bundle holds {count} objects", limit=limits.new_objects)


def _tree_of_new_commit(vault: Vault, commit: str, base: str, seen: dict[str, str]) -> str:
    raw = run(
        vault.path,
        "cat-file",
        "commit",
        commit,
        doing="Reading the bundle",
        environment=seen,
        limit_bytes=1_000_000,
    ).text()
    head = raw.split("\n\n", 1)[0].splitlines()
    parents = [line for line in head if line.startswith("parent ")]
    tree = re.fullmatch(r"tree ([0-9a-f]{40})", head[0]) if head else None
    if tree is None or parents != [f"parent {base}"]:
        raise ContentRefused("The bundle's commit does not build on the commit that the sandbox was given")
    run(
        vault.path, "rev-list", "--objects", "--quiet", commit, f"^{base}",
        doing="Checking that nothing is missing", environment=seen,
    )  # fmt: skip
    return tree.group(1)


def _size(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue  # git renames its temporary files while we look
    return total


def _move_in(quarantine: Path, vault: Vault) -> None:
    packs = vault.path / "objects" / "pack"
    packs.mkdir(exist_ok=True)
    for suffix in (".rev", ".pack", ".idx"):  # the index last: git uses a pack as soon as it sees its index
        for path in quarantine.glob(f"pack/pack-*{suffix}"):
            os.replace(path, packs / path.name)
