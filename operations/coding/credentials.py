"""How git proves who we are: by a file that exists while git runs, never in an address or argument."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from operations.coding.remotes import Kind, Remote

# git asks twice: "Username for '…': " and "Password for '…': ".
_ASKPASS = """#!/bin/sh
case "$1" in
  Username*) printf '%s\\n' "$MOORAGE_ASKPASS_USER" ;;
  Password*) IFS= read -r line < "$MOORAGE_ASKPASS_FILE"; printf '%s\\n' "$line" ;;
  *) exit 1 ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What we may show, and to whom: the token goes to ``hosts`` only, over https (or loopback http)."""

    token: str = field(default="", repr=False)
    hosts: tuple[str, ...] = ()
    user: str = "x-access-token"  # GitHub's and GitLab's name for "the password is a token"
    ssh_key_file: Path | None = None
    ssh_known_hosts_file: Path | None = None


NO_CREDENTIALS = Credentials()


def configured() -> Credentials:
    """What the operator gave us for remotes."""
    return Credentials(
        token=settings.GIT_TOKEN,
        hosts=tuple(settings.GIT_TOKEN_HOSTS),
        ssh_key_file=_file(settings.GIT_SSH_KEY_FILE),
        ssh_known_hosts_file=_file(settings.GIT_SSH_KNOWN_HOSTS_FILE),
    )


def _file(name: str) -> Path | None:
    return Path(name).absolute() if name else None


@contextlib.contextmanager
def shown_to(
    remote: Remote, credentials: Credentials, *, addresses: Sequence[str], beside: Path
) -> Iterator[dict[str, str]]:
    """The environment in which git may log in at ``remote``; its files are gone when the block ends."""
    if remote.kind is Kind.SSH:
        yield {"GIT_SSH_COMMAND": _ssh(remote, credentials, addresses), "GIT_SSH_VARIANT": "ssh"}
        return
    if remote.kind is Kind.LOCAL or not credentials.token or remote.host not in credentials.hosts:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix=".login-", dir=beside) as place:  # mode 700
        script, secret = Path(place) / "askpass", Path(place) / "token"
        script.write_text(_ASKPASS)
        script.chmod(0o700)
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(credentials.token.strip() + "\n")
        yield {
            "GIT_ASKPASS": str(script),
            "MOORAGE_ASKPASS_USER": credentials.user,
            "MOORAGE_ASKPASS_FILE": str(secret),
        }


def _ssh(remote: Remote, credentials: Credentials, addresses: Sequence[str]) -> str:
    words = [
        "ssh",
        "-F",
        "/dev/null",
        "-oBatchMode=yes",
        "-oStrictHostKeyChecking=yes",
        "-oConnectTimeout=20",
    ]
    words += [
        "-oForwardAgent=no",
        "-oClearAllForwardings=yes",
        "-oPermitLocalCommand=no",
        "-oControlPath=none",
    ]
    if not remote.trusted and addresses and remote.host not in addresses:
        # ssh connects to what was just checked, and still asks for the key of the name.
        known_as = remote.host if remote.port == 22 else f"[{remote.host}]:{remote.port}"
        words += [f"-oHostName={addresses[0]}", f"-oHostKeyAlias={known_as}"]
    if credentials.ssh_key_file is not None:
        words += ["-i", str(credentials.ssh_key_file), "-oIdentitiesOnly=yes"]
    if credentials.ssh_known_hosts_file is not None:
        words.append(f"-oUserKnownHostsFile={credentials.ssh_known_hosts_file}")
    return shlex.join(words)  # git gives this one to a shell
