"""Directories of the host: only what the operator lends, whatever links, races and names are tried."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.volumes import sources
from resources.volumes.sources import VolumeGone, VolumeRefused


@pytest.fixture
def lent(settings: Any, data_directory: Path, tmp_path: Path) -> Path:
    made = tmp_path / "lent"
    (made / "in").mkdir(parents=True)
    (made / "in" / "a").write_text("lent\n")
    settings.VOLUME_SOURCES = [made]
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    made = tmp_path / "secret"
    made.mkdir()
    (made / "a").write_text("secret\n")
    return made


def read(source: str) -> str:
    with sources.opened(source) as directory:
        descriptor = os.open("a", os.O_RDONLY, dir_fd=directory)
        with os.fdopen(descriptor) as stream:
            return stream.read()


def test_what_lies_beneath_a_lent_directory_is_opened_and_nothing_else(lent: Path, secret: Path) -> None:
    assert read(f"{lent}/in") == "lent\n"
    for wrong in (str(secret), f"{lent}/../secret", f"{lent}-more", f"{lent}/in/", f"/{lent}/in", "", "in", "/"):
        with pytest.raises(VolumeRefused, match="not among those"):
            read(wrong)
    with pytest.raises(VolumeGone, match="is not there"):
        read(f"{lent}/gone")


def test_no_link_is_followed_neither_at_the_end_nor_on_the_way(lent: Path, secret: Path) -> None:
    (lent / "link").symlink_to(secret)
    (lent / "way").symlink_to(lent / "in")
    (lent / "in" / "deeper").mkdir()
    for wrong in ("link", "way", "way/deeper"):
        with pytest.raises(VolumeRefused, match="a link is on the way"):
            read(f"{lent}/{wrong}")


def test_a_file_a_socket_and_a_directory_that_holds_one_are_refused(lent: Path) -> None:
    with pytest.raises(VolumeRefused, match="cannot be lent"):
        read(f"{lent}/in/a")
    with socket.socket(socket.AF_UNIX) as engine:
        os.chdir(lent / "in")
        engine.bind("docker.sock")
        os.chdir("/")
        with pytest.raises(VolumeRefused, match="holds a socket"):
            read(f"{lent}/in")


@pytest.mark.parametrize("place", ["/", "/etc", "/var/run", "/run", "/proc", "/var/lib/docker", "/root", "/home"])
def test_what_belongs_to_the_machine_is_not_lent_even_where_the_setting_names_it(settings: Any, place: str) -> None:
    settings.VOLUME_SOURCES = [Path(place)]
    with pytest.raises(VolumeRefused, match=r"belongs to the host|shows what Moorage"):
        sources.check(place)


def test_neither_our_own_data_nor_a_workspace_nor_what_lies_above_is_lent(settings: Any, data_directory: Path) -> None:
    settings.VOLUME_SOURCES = [data_directory.parent]
    (data_directory / "workspaces" / "other").mkdir(parents=True)
    for wrong in (data_directory, data_directory / "workspaces" / "other", data_directory.parent):
        with pytest.raises(VolumeRefused, match="what Moorage itself keeps"):
            sources.check(str(wrong))


_FLIP = """
import os, sys
real, link, place = sys.argv[1:]
while os.getppid() != 1:
    os.rename(real, place)
    os.rename(place, real)
    os.rename(link, place)
    os.rename(place, link)
"""


@pytest.fixture
def flipping(lent: Path, secret: Path) -> Iterator[Path]:
    """A name that is a directory at one moment, a link to the secret at the next, and nothing in between."""
    (lent / "real").mkdir()
    (lent / "real" / "a").write_text("lent\n")
    (lent / "link").symlink_to(secret)
    names = [str(lent / name) for name in ("real", "link", "flip")]
    process = subprocess.Popen([sys.executable, "-I", "-c", _FLIP, *names])
    yield lent / "flip"
    process.kill()
    process.wait(30)


def test_a_name_that_is_swapped_for_a_link_all_the_time_never_leads_out(flipping: Path, secret: Path) -> None:
    seen: Counter[str] = Counter()
    for _ in range(20_000):
        try:
            with sources.opened(str(flipping)) as directory:
                seen["out" if os.path.samestat(os.fstat(directory), secret.stat()) else "lent"] += 1
        except VolumeRefused as refused:
            seen["changes" if "changes while" in refused.detail else "a link"] += 1
        except VolumeGone:
            seen["nothing"] += 1
        if min(seen["a link"], seen["lent"]) > 200:
            break
    assert set(+seen) - {"changes"} == {"lent", "a link", "nothing"}


@pytest.mark.needs_root
def test_without_mounts_only_what_nobody_else_can_change_is_lent(lent: Path) -> None:
    place = Path("/srv") / f"moorage-test-{os.getpid()}"
    (place / "in").mkdir(parents=True)
    try:
        place.chmod(0o755)
        (place / "in").chmod(0o755)
        sources.check_unpinned(str(place / "in"))
        for wrong in (0o775, 0o777):
            (place / "in").chmod(wrong)
            with pytest.raises(VolumeRefused, match="others may change"):
                sources.check_unpinned(str(place / "in"))
        (place / "in").chmod(0o755)
        os.chown(place, 65534, 65534)
        with pytest.raises(VolumeRefused, match="others may change"):
            sources.check_unpinned(str(place / "in"))
    finally:
        shutil.rmtree(place)
