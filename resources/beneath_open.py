"""Opens a path beneath a directory descriptor, whatever the inhabitant does to the directory meanwhile.

``openat2`` with RESOLVE_BENEATH asks the kernel to refuse what leaves the directory or goes through a link, in
one step that cannot be raced. Where the kernel (before 5.6) or a syscall filter has no ``openat2``, a walk of one
descriptor per component with O_NOFOLLOW keeps the same promise.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS
_RACE_RETRIES = 64  # openat2 answers EAGAIN when a rename elsewhere made it unsure

_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_beneath(root_fd: int, parts: tuple[str, ...], flags: int, *, use_openat2: bool | None = None) -> int:
    """A descriptor of ``parts`` beneath ``root_fd``; OSError ELOOP for a link, EXDEV for a way out."""
    if use_openat2 is None:
        use_openat2 = kernel_has_openat2()
    flags |= os.O_CLOEXEC
    if not flags & os.O_PATH:
        flags |= os.O_NOCTTY  # openat2 refuses it beside O_PATH
    if not parts:
        return os.open(".", flags | os.O_DIRECTORY, dir_fd=root_fd)
    if use_openat2:
        return _openat2(root_fd, "/".join(parts), flags)
    return _walk(root_fd, parts, flags)


@cache
def kernel_has_openat2() -> bool:
    """Whether this kernel, and the filter that this process runs under, answer ``openat2``."""
    try:
        descriptor = _openat2_at(_AT_FDCWD, b".", os.O_PATH | os.O_CLOEXEC, 0)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return False
        raise
    os.close(descriptor)
    return True


_AT_FDCWD = -100


def _openat2(root_fd: int, path: str, flags: int) -> int:
    for _ in range(_RACE_RETRIES):
        try:
            return _openat2_at(root_fd, os.fsencode(path), flags, _RESOLVE)
        except BlockingIOError as error:
            if error.errno != errno.EAGAIN:
                raise
    raise OSError(errno.ELOOP, "the path keeps changing", path)


def _openat2_at(directory_fd: int, path: bytes, flags: int, resolve: int) -> int:
    how = _OpenHow(flags, 0, resolve)
    descriptor = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(directory_fd),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(path))
    return int(descriptor)


def _walk(root_fd: int, parts: tuple[str, ...], flags: int) -> int:
    here = os.dup(root_fd)
    try:
        for part in parts:
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            if _is_link(below):
                os.close(below)
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)
            os.close(here)
            here = below
        # The descriptor is pinned: opening it again by its own name cannot be raced.
        return os.open(f"/proc/self/fd/{here}", flags)
    finally:
        os.close(here)


def _is_link(descriptor: int) -> bool:
    return os.fstat(descriptor).st_mode & 0o170000 == 0o120000
