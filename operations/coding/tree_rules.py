"""What may come out of a sandbox: the rules for the paths, modes and sizes that differ from the base tree."""

from __future__ import annotations

import posixpath
import re
import unicodedata

from operations.coding.changes import Entry, entries_between
from operations.coding.git_faults import ContentRefused, TooBig
from operations.coding.host_git import run
from operations.coding.limits import Limits
from operations.coding.vault import Vault

_MODES = frozenset({"100644", "100755", "120000"})
_GITLINK = "160000"
_SYMLINK = "120000"

# HFS+ ignores these in names, so that ".g\u200cit" is ".git" there (git's own list, utf8.c: next_hfs_char).
_IGNORED_BY_HFS = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_DOT_GIT = re.compile(r"(?:\.git|git~[0-9]+)(?:$|[:/\\])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check(*, vault: Vault, base_tree: str, tree: str, limits: Limits, quarantine: dict[str, str]) -> None:
    """Raise ``git.content_refused`` or ``git.too_big`` if the change to ``tree`` breaks a rule.

    ``quarantine`` is the environment in which the new objects can be seen.
    """
    entries = entries_between(vault=vault, base_tree=base_tree, tree=tree, environment=quarantine)
    if len(entries) > limits.changed_files:
        raise TooBig(f"The change touches {len(entries)} files", limit=limits.changed_files)
    arriving = [entry for entry in entries if entry.status != "D"]
    for entry in arriving:
        check_name(entry.raw_path)
        _check_mode(entry)
    _check_contents(vault, arriving, limits, quarantine)


def check_name(raw: bytes) -> None:
    """Raise ``git.content_refused`` for a path that no repository should have."""
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContentRefused(f"A file name is not UTF-8: {raw[:120]!r}") from error
    if _CONTROL.search(path) or len(raw) > 1000:
        raise ContentRefused(f"A file name holds control characters or is too long: {path[:120]!r}")
    for part in path.split("/"):
        plain = _IGNORED_BY_HFS.sub("", unicodedata.normalize("NFKC", part)).lower().rstrip(" .")
        if part in {"", ".", ".."} or _DOT_GIT.match(plain) or "\\" in part:
            raise ContentRefused(f"A file name that no repository should have: {path[:120]!r}")


def _check_mode(entry: Entry) -> None:
    if entry.mode == _GITLINK:
        raise ContentRefused(f"{entry.path!r} is a repository inside the repository; remove its .git, or ignore it")
    if entry.mode not in _MODES:
        raise ContentRefused(f"{entry.path!r} has the file mode {entry.mode}")


def _check_contents(vault: Vault, entries: list[Entry], limits: Limits, quarantine: dict[str, str]) -> None:
    if not entries:
        return
    names = "".join(f"{entry.oid}\n" for entry in entries).encode()
    lines = run(
        vault.path,
        "cat-file",
        "--batch-check",
        doing="Checking the change",
        stdin=names,
        environment=quarantine,
    ).text()
    for entry, line in zip(entries, lines.splitlines(), strict=True):
        _, kind, size = (*line.split(" "), "", "")[:3]
        if kind != "blob":
            raise ContentRefused(f"{entry.path!r} is not a file in the bundle")
        if int(size) > limits.blob_bytes:
            raise TooBig(f"{entry.path!r} is {int(size)} bytes", limit_bytes=limits.blob_bytes)
        if entry.mode == _SYMLINK:
            _check_link(vault, entry, int(size), quarantine)


def _check_link(vault: Vault, entry: Entry, size: int, quarantine: dict[str, str]) -> None:
    if size > 1000:
        raise ContentRefused(f"{entry.path!r} is a symbolic link with a target of {size} bytes")
    raw = run(vault.path, "cat-file", "blob", entry.oid, doing="Checking a link", environment=quarantine).stdout
    target = raw.decode("utf-8", "replace")
    landing = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), target))
    if target.startswith("/") or landing == ".." or landing.startswith("../") or "\0" in target:
        raise ContentRefused(f"{entry.path!r} is a symbolic link out of the repository")
