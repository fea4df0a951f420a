"""How much a directory holds, counted by walking it, however its inhabitant tries to confuse the count."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from resources.beneath_open import open_beneath

MEGABYTE = 1 << 20
# What an ordinary user of the machine needs to go on: below it, commands in workspaces that nothing bounds are stopped.
HOST_RESERVE_MB = 256
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Usage:
    """Disk and files in use. ``over`` says in words which limit is passed; empty when none is."""

    used_mb: int
    files: int
    over: str = ""
    share: float = 0.0  # of what may be used, in bytes or in files, whichever is more


def of_mount(path: Path) -> Usage:
    """What the file system mounted at ``path`` holds: one system call, whatever is in it."""
    status = os.statvfs(path)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    files = status.f_files - status.f_ffree
    total = status.f_blocks * status.f_frsize
    share = max(used / max(total, 1), files / max(status.f_files, 1))
    over = ""
    if status.f_bavail * status.f_frsize < max(256 << 10, total // 200):
        over = f"the {total // MEGABYTE} MB of the workspace are used up"
    elif status.f_files and status.f_ffree < 16:
        over = f"the workspace holds as many files as it can ({files})"
    return Usage(used // MEGABYTE, files, over, share)


def of_tree(root: Path, *, limit_mb: int, limit_files: int) -> Usage:
    """What lies beneath ``root``, a sparse file for what it really takes; counting ends at the first limit passed.

    A file with several names counts once. What is nested too deep to be reached counts as over the limit.
    """
    free_mb = shutil.disk_usage(root).free // MEGABYTE
    if free_mb < HOST_RESERVE_MB:
        return Usage(0, 0, f"the host has {free_mb} MB of disk left")
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _Count(top, limit_mb=limit_mb, limit_files=limit_files).all()
    finally:
        os.close(top)


class _Count:
    """One walk: directories still to visit, and sums so far."""

    def __init__(self, top: int, *, limit_mb: int, limit_files: int) -> None:
        self._top, self._limit_mb, self._limit_files = top, limit_mb, limit_files
        self._used = self._files = 0
        self._linked: set[tuple[int, int]] = set()
        self._pending: list[tuple[str, ...]] = [()]

    def all(self) -> Usage:
        while self._pending:
            over = self._directory(self._pending.pop())
            if over:
                return Usage(self._used // MEGABYTE, self._files, over)
        return Usage(self._used // MEGABYTE, self._files)

    def _directory(self, parts: tuple[str, ...]) -> str:
        try:
            directory = open_beneath(self._top, parts, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return "directories are nested too deep to be counted"
            if error.errno in _GONE:
                return ""  # removed, or swapped for a link, while we walked
            raise
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if over := self._entry(parts, entry):
                        return over
        finally:
            os.close(directory)
        return ""

    def _entry(self, parts: tuple[str, ...], entry: os.DirEntry[str]) -> str:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            if error.errno in _GONE:
                return ""
            raise
        self._files += 1
        if stat.S_ISDIR(status.st_mode):
            self._pending.append((*parts, entry.name))
        elif status.st_nlink > 1:
            if (status.st_dev, status.st_ino) in self._linked:
                return self._over()
            self._linked.add((status.st_dev, status.st_ino))
        self._used += status.st_blocks * 512
        return self._over()

    def _over(self) -> str:
        if self._used > self._limit_mb * MEGABYTE:
            return f"the workspace holds more than {self._limit_mb} MB"
        if self._files > self._limit_files:
            return f"the workspace holds more than {self._limit_files} files"
        return ""
