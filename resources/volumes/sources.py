"""Directories of the host that an operator lends: opened without following a link, and held by a descriptor."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from events.faults import FaultClass
from resources.beneath_open import open_beneath
from resources.sandboxes import mounts
from resources.sandboxes.mounts import VolumeGone
from resources.sandboxes.protocol import SandboxFailed
from resources.volumes.wanted import beneath_one_of

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class VolumeRefused(SandboxFailed):
    """What a template wants to see of the host is not lent, or not safe to show."""

    fault_class = FaultClass.CONFIGURATION
    code = "volume.refused"
    remedy = "Name a directory beneath MOORAGE_VOLUME_SOURCES that no link leads to, and that holds no socket."


@contextmanager
def opened(source: str) -> Iterator[int]:
    """A descriptor of the very directory that was checked, whatever its name leads to a moment later.

    Raises VolumeRefused or VolumeGone.
    """
    check(source)
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        directory = open_beneath(top, Path(source).parts[1:], os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise VolumeGone(f"The directory {source} is not there.") from error
        why = "a link is on the way" if error.errno in (errno.ELOOP, errno.EXDEV) else error.strerror
        raise VolumeRefused(f"The directory {source} cannot be lent: {why}.") from error
    finally:
        os.close(top)
    try:
        _refuse_sockets(source, directory)
        yield directory
    finally:
        os.close(directory)


def check(source: str) -> None:
    """By its name alone. Raises VolumeRefused."""
    path = Path(source)
    if str(path) != source or not beneath_one_of(source, [str(one) for one in settings.VOLUME_SOURCES]):
        raise VolumeRefused(f"The directory {source} is not among those that the operator lends.")
    ours = Path(os.path.realpath(settings.DATA))
    if path == ours or ours in path.parents or path in ours.parents:
        raise VolumeRefused(f"The directory {source} shows what Moorage itself keeps.")
    try:
        mounts.check_place(path, what="directory")
    except mounts.MountRefused as refused:
        raise VolumeRefused(refused.detail) from refused
    except OSError as error:  # a link that is a directory a moment later
        raise VolumeRefused(f"The directory {source} changes while it is looked at: {error.strerror}.") from error


def check_unpinned(source: str) -> None:
    """Where the name is all that can be handed on: that nobody but root and we can change what it leads to."""
    path = Path(source)
    for step in (*reversed(path.parents), path):
        status = step.lstat()
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & _WRITABLE_BY_OTHERS or step.is_symlink():
            raise VolumeRefused(
                f"The directory {source} cannot be lent from here: others may change {step}.",
                remedy="Let it and all above it belong to root or the service, writable for nobody else.",
            )


def _refuse_sockets(source: str, directory: int) -> None:
    """A socket can be spoken to through a mount that is read-only: an engine's would be the whole machine."""
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue  # removed in this moment
            if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
                raise VolumeRefused(f"The directory {source} holds a socket or a device.")
