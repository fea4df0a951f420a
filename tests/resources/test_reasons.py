"""Why something waits, as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from resources.reasons import in_words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ({"kind": "cpu", "needs_millis": 4000, "free_millis": 2500}, "it needs 4 cores, and node-1 has 2.5 free"),
        ({"kind": "memory", "needs_mb": 1536, "free_mb": 900}, "it needs 1,536 MB of memory, and node-1 has 900 free"),
        ({"kind": "ports", "needs": 2, "free": 1}, "it needs 2 ports, and node-1 has 1 free"),
    ],
)
def test_amounts_are_said_as_people_count_them(reason: dict[str, Any], words: str) -> None:
    assert in_words({"host": "node-1", **reason}) == words


def test_what_will_never_fit_is_not_said_to_wait_for_room() -> None:
    reason = {"kind": "disk", "host": "node-1", "needs_mb": 512, "free_mb": 214, "of_mb": 214}
    assert in_words(reason) == "it needs 512 MB of disk, and node-1 lends no more than 214 in all"
