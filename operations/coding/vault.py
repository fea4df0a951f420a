"""The vault: one bare repository per project on the host side, the only place where the host runs git.

Base branches come in shallow, work in progress is kept by refs of its operation
(``refs/moorage/<operation>/…``), commits are made here and pushed from here. Every function may run
twice, and at once with others.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings

from operations.coding.git_faults import ContentRefused, VaultBusy
from operations.coding.host_git import Ran, run

OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# One author, one moment and one text for all: the same tree always becomes the same base commit.
_BASE_MESSAGE = b"Base of this work\n"


@dataclass(frozen=True, slots=True)
class Vault:
    """A project's bare repository; ``path`` lies outside of every workspace."""

    path: Path


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit says it is by."""

    name: str
    email: str


MOORAGE = Author("Moorage", "moorage@localhost")


def open_vault(*, root: Path, project_id: UUID | str) -> Vault:
    """The project's vault beneath ``root`` (``<data>/vaults``), created when it is not there yet."""
    name = str(UUID(str(project_id)))
    vault = Vault(root.absolute() / f"{name}.git")
    if (vault.path / "HEAD").is_file() and (vault.path / "objects" / "info").is_dir():  # made last by git
        return vault
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(vault):
        run(
            vault.path,
            "init",
            "--bare",
            "--quiet",
            "--template=",
            str(vault.path),
            doing="Creating the vault",
        )
    return vault


def of_project(project_id: UUID | str) -> Vault:
    """The project's vault on this host, created when it is not there yet: for stages, which fill it."""
    return open_vault(root=Path(settings.DATA) / "vaults", project_id=project_id)


def existing(project_id: UUID | str) -> Vault | None:
    """The project's vault on this host; None when it has none. Looking makes none."""
    path = Path(settings.DATA).absolute() / "vaults" / f"{UUID(str(project_id))}.git"
    return Vault(path) if (path / "HEAD").is_file() else None


@contextlib.contextmanager
def locked(vault: Vault, *, timeout_s: float = 900.0) -> Iterator[None]:
    """Hold the vault against other fetches and tidying, in this process and in others."""
    path = vault.path.with_suffix(".lock")
    deadline = time.monotonic() + timeout_s
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise VaultBusy("Another operation holds the vault") from error
                time.sleep(0.05)
        yield  # closing the file releases the lock, also when the process is killed


def object_id(text: str) -> str:
    """``text`` if it is a full object name; anything else never reaches a git command line."""
    if not OBJECT_ID.fullmatch(text):
        raise ContentRefused(f"{text[:80]!r} is not a git object name")
    return text


def tree_of(vault: Vault, commit: str) -> str:
    """The tree of a commit in the vault."""
    return _git(
        vault, "rev-parse", "--verify", "--quiet", f"{object_id(commit)}^{{tree}}", doing="Reading a commit"
    ).text()


def has(vault: Vault, name: str) -> bool:
    """Whether the vault holds this object."""
    return _git(vault, "cat-file", "-e", object_id(name), doing="Looking for an object", codes=(0, 1, 128)).code == 0


def base_commit(*, vault: Vault, tree: str) -> str:
    """The parentless commit that stands for ``tree`` in a sandbox: same tree, same commit."""
    return commit(
        vault=vault,
        tree=tree,
        parents=(),
        message=_BASE_MESSAGE.decode(),
        author=MOORAGE,
        when=datetime(2020, 1, 1, tzinfo=UTC),
    )


def commit(*, vault: Vault, tree: str, parents: tuple[str, ...], message: str, author: Author, when: datetime) -> str:
    """Commit ``tree`` on ``parents``; the same arguments give the same commit. Returns its name."""
    stamp = f"@{int(when.timestamp())} +0000"
    name, email = _ident(author.name) or "Moorage", _ident(author.email) or "moorage@localhost"
    people = {
        f"GIT_{role}_{field}": value
        for role in ("AUTHOR", "COMMITTER")
        for field, value in (("NAME", name), ("EMAIL", email), ("DATE", stamp))
    }
    above = [word for parent in parents for word in ("-p", object_id(parent))]
    text = message.replace("\0", "").encode("utf-8", "replace").rstrip() + b"\n"
    return _git(
        vault,
        "commit-tree",
        object_id(tree),
        *above,
        "-F",
        "-",
        doing="Committing",
        stdin=text,
        environment=people,
    ).text()


def preserve(*, vault: Vault, name: str, operation_id: UUID | str, label: str) -> str:
    """Keep a tree or commit alive as ``refs/moorage/<operation>/<label>`` (``turn-7``); returns the ref."""
    ref = ref_of(operation_id, label)
    _git(vault, "update-ref", ref, object_id(name), doing="Keeping work in progress")
    return ref


def refs(*, vault: Vault, operation_id: UUID | str) -> dict[str, str]:
    """What is kept for an operation: label → object name."""
    prefix = ref_of(operation_id, "")
    lines = (
        _git(vault, "for-each-ref", "--format=%(objectname) %(refname)", prefix, doing="Listing refs")
        .text()
        .splitlines()
    )
    return {ref.removeprefix(prefix): name for name, _, ref in (line.partition(" ") for line in lines)}


def keepers(vault: Vault) -> set[UUID]:
    """The operations of which the vault keeps anything, by one look."""
    listed = _git(vault, "for-each-ref", "--format=%(refname)", "refs/moorage/", doing="Listing refs").text()
    found = set()
    for line in listed.splitlines():
        with contextlib.suppress(ValueError):  # a ref of nobody's
            found.add(UUID(line.split("/")[2]))
    return found


def forget(*, vault: Vault, operation_id: UUID | str) -> None:
    """Drop all that is kept for an operation. Forgetting twice is fine."""
    prefix = ref_of(operation_id, "")
    lines = "".join(f"delete {prefix}{label}\n" for label in refs(vault=vault, operation_id=operation_id))
    if lines:
        _git(vault, "update-ref", "--stdin", doing="Dropping refs", stdin=lines.encode())


def tidy(*, vault: Vault, now: datetime) -> None:
    """Repack, drop what no ref has held for two weeks, and what a killed worker left lying for an hour."""
    with locked(vault):
        run(vault.path, "gc", "--quiet", "--prune=2.weeks.ago", doing="Tidying the vault", timeout_s=900)
    left = [*(vault.path / "objects").glob("incoming-*"), *vault.path.parent.glob(".login-*")]
    for path in left:
        with contextlib.suppress(FileNotFoundError):  # its owner is alive, and done
            if now.timestamp() - path.stat().st_mtime > 3600:
                shutil.rmtree(path)


def ref_of(operation_id: UUID | str, label: str) -> str:
    """The ref under which something of an operation is kept; with an empty label what all of them begin with."""
    if label and not _REF_PART.fullmatch(label):
        raise ContentRefused(f"{label[:80]!r} cannot be part of a ref")
    return f"refs/moorage/{UUID(str(operation_id))}/{label}"


def _ident(text: str) -> str:
    # git silently drops these itself at the ends only; inside they would end the field.
    return re.sub(r"[<>\x00-\x1f\x7f]", " ", text).strip(" .,:;\"'\\")[:100]


def _git(vault: Vault, *arguments: str, doing: str, **options: object) -> Ran:
    return run(vault.path, *arguments, doing=doing, **options)  # type: ignore[arg-type]
