"""Starts one planned command on a new PTY, for a session host that owns the master side."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import time

from resources.sandboxes.conversation import START_S
from resources.sandboxes.launch import Plan, launcher_argv
from resources.sandboxes.protocol import SandboxFailed

_CONTROL, _STATUS = 3, 4
_ABOVE_TARGETS = 20


def spawn_pty(plan: Plan, *, columns: int, rows: int, keep: int | None = None) -> tuple[int, int]:
    """(the launcher's pid, which the caller reaps; the master descriptor, which the caller closes).

    SIGTERM to the pid ends the whole tree, and so does the end of the calling process. The launcher is the parent of
    what runs, not the calling thread: a parent-death signal would fire when that thread ends. The launcher keeps a
    copy of the descriptor ``keep`` open as long as it lives.
    """
    master, slave = os.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        control_read, control = os.pipe2(os.O_CLOEXEC)
        status, status_write = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                pid = _spawn(plan.name, slave=slave, control=control_read, status=status_write, keep=keep)
            finally:
                os.close(control_read)
                os.close(status_write)
            _send(control, plan.as_line(terminal=True, hold=False))
            _wait_until_sealed(status, pid)
        finally:
            os.close(control)
            os.close(status)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return pid, master


def _spawn(name: str, *, slave: int, control: int, status: int, keep: int | None) -> int:
    """posix_spawn, not Popen: the caller owns the pid, and no Popen object waits for it behind its back."""
    given = [slave, slave, slave, control, status, *([] if keep is None else [keep])]
    # Copies above the targets, so that no dup2 lands on a source that is still needed.
    sources = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _ABOVE_TARGETS) for each in given]
    try:
        wiring = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(sources)]
        argv = launcher_argv(name, control=_CONTROL, status=_STATUS)
        return os.posix_spawn(argv[0], argv, {}, file_actions=wiring)
    finally:
        for source in sources:
            os.close(source)


def _send(control: int, line: bytes) -> None:
    view = memoryview(line)
    try:
        while view:
            view = view[os.write(control, view) :]
    except BrokenPipeError:
        return  # the launcher died at once: the wait below says so


def _wait_until_sealed(status: int, pid: int) -> None:
    said, until = b"", time.monotonic() + START_S
    while b"\n" not in said and time.monotonic() < until:
        if select.select([status], [], [], 0.2)[0]:
            chunk = os.read(status, 4096)
            if not chunk:
                break
            said += chunk
    if said.startswith(b"sealed\n"):
        return
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    cause = said.partition(b"\n")[0].decode("utf-8", "replace").removeprefix("failed ") or "no cause given"
    raise SandboxFailed(f"The terminal could not be started in its sandbox: {cause[:500]}")
