"""Disk images: a file system of a fixed size in a sparse file, mounted as a workspace.

What is written there ends where the image ends, in bytes and in files, and taking it away costs the same however
much was written. Needs root, loop devices and mkfs.ext4; :func:`possible` says whether this host can.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from events.faults import Fault, FaultClass

MEGABYTE = 1 << 20
SMALLEST_MB = 8
FILES_PER_MB, FEWEST_FILES = 64, 16_384  # ext4's own default is one inode per 16 KB
# A journal would only help a machine that lost power, and costs a sixteenth of a small image.
_FEATURES = "^has_journal,^resize_inode"
_PROGRAM_S = 60.0
_BUSY_S = 2.0
_ENGINE = "unix:///var/run/docker.sock"
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_ESCAPED = re.compile(r"\\([0-7]{3})")

_proved: set[Path] = set()
_libc = ctypes.CDLL(None, use_errno=True)


class ImageFailed(Fault):
    """The image cannot be made, mounted or taken away."""

    fault_class = FaultClass.RESOURCE
    code = "workspace.failed"
    remedy = "Look at the host's kernel log; MOORAGE_WORKSPACES=directory goes without images."


def possible(directory: Path) -> str:
    """Empty when images can be used beneath ``directory``, else why not. Tried with a real one until one worked."""
    if os.geteuid() != 0:
        return "the service is not root"
    if not os.access("/dev/loop-control", os.R_OK | os.W_OK):
        return "there are no loop devices"
    if _program("mkfs.ext4") is None or _program("mount") is None:
        return "mkfs.ext4 or mount is not installed"
    if directory not in _proved:
        if why := engine_is_elsewhere():
            return why
        try:
            _try(directory)
        except (ImageFailed, OSError) as error:
            return f"an image cannot be mounted here ({error})"[:200]
        _proved.add(directory)
    return ""


def _try(directory: Path) -> None:
    """Make, mount and remove a small image. One at a time on this machine; what a killed attempt left goes first."""
    place, image = directory / ".probe", directory / ".probe.ext4"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / ".probe.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove(image, place)
        make(image, size_mb=SMALLEST_MB)
        try:
            mount(image, place)
        finally:
            remove(image, place)


def make(image: Path, *, size_mb: int) -> None:
    """A fresh image, sparse: it takes what is written to it. One that is there already is replaced."""
    image.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    image.unlink(missing_ok=True)
    with image.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(max(size_mb, SMALLEST_MB) * MEGABYTE)
    files = max(FEWEST_FILES if size_mb >= 256 else 1024, size_mb * FILES_PER_MB)  # inodes are 256 bytes each
    _run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", _FEATURES, "-E", "lazy_itable_init=1,nodiscard",
         "-N", str(files), str(image))  # fmt: skip


def mount(image: Path, place: Path) -> None:
    """Mount the image; devices and set-id programs in it mean nothing.

    ``mount`` makes the loop device vanish by itself with the mount, also when it is killed before it mounts.
    """
    # The sparse file reads as zeros already: nothing has to be written over in the background.
    _run("mount", "-o", "loop,nosuid,nodev,noatime,noinit_itable", str(image), str(place))
    lost_and_found = place / "lost+found"
    if lost_and_found.is_dir() and not lost_and_found.is_symlink() and not any(lost_and_found.iterdir()):
        lost_and_found.rmdir()


def mend(image: Path) -> None:
    """Bring an image of a machine that lost power into order. Raises ImageFailed when nothing can be saved."""
    program = _program("e2fsck") or "e2fsck"
    done = subprocess.run(
        [program, "-p", "-f", str(image)],
        capture_output=True,
        timeout=_PROGRAM_S * 5,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode > 3:  # 1 and 2: mended
        raise ImageFailed(f"the image {image.name} is damaged: {done.stdout.decode('utf-8', 'replace')[-200:].strip()}")


def remove(image: Path, place: Path) -> None:
    """Unmount, let go of the loop device, remove the image; the empty directory stays. What is missing is fine."""
    while is_mounted(place):  # more than one when two killed attempts mounted over each other
        unmount(place)
    for device in _loops_of(image):
        _run("losetup", "-d", device, missing_is_fine=True)
    image.unlink(missing_ok=True)


def is_mounted(place: Path) -> bool:
    """Whether anything is mounted exactly there."""
    return str(place) in _mount_points()


def mounted() -> list[Path]:
    """Every mount point of this machine, as we see it."""
    return [Path(place) for place in _mount_points()]


def mounted_beneath(directory: Path) -> list[Path]:
    """Mount points directly in ``directory``."""
    return sorted({path for path in map(Path, _mount_points()) if path.parent == directory})


def looped_beneath(directory: Path) -> list[Path]:
    """Files directly in ``directory`` that a loop device holds, also those that were unlinked since."""
    return sorted({path for _, path in _loops() if path.parent == directory})


def unmount(place: Path) -> None:
    """Take away what is mounted last at ``place``. Nothing there is fine."""
    until = time.monotonic() + _BUSY_S
    flags = _UMOUNT_NOFOLLOW
    while _libc.umount2(os.fsencode(place), flags) != 0:
        number = ctypes.get_errno()
        if number == errno.EINVAL:  # somebody else was faster
            return
        if number != errno.EBUSY:
            raise ImageFailed(f"{place.name} cannot be unmounted: {os.strerror(number)}")
        if time.monotonic() > until:
            # Whoever still has a file open there keeps the blocks until it ends; nobody new gets in.
            flags |= _MNT_DETACH
        time.sleep(0.05)


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [_ESCAPED.sub(lambda found: chr(int(found[1], 8)), line.split(" ")[4]) for line in lines]


def _loops() -> Iterator[tuple[str, Path]]:
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            text = entry.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        except OSError:
            continue  # let go of in this moment
        yield f"/dev/{entry.parts[3]}", Path(text.removesuffix(" (deleted)"))


def _loops_of(image: Path) -> list[str]:
    return [device for device, backing in _loops() if backing == image]


def engine_is_elsewhere() -> str:
    """An engine that does not see our mounts would give its containers the empty directory beneath them."""
    address = os.environ.get("DOCKER_HOST", _ENGINE)
    if not address.startswith("unix://"):
        return ""  # an engine elsewhere makes no berths here
    with socket.socket(socket.AF_UNIX) as engine:
        engine.settimeout(2)
        try:
            engine.connect(address.removeprefix("unix://"))
        except OSError:
            return ""  # no engine: no containers
        credentials = engine.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid = struct.unpack("3i", credentials)[0]
    try:
        if pid > 0 and os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            return ""
    except OSError:
        pid = 0
    return "the Docker engine does not see what is mounted here"


def _program(name: str) -> str | None:
    # An ordinary user's PATH has no sbin, and a service may be started with one.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _run(program: str, *arguments: str, missing_is_fine: bool = False) -> None:
    try:
        done = subprocess.run(
            [_program(program) or program, *arguments],
            capture_output=True, timeout=_PROGRAM_S, check=False, stdin=subprocess.DEVNULL, env={"LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageFailed(f"{program} does not run: {error}") from error
    if done.returncode != 0 and not missing_is_fine:
        raise ImageFailed(f"{program}: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
