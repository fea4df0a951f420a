"""The list of users that a berth reads."""

from __future__ import annotations

from pathlib import Path

from resources.sandboxes import passwd
from tests.at_once import at_once


def test_whoever_asks_at_the_same_moment_gets_the_whole_list(data_directory: Path) -> None:
    """Commands of one berth may start at once, the first of them, too."""
    for uid in range(61_000, 61_030):
        asked = at_once([lambda uid=uid: passwd.file_for(uid=uid, gid=uid)] * 16)  # type: ignore[misc]
        assert set(asked) == {data_directory / "run" / "passwd" / f"{uid}-{uid}"}
        assert f"agent:x:{uid}:{uid}:" in asked[0].read_text()  # type: ignore[union-attr]
    assert len(list((data_directory / "run" / "passwd").iterdir())) == 30
