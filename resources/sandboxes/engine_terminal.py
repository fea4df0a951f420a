"""A terminal in a container without a usable agent: the engine's own client carries keys and window size."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from resources.files import Beneath
from resources.sandboxes import policy, surroundings, terminal
from resources.sandboxes.launch import Plan
from resources.sandboxes.protocol import Keeping, SandboxFailed

_CLIENT = "apt-get install docker-cli (or docker.io)"
_SETTINGS = ("DOCKER_HOST", "DOCKER_CERT_PATH")


def spawn_pty(
    plan: Plan, *, workspace: Path, columns: int, rows: int, keeping: Keeping | None = None
) -> tuple[int, int]:
    """(launcher pid, PTY master), as every tier answers."""
    lock_path = f".moorage/terminal-{secrets.token_hex(8)}"
    files = Beneath(workspace)
    files.write(lock_path, b"")
    # Held by the launcher outside; the launcher inside ends its tree as soon as it can have the lock.
    with files.opened(lock_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outside = _through_client(plan, workspace / lock_path)
        return terminal.spawn_pty(outside, columns=columns, rows=rows, keep=lock, keeping=keeping)


def _through_client(plan: Plan, lock: Path) -> Plan:
    """A plan for this side: the client, which runs the launcher inside."""
    client = shutil.which("docker")
    if client is None:
        raise SandboxFailed("A terminal in this container needs the docker client.", remedy=_CLIENT)
    inside = ("python3", "-I", "-S", "-B", policy.LAUNCHER_INSIDE, "terminal", plan.name, str(lock))
    settings = {name: os.environ[name] for name in _SETTINGS if name in os.environ}
    return Plan(
        tier=plan.tier,
        name=plan.name,
        argv=(client, "exec", "--interactive", "--tty", "--env", "MOORAGE_PLAN", plan.name, *inside),
        cwd=Path("/"),
        environment={
            **settings,
            "PATH": surroundings.DEFAULT_PATH,
            "HOME": "/nonexistent",
            "MOORAGE_PLAN": plan.as_line(terminal=True, hold=False).decode(),
        },
        seal={**plan.seal, "drop_privileges": False, "seccomp": ""},
    )
