"""Packages that a template names: which of them a berth lacks, how they are got, and how commands find them.

What a program inside says of packages is hostile like all from there: it can deprive its own berth of them, no more.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from resources.files import Beneath, PathEscapes, PathSpecial, PathTooBig
from resources.sandboxes.protocol import Command, Keeping, Outcome, Sandbox, SandboxFailed
from resources.sandboxes.surroundings import DEFAULT_PATH
from resources.sandboxes.wrapped import Wrapped

PLACE = ".moorage/packages"
_GOT = f"{PLACE}/got.json"
_PROGRAM = Path(__file__).with_name("provide.py")
_LOOK_S = 60.0
_GOT_BYTES = 64_000
_COMPLETE: set[tuple[str, str, tuple[str, ...]]] = set()  # tier, image and names of which nothing was missing


def missing(sandbox: Sandbox, names: Sequence[str]) -> tuple[str, ...]:
    """Of ``names``, those that neither the image or the host has nor this berth has got. Asks inside,
    once per image where it has them all.

    Raises SandboxFailed where it cannot be told: there is no Python in the image.
    """
    if not names:
        return ()
    image = str(sandbox.reference()["profile"].get("image", ""))
    key = (sandbox.tier.value, image, tuple(names))
    if key in _COMPLETE:
        return ()
    if set(names) <= (got := set(_got(sandbox))):
        return ()
    lacking = _look(sandbox, names)
    if not lacking:
        _COMPLETE.add(key)
    return tuple(name for name in lacking if name not in got)


def _look(sandbox: Sandbox, names: Sequence[str]) -> tuple[str, ...]:
    outcome = sandbox.run(Command(argv=_argv("missing", *names), timeout_s=_LOOK_S))
    try:
        said = json.loads(outcome.stdout) if outcome.ok else None
    except ValueError:
        said = None
    if not isinstance(said, list):
        raise SandboxFailed(f"It cannot be told which packages the berth has: {outcome.text(300)}")
    return tuple(name for name in names if name in said)


def get(
    sandbox: Sandbox, names: Sequence[str], *, timeout_s: float, cancelled: Callable[[], bool] | None = None
) -> Outcome:
    """Have the berth get them from where it may reach; what it says of it is the outcome's."""
    place = str(_workspace(sandbox) / PLACE)
    outcome = sandbox.run(Command(argv=_argv("get", place, *names), timeout_s=timeout_s), cancelled=cancelled)
    if outcome.ok:
        got = json.dumps(sorted({*_got(sandbox), *names})).encode()
        Beneath(_workspace(sandbox)).write(_GOT, got)
    return outcome


def has_way_out(sandbox: Sandbox) -> bool:
    """Whether there is a proxy for it to reach anything through."""
    return bool(sandbox.reference()["profile"].get("egress"))


def furnished(sandbox: Sandbox) -> Sandbox:
    """The sandbox with commands that find what was got; the same sandbox where nothing was."""
    return Furnished(sandbox) if _got(sandbox) else sandbox


def environment(sandbox: Sandbox) -> dict[str, str]:
    """What commands of this sandbox are told of the packages that were got."""
    return sandbox.paths(Command(argv=("true",))) if isinstance(sandbox, Furnished) else {}


class Furnished(Wrapped):
    """Everything is the sandbox's own, but that commands of ``run`` are told where the packages are."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._place = _workspace(sandbox) / PLACE

    def run(self, command: Command, *, cancelled: Callable[[], bool] | None = None) -> Outcome:
        """Run to the end; see the protocol."""
        given = self.paths(command)
        return self._sandbox.run(dataclasses.replace(command, environment=given), cancelled=cancelled)

    def spawn_pty(
        self, command: Command, *, columns: int, rows: int, keeping: Keeping | None = None
    ) -> tuple[int, int]:
        given = self.paths(command)
        told = dataclasses.replace(command, environment=given)
        return self._sandbox.spawn_pty(told, columns=columns, rows=rows, keeping=keeping)

    def paths(self, command: Command) -> dict[str, str]:
        """The search paths, ours last: what the image has is not replaced by another version of it."""
        own = {**self._sandbox.reference()["profile"].get("environment", {}), **command.environment}
        root = self._place / "root"
        libraries = ("usr/lib", f"usr/lib/{_triplet()}", "lib", f"lib/{_triplet()}")
        more = {
            "PATH": (*(root / part for part in ("usr/bin", "bin", "usr/sbin")), self._place / "node" / "bin",
                     self._place / "python" / "bin"),
            "LD_LIBRARY_PATH": tuple(root / part for part in libraries),
            "LIBRARY_PATH": tuple(root / part for part in libraries),
            "CPATH": (root / "usr/include", root / "usr/include" / _triplet()),
            "PKG_CONFIG_PATH": tuple(root / part / "pkgconfig" for part in (*libraries, "usr/share")),
            "PYTHONPATH": (self._place / "python", root / "usr/lib/python3/dist-packages"),
            "NODE_PATH": (self._place / "node" / "lib" / "node_modules",),
        }  # fmt: skip
        own.setdefault("PATH", DEFAULT_PATH)
        paths = {name: ":".join([*filter(None, [own.get(name)]), *map(str, places)]) for name, places in more.items()}
        return {**command.environment, **paths}


def _triplet() -> str:
    """Where Debian keeps libraries of this processor."""
    return f"{platform.machine()}-linux-gnu"


def _argv(*words: str) -> tuple[str, ...]:
    return ("python3", "-I", "-B", "-c", _PROGRAM.read_text("utf-8"), *words)


def _workspace(sandbox: Sandbox) -> Path:
    return Path(sandbox.reference()["profile"]["workspace"])


def _got(sandbox: Sandbox) -> tuple[str, ...]:
    try:
        said = json.loads(Beneath(_workspace(sandbox)).read(_GOT, _GOT_BYTES))
    except (OSError, PathEscapes, PathSpecial, PathTooBig, ValueError, RecursionError):
        return ()
    return tuple(name for name in said if isinstance(name, str)) if isinstance(said, list) else ()
