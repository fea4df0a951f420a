"""How much a repository may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is fetched, taken out of a sandbox, and shown."""

    fetch_bytes: int = 1_000_000_000  # one shallow fetch, as packed
    fetch_timeout_s: float = 600.0
    tree_entries: int = 200_000
    tree_bytes: int = 2_000_000_000  # all blobs of one tree, unpacked
    bundle_bytes: int = 200_000_000  # what a sandbox hands over at once
    new_objects: int = 100_000
    changed_files: int = 20_000
    blob_bytes: int = 50_000_000  # one new or changed file
    diff_bytes: int = 2_000_000  # the text of a diff
    sandbox_timeout_s: float = 300.0


LIMITS = Limits()
