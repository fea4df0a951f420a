"""The environment variables of a command in a sandbox: built from nothing, never inherited."""

from __future__ import annotations

import re
from pathlib import Path

from resources.sandboxes.protocol import Command, Profile

HOME, TEMPORARY = ".moorage/home", ".moorage/tmp"
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def environment(profile: Profile, command: Command) -> dict[str, str]:
    """Defaults, then the profile's variables and ports, then the command's."""
    variables = {
        "PATH": DEFAULT_PATH,
        "HOME": str(home(profile.workspace)),
        "TMPDIR": str(temporary(profile.workspace)),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_NOSYSTEM": "1",  # the host's git settings are not visible, and not the project's business
        **profile.environment,
    }
    for name, port in profile.ports.items():
        variables["PORT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())] = str(port)
    return {**variables, **command.environment}


def home(workspace: Path) -> Path:
    """Home directory of what runs inside: beneath the workspace, out of the checkout's way."""
    return workspace / HOME


def temporary(workspace: Path) -> Path:
    """Temporary directory of what runs inside."""
    return workspace / TEMPORARY
