"""Host-side access to what lies beneath one directory, and to nothing else, however hostile its content is.

A workspace belongs to its sandbox: links, FIFOs, devices, giants and races in it are expected. Every open
goes through :func:`resources.beneath_open.open_beneath`; nothing is resolved first and opened later.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from events.faults import Fault, FaultClass
from resources.beneath_open import open_beneath

FILES_LIMIT = 100_000
DEPTH_LIMIT = 200
# `.moorage` holds the berth's own home and temporary directory: no project file is in it.
SKIPPED_DIRECTORIES = frozenset({".git", ".moorage"})
_ESCAPES = (errno.ELOOP, errno.EXDEV)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class PathEscapes(Fault):
    """The path is absolute, climbs with "..", or goes through a symbolic link."""

    code = "path.escapes"
    remedy = "Name a file beneath the workspace, without links on the way."


class PathSpecial(Fault):
    """The path is no regular file: a directory, a FIFO, a socket, a device."""

    code = "path.special"
    remedy = "Only regular files are read and written."


class PathTooBig(Fault):
    """A file above the limit, or a tree with more files than are listed."""

    fault_class = FaultClass.RESOURCE
    code = "path.too_big"
    remedy = "Remove or ignore the large file."


class WorkspaceFull(Fault):
    """No room is left beneath the directory, in bytes or in files, or it holds more than it may."""

    fault_class = FaultClass.RESOURCE
    code = "workspace.full"
    remedy = "Give the template a larger size.disk_mb, or see to it that the work leaves less behind."


class Beneath:
    """Files beneath ``root``. Paths are relative POSIX paths; missing files raise FileNotFoundError."""

    def __init__(self, root: Path, *, use_openat2: bool | None = None) -> None:
        self.root = root
        self._use_openat2 = use_openat2

    def read(self, path: str, limit_bytes: int = 2_000_000) -> bytes:
        """The whole content of a regular file of at most ``limit_bytes``."""
        with self.opened(path) as descriptor:
            status = os.fstat(descriptor)
            if status.st_size > limit_bytes:
                raise PathTooBig(f"{path} has {status.st_size} bytes, above the limit of {limit_bytes}.")
            content = bytearray()
            while chunk := os.read(descriptor, min(1 << 20, limit_bytes + 1 - len(content))):
                content += chunk
                if len(content) > limit_bytes:
                    raise PathTooBig(f"{path} grew above the limit of {limit_bytes} bytes.")
            return bytes(content)

    def write(self, path: str, content: bytes) -> None:
        """Create or replace atomically, parents included; an existing file keeps its permission bits."""
        parts = _parts(path)
        with _room(path), self._directory(parts[:-1]) as directory:
            mode = _mode_to_keep(path, parts[-1], directory)
            temporary = f".moorage-{secrets.token_hex(8)}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
            try:
                try:
                    _write_all(descriptor, content)
                    _give_to_owner_of(directory, descriptor)
                    os.fchmod(descriptor, mode)
                finally:
                    os.close(descriptor)
                os.rename(temporary, parts[-1], src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                _unlink_if_there(temporary, directory)
                raise

    def delete(self, path: str) -> None:
        """Remove a file, or a link itself, never what it points at."""
        parts = _parts(path)
        with self._opened(parts[:-1], os.O_PATH | os.O_DIRECTORY) as directory:
            try:
                os.unlink(parts[-1], dir_fd=directory)
            except IsADirectoryError as error:
                raise PathSpecial(f"{path} is a directory.") from error

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents; one that exists is fine, a link in its place is not."""
        with _room(path), self._directory(_parts(path)):
            return

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of a regular file, open for reading."""
        # O_NONBLOCK: opening a FIFO must not wait for its writer.
        with self._opened(_parts(path), os.O_RDONLY | os.O_NONBLOCK) as descriptor:
            _require_regular(path, os.fstat(descriptor).st_mode)
            yield descriptor

    def exists(self, path: str) -> bool:
        """Whether a regular file or directory is there, reached without a link."""
        parts = _parts(path)
        try:
            with self._opened(parts, os.O_PATH) as descriptor:
                mode = os.fstat(descriptor).st_mode
                return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        except (FileNotFoundError, PathEscapes):
            return False

    def files(self, *, limit: int = FILES_LIMIT) -> list[str]:
        """Sorted relative paths of the regular files, without ``.git`` and ``.moorage``, following no link."""
        found: list[str] = []
        for path, entry in self._walk(skip=SKIPPED_DIRECTORIES):
            if entry.is_file(follow_symlinks=False):
                found.append(path)
                if len(found) > limit:
                    raise PathTooBig(f"More than {limit} files.")
        return sorted(found)

    def size(self) -> int:
        """Bytes that the tree occupies on disk: a sparse giant counts what it really takes."""
        total = 0
        for _, entry in self._walk(skip=frozenset()):
            try:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                continue  # removed while we walked
        return total

    def give_to(self, uid: int, gid: int) -> None:
        """Make ``uid`` the owner of the tree; links are changed themselves, hard links left alone."""
        with self._opened((), os.O_RDONLY) as directory:
            os.fchown(directory, uid, gid)
        for path, entry in self._walk(skip=frozenset()):
            status = entry.stat(follow_symlinks=False)
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                continue  # the other name may lie outside
            parts = tuple(path.split("/"))
            with self._opened(parts[:-1], os.O_PATH | os.O_DIRECTORY) as directory:
                os.chown(parts[-1], uid, gid, dir_fd=directory, follow_symlinks=False)

    def empty(self) -> None:
        """Remove all that lies beneath the directory, not itself; links and depth do no harm."""
        with self._opened((), os.O_RDONLY) as root:
            while _flatten_and_empty(root):
                continue

    def remove_tree(self) -> None:
        """Remove the directory and all beneath it; a missing one is fine, links and depth do no harm."""
        try:
            self.empty()
        except FileNotFoundError:
            return
        os.rmdir(self.root)

    @contextmanager
    def _opened(self, parts: tuple[str, ...], flags: int) -> Iterator[int]:
        # The root itself is named by us, not by the inhabitant.
        root = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = self._open(root, parts, flags)
        finally:
            os.close(root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, root: int, parts: tuple[str, ...], flags: int) -> int:
        path = "/".join(parts)
        try:
            return open_beneath(root, parts, flags, use_openat2=self._use_openat2)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
        except OSError as error:
            if error.errno in _ESCAPES:
                raise PathEscapes(f"{path} goes through a symbolic link.") from error
            if error.errno == errno.ENXIO:
                raise PathSpecial(f"{path} is no regular file.") from error
            if error.errno == errno.ENAMETOOLONG:
                raise PathTooBig("A path beneath the directory is longer than a path may be.") from error
            raise

    @contextmanager
    def _directory(self, parts: tuple[str, ...]) -> Iterator[int]:
        """The directory's descriptor; what is missing on the way is made and given to its parent's owner."""
        with self._opened((), os.O_RDONLY) as root:
            here = os.dup(root)
            try:
                for depth, part in enumerate(parts, start=1):
                    try:
                        os.mkdir(part, 0o755, dir_fd=here)
                        made = True
                    except FileExistsError:
                        made = False
                    below = self._open_directory(root, parts[:depth])
                    if made:
                        _give_to_owner_of(here, below)
                    os.close(here)
                    here = below
                yield here
            finally:
                os.close(here)

    def _open_directory(self, root: int, parts: tuple[str, ...]) -> int:
        path = "/".join(parts)
        descriptor = self._open(root, parts, os.O_RDONLY | os.O_NONBLOCK)
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise PathSpecial(f"{path} is no directory.")
        return descriptor

    def _walk(self, *, skip: frozenset[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
        pending: list[tuple[str, ...]] = [()]
        while pending:
            parts = pending.pop()
            if len(parts) > DEPTH_LIMIT:
                raise PathTooBig(f"Directories are nested deeper than {DEPTH_LIMIT}.")
            try:
                with self._opened(parts, os.O_RDONLY | os.O_DIRECTORY) as directory:
                    with os.scandir(directory) as entries:
                        listed = [entry for entry in entries if entry.name not in skip]
                    for entry in listed:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append((*parts, entry.name))
                        yield "/".join((*parts, entry.name)), entry
            except (FileNotFoundError, PathEscapes):
                if not parts:
                    raise
                continue  # removed, or swapped for a link, while we walked


def _parts(path: str) -> tuple[str, ...]:
    if not path or path.startswith("/") or "\0" in path:
        raise PathEscapes(f"{path!r} is no relative path.")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if ".." in parts or not parts:
        raise PathEscapes(f"{path!r} does not stay beneath the directory.")
    return parts


@contextmanager
def _room(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise WorkspaceFull(f"{path} cannot be written: {os.strerror(error.errno)}.") from error
        raise


def _require_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise PathSpecial(f"{path} is no regular file.")


def _mode_to_keep(path: str, name: str, directory: int) -> int:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return 0o644
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise PathTooBig(f"{path[:60]}… is longer than a file name may be.") from error
        raise
    if stat.S_ISLNK(status.st_mode):
        raise PathEscapes(f"{path} is a symbolic link.")
    _require_regular(path, status.st_mode)
    return stat.S_IMODE(status.st_mode) & 0o777


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _give_to_owner_of(directory: int, descriptor: int) -> None:
    if os.geteuid() == 0:
        owner = os.fstat(directory)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _unlink_if_there(name: str, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return


def _flatten_and_empty(root: int) -> bool:
    """One pass: files go, sub-directories move up to the root, so that no depth exhausts anything."""
    with os.scandir(root) as entries:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in names:
        if not is_directory:
            _unlink_if_there(name, root)
            continue
        below = _open_to_empty(name, root)
        try:
            with os.scandir(below) as entries:
                inner = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            for inner_name, inner_is_directory in inner:
                if inner_is_directory:
                    os.close(_open_to_empty(inner_name, below))
                    os.rename(inner_name, f".gone-{secrets.token_hex(8)}", src_dir_fd=below, dst_dir_fd=root)
                else:
                    _unlink_if_there(inner_name, below)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=root)
    return bool(names)


def _open_to_empty(name: str, directory: int) -> int:
    """A directory's descriptor, made writable for its owner first: mode 000 must not keep us out."""
    link = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if os.fstat(link).st_mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{link}", 0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=link)
    finally:
        os.close(link)
