"""The last way to save work: read a checkout file by file, without its git, without a sandbox, without writing there.

For a berth that is lost, broken or full. Nothing of the checkout runs or is configured: the host reads bytes beneath
one directory and makes the tree itself, in the vault. What cannot be read or let in is left as the base has it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import UUID

from events.faults import Fault
from operations.coding import changes, tree_rules
from operations.coding.changes import TreeFile
from operations.coding.host_git import run
from operations.coding.limits import LIMITS, Limits
from operations.coding.repository import is_never_taken
from operations.coding.vault import Vault, base_commit, object_id, ref_of, tree_of
from resources.files import Beneath, PathTooBig

_REGULAR = frozenset({"100644", "100755"})


@dataclass(frozen=True, slots=True)
class _Found:
    path: str
    mode: str
    content: bytes


def salvage(*, vault: Vault, directory: Path, base_tree: str, operation_id: UUID | str, limits: Limits = LIMITS) -> str:
    """The tree of what ``directory`` holds, as far as it can be read; ``base_tree`` when nothing is new.

    Other than a snapshot it also takes what a ``.gitignore`` leaves out: too much is better than too little.
    """
    base = {file.path: file for file in changes.list_files(vault=vault, tree=object_id(base_tree))}
    commit = base_commit(vault=vault, tree=base_tree)
    ref = ref_of(operation_id, f"salvage-{secrets.token_hex(8)}")
    with tempfile.TemporaryFile() as stream:
        stream.write(f"commit {ref}\ncommitter Moorage <moorage@localhost> 0 +0000\ndata 0\nfrom {commit}\n".encode())
        if not _write_changes(stream, Beneath(directory), base, limits):
            return base_tree
        try:
            run(vault.path, "fast-import", "--quiet", doing="Saving files", stdin=stream, timeout_s=300)
            made = run(vault.path, "rev-parse", "--verify", ref, doing="Saving files").text()
        finally:
            run(vault.path, "update-ref", "-d", ref, doing="Saving files")
    tree = tree_of(vault, made)
    tree_rules.check(vault=vault, base_tree=base_tree, tree=tree, limits=limits, quarantine={})
    return tree


def _write_changes(stream: IO[bytes], files: Beneath, base: dict[str, TreeFile], limits: Limits) -> int:
    """One line for each file that differs; returns how many do."""
    try:
        listed = files.files(limit=len(base) + limits.changed_files)
    except PathTooBig:  # flooded: what the project had before is what counts
        listed = [path for path in base if files.exists(path)]
    there = set(listed)
    count = room = 0
    for found in _readable(files, listed, base, limits):
        known = base.get(found.path)
        room += len(found.content)
        if known and known.mode == found.mode and known.oid == _blob_name(found.content):
            continue
        if count >= limits.changed_files or room > limits.bundle_bytes:
            break
        stream.write(b"M %s inline %s\n" % (found.mode.encode(), _quoted(found.path)))
        stream.write(b"data %d\n" % len(found.content))
        stream.write(found.content + b"\n")
        count += 1
    for path, known in base.items():
        if known.mode in _REGULAR and path not in there and _is_gone(files, path) and _is_allowed(path):
            stream.write(b"D %s\n" % _quoted(path))
            count += 1
    return count


def _readable(files: Beneath, listed: list[str], base: dict[str, TreeFile], limits: Limits) -> Iterator[_Found]:
    """What the project had before comes first: a flood of new files must not push it out."""
    for path in sorted(listed, key=lambda path: path not in base):
        if (path not in base and is_never_taken(path)) or not _is_allowed(path):
            continue
        try:
            with files.opened(path) as descriptor:
                executable = os.fstat(descriptor).st_mode & 0o100
            yield _Found(path, "100755" if executable else "100644", files.read(path, limit_bytes=limits.blob_bytes))
        except (Fault, OSError):
            continue  # too big, unreadable, or swapped for something else: it stays as the base has it


def _is_gone(files: Beneath, path: str) -> bool:
    """Whether nothing of that name is there: what merely cannot be read is not taken for deleted."""
    try:
        return not files.exists(path)
    except (Fault, OSError):
        return False


def _is_allowed(path: str) -> bool:
    try:
        tree_rules.check_name(os.fsencode(path))
    except Fault:
        return False
    return True


def _blob_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _quoted(path: str) -> bytes:
    return b'"' + os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
