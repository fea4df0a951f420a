"""What a run changed, read from the files themselves and not from what a tool says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from agents.engines.protocol import Workbench
from resources.files import PathEscapes, PathSpecial, PathTooBig

PASSING = ("__pycache__/", ".pytest_cache/", ".ruff_cache/", ".mypy_cache/", ".hypothesis/")


def hashes(bench: Workbench, *, suffixes: tuple[str, ...] = ("",)) -> dict[str, bytes]:
    """A hash for every file with one of the suffixes, without what tools leave behind."""
    found = {}
    for path in bench.files():
        if path.endswith(suffixes) and not any(f"/{part}" in f"/{path}" for part in PASSING):
            found[path] = _hash(bench, path)
    return found


def changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
    """The paths that came, went or became others, sorted."""
    return tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))


def _hash(bench: Workbench, path: str) -> bytes:
    try:
        return hashlib.sha256(bench.read(path)).digest()
    except FileNotFoundError:
        return b"gone"
    except (PathTooBig, PathEscapes, PathSpecial):
        return b"unreadable"  # nothing of ours edits such a file
