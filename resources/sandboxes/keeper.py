"""The process on the host that holds the side services of one berth: ``python -m resources.sandboxes.keeper``.

It carries one long command into the berth, as any other command is carried, and ends with it: when the berth is closed,
when the command ends, or when the session that started it does (the host's worker). While it lives it holds a lock, so
that nobody has the services twice and everybody sees whether they run; a kill frees the lock and ends what it carried.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from resources.sandboxes.protocol import Command, Reference, Sandbox, SandboxFailed, SandboxGone, Tier

ROOT = Path(__file__).resolve().parents[2]
_TOKEN_BYTES = 100
_FOR_EVER_S = 10.0 * 365 * 86_400
_BEGIN_S = 60.0  # until the lock is held, on a machine that has much to do


def held(lock: Path) -> str | None:
    """The token of the keeper that holds this lock; empty while it begins, None where there is none."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, _TOKEN_BYTES, 0).decode("ascii", "replace").partition(" ")[0]
    finally:
        os.close(descriptor)
    return None


def start(
    *, lock: Path, token: str, reference: Reference, argv: tuple[str, ...], environment: Mapping[str, str]
) -> None:
    """Return once a keeper holds the lock: ours, or that of somebody faster.

    It is told by its input: no argument shows a secret. Raises SandboxFailed when none begins.
    """
    lock.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # sockets of the service lie there, too
    lock.parent.mkdir(mode=0o700, exist_ok=True)
    order = {"lock": str(lock), "token": token, "reference": reference, "argv": argv, "environment": dict(environment),
             "leader": os.getsid(0)}  # fmt: skip
    program = [sys.executable, "-m", "resources.sandboxes.keeper"]
    silence = subprocess.DEVNULL
    try:
        began = subprocess.run(
            program, cwd=ROOT, input=json.dumps(order).encode(), stdout=silence, stderr=silence, check=False,
            start_new_session=True, timeout=_BEGIN_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxFailed(f"No keeper for the side services: {type(error).__name__}.") from error
    if began.returncode:
        raise SandboxFailed(f"No keeper for the side services: it ended with exit code {began.returncode}.")


def main(order: Mapping[str, Any]) -> int:
    """Take the lock, let go of who asked, hold the command to its end. 0 also where somebody else holds the lock."""
    lock = os.open(order["lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    if os.fork():
        return 0  # the lock is the child's too, and nobody has to wait for it
    os.truncate(lock, 0)
    os.pwrite(lock, f"{order['token']} {os.getpid()}".encode(), 0)
    command = Command(
        argv=tuple(order["argv"]), environment=order["environment"], timeout_s=_FOR_EVER_S, output_limit_bytes=10_000
    )
    try:
        sandbox = _adopted(order["reference"])
        sandbox.run(command, cancelled=_ended(order["leader"]))
        gone = not sandbox.alive()
    except SandboxGone:
        gone = True
    if gone:  # nobody will ask for this lock any more
        os.unlink(order["lock"])
    return 0


def _adopted(reference: Reference) -> Sandbox:
    """By its tier alone: only a container needs the engine's client, and that the rest of Moorage."""
    if reference["tier"] == Tier.CONTAINER:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django

        django.setup()
        from resources.sandboxes.container import ContainerProvider

        return ContainerProvider().adopt(reference)
    from resources.sandboxes.bare import BareProvider
    from resources.sandboxes.bubblewrap import BubblewrapProvider
    from resources.sandboxes.landlock import LandlockProvider

    providers = {one.tier: one for one in (BareProvider, BubblewrapProvider, LandlockProvider)}
    return providers[Tier(reference["tier"])]().adopt(reference)


def _ended(leader: int) -> Callable[[], bool]:
    """Whether the session's first process has ended; never where that is not to be seen from here."""
    try:
        descriptor = os.pidfd_open(leader)
    except OSError:
        return lambda: False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return lambda: bool(poll.poll(0))


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.stdin.buffer.read())))
