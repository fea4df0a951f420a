"""What a berth sees of its proxy: one directory with a socket in it, whatever a caller asks for."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from resources.sandboxes import way_out
from resources.sandboxes.protocol import Profile, SandboxFailed


def mounts(egress: Path | None, tmp_path: Path) -> tuple[tuple[Path, str], ...]:
    return way_out.mounts(Profile(owner="agent:x", generation=1, workspace=tmp_path, egress=egress))


def test_without_egress_nothing_is_mounted_and_commands_start_as_they_are(tmp_path: Path) -> None:
    profile = Profile(owner="agent:x", generation=1, workspace=tmp_path)
    assert way_out.mounts(profile) == ()
    assert way_out.through(profile, ("true",), interpreter="python3") == ("true",)


def test_an_empty_directory_and_one_with_the_socket_are_mounted(tmp_path: Path) -> None:
    place = tmp_path / "e"
    place.mkdir()
    assert [source for source, _ in mounts(place, tmp_path)] == [way_out.BRIDGE, place]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / way_out.SOCKET))
        assert [source for source, _ in mounts(place, tmp_path)] == [way_out.BRIDGE, place]


def test_no_other_directory_of_the_host_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    lookalike = tmp_path / "lookalike"
    lookalike.mkdir()
    (lookalike / way_out.SOCKET).write_text("a file by that name")
    for egress in (Path("/"), Path("/etc"), tmp_path, tmp_path / "file", tmp_path / "link", tmp_path / "no", lookalike):
        with pytest.raises(SandboxFailed):
            mounts(egress, tmp_path)
