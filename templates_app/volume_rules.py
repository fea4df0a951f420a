"""What the schema cannot say of volumes: which fields each kind has, and where in a sandbox none can stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

Problem = tuple[tuple[str | int, ...], str, str]  # where, code, in words

# Of each kind: what it must say besides its target, and what it may say.
FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "scratch": (frozenset(), frozenset({"size_mb"})),
    "cache": (frozenset(), frozenset({"name", "read_only", "size_mb"})),
    "shared": (frozenset({"name"}), frozenset({"read_only"})),
    "host": (frozenset({"source"}), frozenset({"read_only"})),
}
# What a sandbox is made of, where it works, and what the kernel shows in it.
TAKEN = tuple(
    PurePosixPath(path)
    for path in (
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys",
        "/usr", "/var/lib/dpkg", "/var/run",
    )
)  # fmt: skip
WHOLE = tuple(PurePosixPath(path) for path in ("/home", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib"))  # noqa: S108


def problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Of volumes that the schema finds sound. Texts that still hold a reference are judged when it is known."""
    targets: list[PurePosixPath] = []
    for at, volume in enumerate(spec.get("volumes", [])):
        here = ("volumes", at)
        yield from _fields(volume, here)
        target = PurePosixPath(volume.get("target", ""))
        if "$" in str(target) or not target.is_absolute():
            continue
        if target in WHOLE or any(_meet(target, taken) for taken in TAKEN):
            yield (*here, "target"), "target_taken", f"is {target}, where the sandbox has something of its own"
        for other in targets:
            if _meet(target, other):
                yield (*here, "target"), "targets_overlap", f"is {target}, and another volume stands at {other}"
        targets.append(target)


def _fields(volume: Mapping[str, Any], here: tuple[str | int, ...]) -> Iterator[Problem]:
    kind = volume.get("kind", "scratch")
    if kind not in FIELDS:
        return
    must, may = FIELDS[kind]
    for name in sorted(must - set(volume)):
        yield here, "volume_incomplete", f"is of kind {kind} and says no {name}"
    for name in sorted(set(volume) - must - may - {"target", "kind"}):
        yield (*here, name), "unknown_field", f"means nothing for kind {kind}"
    if kind == "host" and volume.get("read_only") is False:
        yield (*here, "read_only"), "bad_value", "is false, and a directory of the host is never written to"


def _meet(one: PurePosixPath, other: PurePosixPath) -> bool:
    return one == other or one in other.parents or other in one.parents
