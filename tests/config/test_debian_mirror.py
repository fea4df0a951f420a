"""The line of sources.list that berths are given: read with care, for programs print their environment."""

from __future__ import annotations

import pytest

from config.environment import BadSetting, Environment

NAME = "MOORAGE_DEBIAN_MIRROR"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "deb http://deb.debian.org/debian bookworm main",
        "deb [arch=amd64 trusted=yes] https://mirror.example:8443/debian bookworm main contrib",
        "deb http://mirror.example/flat ./",
    ],
)
def test_a_line_of_sources_list_is_taken_as_it_is(line: str) -> None:
    assert Environment({NAME: line}).debian_mirror(NAME) == line


@pytest.mark.parametrize(
    "line",
    [
        "http://deb.debian.org/debian",
        "deb http://user:secret@mirror.example/debian bookworm main",
        "deb file:/srv/debian bookworm main",
        "deb http://mirror.example/debian bookworm main\ndeb http://other.example/ x y",
        "deb http://mirror.example/debian",
        "deb http:///debian bookworm main",
        "deb-src http://mirror.example/debian bookworm main",
    ],
)
def test_anything_else_stops_the_start_without_showing_it(line: str) -> None:
    with pytest.raises(BadSetting) as refused:
        Environment({NAME: line}).debian_mirror(NAME)
    assert "secret" not in str(refused.value)
