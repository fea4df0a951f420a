"""What differs between two trees of a vault: names, counts, text; and single files out of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from operations.coding.git_faults import ContentRefused, TooBig
from operations.coding.host_git import run
from operations.coding.limits import LIMITS, Limits
from operations.coding.vault import Vault, object_id


@dataclass(frozen=True, slots=True)
class Entry:
    """One path that differs. ``status`` is A, M, D or T; ``mode`` and ``oid`` are those of the new side."""

    raw_path: bytes
    status: str
    mode_before: str
    mode: str
    oid_before: str
    oid: str

    @property
    def path(self) -> str:
        """The path for people; bytes that are not UTF-8 are escaped."""
        return self.raw_path.decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed file. Binary files have no line counts. Renames appear as D and A: gates see both ends."""

    path: str
    status: str
    mode_before: str
    mode: str
    insertions: int
    deletions: int
    binary: bool


@dataclass(frozen=True, slots=True)
class Diff:
    """The step between two trees; ``text`` is a unified diff, cut at the limit when ``truncated``."""

    text: str
    truncated: bool
    changes: tuple[FileChange, ...]

    @property
    def files(self) -> int:
        return len(self.changes)

    @property
    def insertions(self) -> int:
        return sum(change.insertions for change in self.changes)

    @property
    def deletions(self) -> int:
        return sum(change.deletions for change in self.changes)

    def shortened(self, limit: int) -> Diff:
        """The same with at most ``limit`` characters of text."""
        return self if len(self.text) <= limit else Diff(self.text[:limit], truncated=True, changes=self.changes)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form that :meth:`from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Diff:
        """Read back what :meth:`as_dict` made."""
        changes = tuple(FileChange(**change) for change in document["changes"])
        return cls(document["text"], truncated=document["truncated"], changes=changes)

    def names(self, status: str) -> tuple[str, ...]:
        """Paths with this status: A, M, D or T."""
        return tuple(change.path for change in self.changes if change.status == status)


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file of a tree; ``size`` in bytes, 0 for a submodule's link."""

    path: str
    mode: str
    oid: str
    size: int


_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color")


def diff(*, vault: Vault, base_tree: str, tree: str, limits: Limits = LIMITS) -> Diff:
    """What ``tree`` changes on ``base_tree``."""
    two = (object_id(base_tree), object_id(tree))
    text = run(
        vault.path, "diff-tree", "-r", "-p", "--full-index", *_PLAIN, *two,
        doing="Comparing trees", limit_bytes=limits.diff_bytes, cut_is_fine=True,
    )  # fmt: skip
    counts = run(vault.path, "diff-tree", "-r", "-z", "--numstat", *_PLAIN, *two, doing="Counting lines").stdout
    lines: dict[bytes, tuple[bytes, bytes]] = {}
    for record in counts.split(b"\0")[:-1]:
        added, removed, path = record.split(b"\t", 2)
        lines[path] = (added, removed)
    changes = []
    for entry in entries_between(vault=vault, base_tree=base_tree, tree=tree):
        added, removed = lines.get(entry.raw_path, (b"0", b"0"))
        binary = added == b"-"
        numbers = (0, 0) if binary else (int(added), int(removed))
        changes.append(FileChange(entry.path, entry.status, entry.mode_before, entry.mode, *numbers, binary))
    return Diff(text.stdout.decode("utf-8", "replace"), text.cut, tuple(changes))


def entries_between(
    *, vault: Vault, base_tree: str, tree: str, environment: Mapping[str, str] | None = None
) -> list[Entry]:
    """The paths that differ, in git's order, without rename detection."""
    raw = run(
        vault.path, "diff-tree", "-r", "-z", "--raw", "--full-index", *_PLAIN,
        object_id(base_tree), object_id(tree), doing="Comparing trees", environment=environment,
    ).stdout  # fmt: skip
    fields = raw.split(b"\0")[:-1]
    entries = []
    for facts, path in zip(fields[::2], fields[1::2], strict=True):
        before, after, oid_before, oid, status = facts.decode("ascii").removeprefix(":").split(" ")
        entries.append(Entry(path, status[:1], before, after, oid_before, oid))
    return entries


def list_files(*, vault: Vault, tree: str, limits: Limits = LIMITS) -> tuple[TreeFile, ...]:
    """All files of a tree, in git's order; ``git.too_big`` for a tree past the limits."""
    raw = run(
        vault.path, "ls-tree", "-r", "-l", "-z", "--full-tree", object_id(tree),
        doing="Listing a tree", limit_bytes=limits.tree_entries * 300,
    ).stdout  # fmt: skip
    files = []
    for record in raw.split(b"\0")[:-1]:
        facts, _, path = record.partition(b"\t")
        mode, _, oid, size = facts.decode("ascii").split()
        files.append(TreeFile(path.decode("utf-8", "backslashreplace"), mode, oid, int(size) if size != "-" else 0))
    total = sum(file.size for file in files)
    if len(files) > limits.tree_entries or total > limits.tree_bytes:
        raise TooBig(
            f"The tree holds {len(files)} files of {total} bytes",
            limit_files=limits.tree_entries,
            limit_bytes=limits.tree_bytes,
        )
    return tuple(files)


def names_at_top(*, vault: Vault, tree: str) -> frozenset[str]:
    """What lies in the top directory of a tree."""
    raw = run(vault.path, "ls-tree", "-z", "--name-only", "--full-tree", object_id(tree), doing="Listing a tree").stdout
    return frozenset(name.decode("utf-8", "backslashreplace") for name in raw.split(b"\0")[:-1])


def read_blob(*, vault: Vault, tree: str, path: str, limit_bytes: int = 2_000_000) -> bytes | None:
    """The bytes of one file of a tree, or None where the tree has no file of that name."""
    if "\0" in path:
        raise ContentRefused("A path holds a NUL byte")
    listed = run(
        vault.path,
        "ls-tree",
        "-l",
        "-z",
        "--full-tree",
        object_id(tree),
        "--",
        path,
        doing="Looking up a file",
    ).stdout
    for record in listed.split(b"\0")[:-1]:
        facts, _, found = record.partition(b"\t")
        _, kind, oid, size = facts.decode("ascii").split()
        if kind == "blob" and found == path.encode("utf-8", "surrogateescape"):
            if int(size) > limit_bytes:
                raise TooBig(f"{path!r} is {size} bytes", limit_bytes=limit_bytes)
            return run(vault.path, "cat-file", "blob", oid, doing="Reading a file", limit_bytes=limit_bytes).stdout
    return None
