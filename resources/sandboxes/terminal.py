"""Starts one planned command on a new PTY, for a session host that owns the master side."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from resources.sandboxes.agent_client import Agent
from resources.sandboxes.conversation import START_S, printable
from resources.sandboxes.launch import Plan, interpreter, launcher_argv
from resources.sandboxes.protocol import Keeping, SandboxFailed

STAND_IN = Path(__file__).with_name("stand_in.py")
_CONTROL, _STATUS, _GO, _MASTER, _COUNTER = 3, 4, 5, 6, 7
_WORDS_BYTES = 500
_ABOVE_TARGETS = 20


def spawn_pty(
    plan: Plan, *, columns: int, rows: int, keep: int | None = None, keeping: Keeping | None = None
) -> tuple[int, int]:
    """(the launcher's pid, which the caller reaps; the master descriptor, which the caller closes).

    SIGTERM to the pid ends the whole tree, and so does the end of the calling process unless it is kept. The launcher
    is the parent of what runs, not the calling thread: a parent-death signal would fire when that thread ends. It
    keeps a copy of the descriptor ``keep`` open as long as it lives.
    """
    master, slave = os.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        control_read, control = os.pipe2(os.O_CLOEXEC)
        status, status_write = os.pipe2(os.O_CLOEXEC)
        try:
            go = None
            try:
                given = [slave, control_read, status_write, *([] if keep is None else [keep])]
                argv = launcher_argv(plan.name, control=_CONTROL, status=_STATUS)
                if keeping is None:
                    pid = _spawn(argv, [slave, slave, *given])
                else:
                    pid, go = _keep(plan.name, (control, status, master), keeping, argv=argv, given=given)
            finally:
                os.close(control_read)
                os.close(status_write)
            _send(control, plan.as_line(terminal=True, hold=keeping is not None))
            try:
                _wait_until_sealed(status)
            except SandboxFailed:
                os.kill(pid, signal.SIGTERM)
                if go is not None:
                    os.close(go)
                    go = None
                os.waitpid(pid, 0)
                raise
            finally:
                if go is not None:
                    os.close(go)
        finally:
            os.close(control)
            os.close(status)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return pid, master


def spawn_in_berth(
    agent: Agent, plan: Plan, *, columns: int, rows: int, owner: int | None, keeping: Keeping | None = None
) -> tuple[int, int]:
    """The same by a berth's agent: (the pid of a stand-in, which the caller reaps; the master descriptor).

    The terminal is made here and its inner end passed in: what we read from is never the inhabitant's choice.
    ``owner`` is the uid that may open it by name.
    """
    master, slave = os.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if owner is not None:
            os.fchown(slave, owner, -1)
        connection, status = agent.start_terminal(plan, slave=slave)
        try:
            _wait_until_sealed(status)
            if keeping is None:
                pid = _stand_in(plan.name, connection=connection.fileno(), status=status)
            else:
                pid, go = _keep(plan.name, (connection.fileno(), status, master), keeping)
                os.close(go)
        finally:
            connection.close()
            os.close(status)
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return pid, master


def spawn_plain(argv: list[str], *, columns: int, rows: int) -> tuple[int, int]:
    """A program of ours on this host, outside of any sandbox, that prints on a new PTY and reads nothing of it.

    Returns (its pid, which the caller reaps; the master descriptor, which the caller closes).
    """
    master, slave = os.openpty()
    silence = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        return _spawn(argv, (silence, slave, silence)), master
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(silence)
        os.close(slave)


def _stand_in(name: str, *, connection: int, status: int) -> int:
    silence = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        argv = [interpreter(), "-I", "-S", "-B", str(STAND_IN), name, str(_CONTROL), str(_STATUS)]
        return _spawn(argv, (silence, silence, silence, connection, status))
    finally:
        os.close(silence)


def _keep(
    name: str, held: tuple[int, int, int], keeping: Keeping, *, argv: Sequence[str] = (), given: Sequence[int] = ()
) -> tuple[int, int]:
    """(the pid of a stand-in that keeps; what is closed once it may read the status).

    ``held`` are connection, status and master; ``given`` go to the launcher ``argv``, which it starts itself.
    """
    go_read, go = os.pipe2(os.O_CLOEXEC)
    silence = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        connection, status, master = held
        numbers = [str(number) for number in (_CONTROL, _STATUS, _GO, _MASTER, _COUNTER)]
        keeper = [interpreter(), "-I", "-S", "-B", str(STAND_IN), name, *numbers, str(keeping.path), *argv]
        inside = (connection, status, go_read, master, keeping.counter)
        return _spawn(keeper, (silence, silence, silence, *inside, *given)), go
    except BaseException:
        os.close(go)
        raise
    finally:
        os.close(silence)
        os.close(go_read)


def _spawn(argv: list[str], given: Sequence[int]) -> int:
    """posix_spawn, not Popen: the caller owns the pid, and no Popen object waits for it behind its back."""
    # Copies above the targets, so that no dup2 lands on a source that is still needed.
    sources = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _ABOVE_TARGETS) for each in given]
    try:
        wiring = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(sources)]
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


def _wait_until_sealed(status: int) -> None:
    """Read the launcher's first line, and nothing beyond it. SandboxFailed unless it is ``sealed``."""
    said, until = b"", time.monotonic() + START_S
    while b"\n" not in said and len(said) < _WORDS_BYTES and time.monotonic() < until:
        if select.select([status], [], [], 0.2)[0]:
            piece = os.read(status, 1)
            if not piece:
                break
            said += piece
    if said != b"sealed\n":
        cause = said.partition(b"\n")[0].decode("utf-8", "replace").removeprefix("failed ") or "no cause given"
        raise SandboxFailed(f"The terminal could not be started in its sandbox: {printable(cause)}")
