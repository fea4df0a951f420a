"""What each kind of volume must say, may say, and where none can stand: told with its place, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from templates_app.faults import TemplateFault
from tests.templates_app.writing import spawn

SOUND: list[dict[str, Any]] = [
    {"target": "/cache"},
    {"target": "/cache", "kind": "scratch", "size_mb": 10},
    {"target": "/cache", "kind": "cache", "size_mb": 10},
    {"target": "/cache", "kind": "cache", "name": "pip", "read_only": False},
    {"target": "/opt/models", "kind": "shared", "name": "models", "read_only": True},
    {"target": "/data", "kind": "host", "source": "/srv/data sets/a"},
]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"target": "/a", "name": "x"}, "unknown_field", "spec.volumes[0].name means nothing for kind scratch"),
    ({"target": "/a", "read_only": True}, "unknown_field", "read_only means nothing for kind scratch"),
    ({"target": "/a", "kind": "shared"}, "volume_incomplete", "is of kind shared and says no name"),
    ({"target": "/a", "kind": "host"}, "volume_incomplete", "is of kind host and says no source"),
    ({"target": "/a", "kind": "cache", "source": "/b"}, "unknown_field", "source means nothing for kind cache"),
    ({"target": "/a", "kind": "host", "source": "/b", "size_mb": 1}, "unknown_field", "size_mb means nothing"),
    ({"target": "/a", "kind": "host", "source": "/b", "read_only": False}, "bad_value", "is never written to"),
    ({"target": "/a", "kind": "host", "source": "../b"}, "bad_value", "must match"),
    ({"target": "/a", "kind": "host", "source": "/b/../etc"}, "bad_value", "must match"),
    ({"target": "/a", "kind": "shared", "name": "../x"}, "bad_value", "must match"),
    ({"target": "/usr/lib/x"}, "target_taken", "spec.volumes[0].target is /usr/lib/x"),
    ({"target": "/tmp"}, "target_taken", "spec.volumes[0].target is /tmp"),
    ({"target": "/var"}, "target_taken", "spec.volumes[0].target is /var"),
]


def problems(*volumes: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        spawn({"volumes": list(volumes)})
    except TemplateFault as refused:
        return [(error.code, error.message) for error in refused.errors]
    return []


@pytest.mark.parametrize("volume", SOUND)
def test_a_sound_volume_is_taken(volume: dict[str, Any]) -> None:
    assert problems(volume) == []


@pytest.mark.parametrize(("volume", "code", "words"), WRONG)
def test_a_wrong_volume_is_refused_with_its_place(volume: dict[str, Any], code: str, words: str) -> None:
    ((found, message),) = problems(volume)
    assert found == code
    assert words in message


def test_volumes_do_not_stand_in_each_other() -> None:
    found = problems({"target": "/data/in"}, {"target": "/other"}, {"target": "/data"})
    assert found == [("targets_overlap", "spec.volumes[2].target is /data, and another volume stands at /data/in")]
