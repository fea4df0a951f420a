"""What a sandbox may see of its host: the programs, a few public files of /etc, and the toolchain it was given."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

PROGRAMS = tuple(Path(path) for path in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"))
# Public, and asked for by ordinary programs. Never /etc itself: it holds shadow, keys and other people's settings.
SETTINGS = tuple(
    Path("/etc", name)
    for name in (
        "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "debian_version", "fonts", "group",
        "host.conf", "hosts", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime",
        "login.defs", "magic", "mime.types", "networks", "nsswitch.conf", "os-release", "passwd", "perl", "profile",
        "protocols", "python3", "python3.11", "rpc", "services", "shells", "ssl/certs", "ssl/openssl.cnf", "terminfo",
        "timezone",
    )
)  # fmt: skip
# Which packages the host has: what a template wants of them is looked up there.
INSTALLED = Path("/var/lib/dpkg/status")
DEVICES = tuple(Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom", "tty"))


def toolchain(readable: Iterable[Path]) -> tuple[Path, ...]:
    """Directories that hold our interpreter and every path of ``readable``, with the interpreters those lead to.

    A virtual environment's ``bin/python`` is a link into another prefix; without that prefix it cannot start.
    """
    found: dict[Path, None] = {Path(sys.base_prefix): None}
    found[Path(os.path.realpath(sys.executable)).parent.parent] = None
    for path in readable:
        found[path] = None
        for environment in (path, path.parent):
            for prefix in _prefixes_behind(environment):
                found[prefix] = None
    return tuple(path for path in found if path.exists() and not _inside(path, PROGRAMS))


def _prefixes_behind(environment: Path) -> Iterable[Path]:
    """The prefixes that a virtual environment's interpreter link goes through, the last of them real."""
    if not (environment / "pyvenv.cfg").is_file():
        return
    step = environment / "bin" / "python"
    for _ in range(8):
        if not step.is_symlink():
            return
        step = Path(os.path.normpath(step.parent / os.readlink(step)))
        if step.parent != environment / "bin" and step.exists():
            yield step.parent.parent
            yield step.resolve().parent.parent


def _inside(path: Path, directories: Iterable[Path]) -> bool:
    return any(path == directory or directory in path.parents for directory in directories)


def reachable_by_others(path: Path) -> bool:
    """Whether a uid that owns nothing may walk to ``path`` and read there."""
    resolved = path.resolve()
    walk_ok = all(parent.stat().st_mode & 0o001 for parent in resolved.parents)
    return walk_ok and resolved.stat().st_mode & 0o005 == 0o005
