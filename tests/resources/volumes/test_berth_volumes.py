"""Volumes on a host: real mounts and images, made, raced, broken, found and removed; kept ones never with a berth."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from resources import disk_images, leases, orphans
from resources.models import Host, Lease
from resources.sandboxes import mounts, selection
from resources.sandboxes.mounts import MountRefused, VolumeGone, VolumesUnavailable
from resources.sandboxes.protocol import Command, Profile, Sandbox, SandboxGone, Tier, Volume
from resources.volumes import berths, kept, staging
from resources.volumes.wanted import Kind, Wanted
from tests import factories
from tests.at_once import at_once

ROOT = Path(__file__).resolve().parents[3]
SCRATCH = Wanted("/cache/own", Kind.SCRATCH, read_only=False, size_mb=8)
CACHE = Wanted("/cache/kept", Kind.CACHE, key="project-1-kept", name="kept", read_only=False, size_mb=1)
NOW = timezone.now()


@pytest.fixture(autouse=True)
def nothing_left(settings: Any, data_directory: Path) -> Iterator[None]:
    settings.HOST_NAME = "node-a"
    data_directory.chmod(0o711)
    yield
    for name in berths.names():
        berths.remove(name)
    assert [place for place in disk_images.mounted() if str(data_directory) in str(place)] == []
    assert not list(disk_images.looped_beneath(berths.root() / "disks"))


@pytest.fixture
def lent(settings: Any, tmp_path: Path) -> Wanted:
    made = tmp_path / "lent"
    made.mkdir(mode=0o755)
    (made / "a").write_text("lent\n")
    settings.VOLUME_SOURCES = [made]
    return Wanted("/data", Kind.HOST, source=str(made))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    """``process(volumes)``: an open sandbox of the process tier with these."""
    opened: list[Sandbox] = []

    def made(volumes: tuple[Volume, ...]) -> Sandbox:
        workspace = tmp_path / f"berth{len(opened)}"
        workspace.mkdir()
        profile = Profile(owner="agent:test", generation=1, workspace=workspace, volumes=volumes)
        opened.append(selection.open_sandbox(profile, minimum=Tier.PROCESS, prefer=Tier.PROCESS, allow_bare=False))
        return opened[-1]

    yield made
    for sandbox in opened:
        sandbox.close()


def key() -> str:
    return f"{uuid.uuid4()}-1"


def prepare(name: str, *volumes: Wanted, uid: int | None = None) -> tuple[Volume, ...]:
    return tuple(one.volume for one in berths.prepare(key=name, volumes=volumes, uid=uid, tier=Tier.PROCESS))


def options_of(place: Path) -> set[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return set(next(line.split()[5] for line in lines if line.split()[4] == str(place)).split(","))


def said(sandbox: Sandbox, script: str) -> str:
    return sandbox.run(Command(argv=("sh", "-c", script))).text()


# --- made and removed -------------------------------------------------------------------------------------------------


@pytest.mark.needs_root
def test_every_volume_is_a_mount_of_its_own_without_devices_and_set_id_programs(lent: Wanted) -> None:
    own, cache, data = prepare(name := key(), SCRATCH, CACHE, lent, uid=212345)
    for volume, wanted in ((own, {"rw"}), (cache, {"rw"}), (data, {"ro"})):
        assert volume.pinned
        assert options_of(volume.source) >= {"nosuid", "nodev", *wanted}
    assert {place.source.stat().st_uid for place in (own, cache)} == {212345}
    assert Path(lent.source).stat().st_uid == 0  # what is lent is nobody's but the operator's
    (cache.source / "x").write_text("kept\n")
    berths.remove(name)
    berths.remove(name)
    assert (berths.kept_at(CACHE.key) / "x").read_text() == "kept\n"
    assert (Path(lent.source) / "a").read_text() == "lent\n"
    assert berths.names() == []
    assert sorted(entry.name for entry in berths.root().iterdir()) == [".locks", "berths", "disks", "kept"]


@pytest.mark.needs_root
def test_one_that_cannot_be_made_leaves_none_of_the_others(lent: Wanted) -> None:
    shutil.rmtree(lent.source)
    with pytest.raises(VolumeGone, match="is not there"):
        prepare(key(), SCRATCH, CACHE, lent)
    assert berths.names() == []


@pytest.mark.needs_root
def test_makers_and_removers_at_once_leave_either_all_or_nothing(lent: Wanted) -> None:
    name = key()
    makers = [partial(prepare, name, SCRATCH, CACHE, lent)] * 4
    removers = [partial(berths.remove, name)] * 4
    at_once([attempt for pair in zip(makers, removers, strict=True) for attempt in pair])
    berths.remove(name)
    assert berths.names() == []
    assert (Path(lent.source) / "a").exists()


@pytest.mark.needs_root
def test_removal_never_looks_into_a_directory_that_is_not_a_mount_any_more() -> None:
    """Somebody mounted it in a way that we do not see, or wrote beneath it: what is there is not ours to remove."""
    name = key()
    (cache,) = prepare(name, CACHE)
    staging.unmount(cache.source)
    (cache.source / "precious").write_text("mine\n")
    with pytest.raises(OSError, match="not empty"):
        berths.remove(name)
    assert (cache.source / "precious").exists()
    (cache.source / "precious").unlink()


# --- while it lives ---------------------------------------------------------------------------------------------------


@pytest.mark.needs_root
@pytest.mark.needs_bubblewrap
def test_what_was_lent_stays_the_same_when_its_name_is_given_to_something_else(
    lent: Wanted, process: Any, tmp_path: Path
) -> None:
    sandbox = process(prepare(key(), lent))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a").write_text("secret\n")
    Path(lent.source).rename(tmp_path / "elsewhere")
    Path(lent.source).symlink_to(secret)
    assert said(sandbox, "cat /data/a") == "lent\n"
    shutil.rmtree(tmp_path / "elsewhere")
    with pytest.raises(VolumeGone, match="The directory at /data was deleted on the host") as gone:
        said(sandbox, "ls /data")
    assert "Make the directory again" in gone.value.remedy_text


@pytest.mark.needs_root
@pytest.mark.needs_bubblewrap
def test_a_mount_that_is_gone_ends_the_sandbox_instead_of_showing_an_empty_directory(
    lent: Wanted, process: Any
) -> None:
    volumes = prepare(key(), lent)
    sandbox = process(volumes)
    staging.unmount(volumes[0].source)
    with pytest.raises(SandboxGone, match="The volume at /data is not mounted any more"):
        sandbox.run(Command(argv=("true",)))


@pytest.mark.needs_root
@pytest.mark.needs_bubblewrap
def test_an_inhabitant_can_replace_neither_a_mount_nor_what_leads_to_it(process: Any) -> None:
    own, cache = prepare(key(), SCRATCH, CACHE)
    sandbox = process((own, cache))
    said(sandbox, "mv /cache/own /cache/away; rmdir /cache/own; ln -s /etc /cache/own/link; mkdir /cache/more")
    assert said(sandbox, "ls -A /cache") == "kept\nown\n"
    assert os.readlink(own.source / "link") == "/etc"
    assert "No such file" in said(sandbox, "cat /cache/own/link/shadow")


def test_a_cache_that_has_outgrown_its_size_is_counted_and_begins_anew_for_the_next_writer() -> None:
    (made,) = berths.prepare(key="one-1", volumes=[CACHE], uid=None, tier=Tier.PROCESS)
    assert berths.overfull([made.as_dict()]) == ""
    (made.volume.source / "big").write_bytes(b"x" * (2 << 20))
    assert berths.overfull([made.as_dict()]) == "the volume at /cache/kept holds more than 1 MB"
    berths.remove("one-1")
    reader = Wanted("/c", Kind.CACHE, key=CACHE.key, name="kept")
    assert os.listdir(prepare("two-1", reader)[0].source) == ["big"]
    berths.remove("two-1")
    assert os.listdir(prepare("three-1", CACHE)[0].source) == []


# --- a service that may not mount -------------------------------------------------------------------------------------

_WITHOUT_MOUNTS = """
import json, sys, django
from pathlib import Path
django.setup()
from django.conf import settings
from resources.sandboxes import selection
from resources.sandboxes.protocol import Command, Profile, Tier
from resources.volumes import berths, staging
from resources.volumes.wanted import Kind, Wanted
settings.VOLUME_SOURCES = [Path(sys.argv[2])]
own = Wanted("/cache/own", Kind.SCRATCH, read_only=False, size_mb=8)
wanted = [own, Wanted("/data", Kind.HOST, source=sys.argv[2])]
made = berths.prepare(key="k-1", volumes=wanted, uid=None, tier=Tier.CONTAINER)
print(json.dumps([staging.possible(), [one.as_dict() for one in made], berths.names()]))
(Path(made[0].as_dict()["place"]) / "f").write_text("x")
berths.remove("k-1")
print(json.dumps(berths.names()))
"""


@pytest.mark.needs_root
def test_a_service_without_the_right_to_mount_makes_plain_directories_and_says_so(data_directory: Path) -> None:
    place = Path("/srv") / f"moorage-test-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        done = subprocess.run(
            ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", sys.executable, "-c",
             _WITHOUT_MOUNTS, "-", str(place)],
            cwd=ROOT, capture_output=True, text=True, check=True,
            env={**os.environ, "MOORAGE_DATA": str(data_directory), "DJANGO_SETTINGS_MODULE": "config.settings"},
        )  # fmt: skip
    finally:
        place.rmdir()
    first, last = done.stdout.splitlines()[-2:]
    why, (own, data), names = json.loads(first)
    assert "may not mount" in why
    assert (own["bound"], own["place"]) == ("directory", f"{data_directory}/volumes/scratch/k-1/0")
    assert (data["place"], data["read_only"]) == (str(place), True)
    assert (names, json.loads(last)) == (["k-1"], [])


# --- the floor of every tier ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/", "/etc", "/etc/x", "/usr/local", "/tmp", "/proc/x", "/run/moorage", "/dev/shm", "/berth", "/berth/x",
               "/a/../etc", "relative", "/tool", "/tool/x", "/var/lib/docker"]
)  # fmt: skip
def test_no_volume_stands_where_the_sandbox_has_something_of_its_own(tmp_path: Path, target: str) -> None:
    wanted = (Volume(tmp_path, target),)
    with pytest.raises(MountRefused):
        mounts.check_volumes(wanted, workspace=Path("/berth"), readable=[Path("/tool")])


@pytest.mark.parametrize("source", ["/", "/etc", "/proc", "/var/run", "/run/docker.sock", "/berth", "relative"])
def test_nothing_of_the_host_and_no_workspace_is_a_volume_whatever_a_caller_asks(source: str) -> None:
    with pytest.raises(MountRefused):
        mounts.check_volumes((Volume(Path(source), "/data"),), workspace=Path("/berth"), readable=[])


@pytest.mark.parametrize("tier", [Tier.LANDLOCK, Tier.BARE])
def test_a_tier_without_mounts_refuses_what_it_cannot_show(tier: Tier, tmp_path: Path) -> None:
    def check(volume: Volume) -> None:
        mounts.check_tier(Profile(owner="a", generation=1, workspace=tmp_path, volumes=(volume,)), tier)

    check(Volume(Path("/data"), "/data"))
    for volume in (Volume(Path("/data"), "/elsewhere"), Volume(Path("/data"), "/data", writable=True)):
        with pytest.raises(VolumesUnavailable) as refused:
            check(volume)
        assert "process or container tier" in refused.value.remedy_text


# --- the ledger and the sweep -----------------------------------------------------------------------------------------


def lease(host: Host, kind: Lease.Kind, name: str, *, released: bool) -> None:
    owner = f"agent:{uuid.uuid4()}"
    later = NOW + timedelta(hours=1)
    leases.intend(host=host, kind=kind, key=name, owner=owner, generation=1, now=NOW, expires_at=later).save()
    if released:
        leases.release(owner=owner, actor="system", reason="left", now=NOW)


@pytest.mark.django_db
@pytest.mark.needs_root
def test_the_sweep_takes_volumes_of_berths_that_are_over_and_no_others() -> None:
    host = factories.host()
    Host.objects.filter(pk=host.pk).update(created_at=NOW - timedelta(days=1))
    over, lives, unknown = key(), key(), key()
    for name in (over, lives, unknown):
        prepare(name, SCRATCH)
    prepare(over, SCRATCH, CACHE)
    lease(host, Lease.Kind.DIRECTORY, over, released=True)
    lease(host, Lease.Kind.DIRECTORY, lives, released=False)
    plans = [orphans.sweep(host_name="node-a", now=when) for when in (NOW, NOW + orphans.GRACE * 2)]
    assert [plan.remove for plan in plans] == [(), (over,)]
    assert berths.names() == sorted([lives, unknown])
    assert berths.kept_at(CACHE.key).is_dir()


@pytest.mark.django_db
def test_kept_volumes_are_listed_and_removed_but_not_from_under_somebody() -> None:
    host = factories.host()
    (made,) = prepare("one-1", CACHE)
    (made.source / "x").write_text("kept\n")
    berths.remove("one-1")
    lease(host, Lease.Kind.VOLUME, f"{CACHE.key} read by somebody", released=False)
    out = StringIO()
    call_command("volumes", "list", "--json", stdout=out)
    (row,) = json.loads(out.getvalue())
    assert (row["name"], row["files"], len(row["users"])) == (CACHE.key, 1, 1)
    with pytest.raises(CommandError, match="is used by agent:"):
        call_command("volumes", "remove", CACHE.key)
    leases.release(owner=row["users"][0], actor="system", reason="left", now=NOW)
    for wrong in ("../../vaults", "..", "", "unknown"):
        with pytest.raises(CommandError, match="no volume"):
            call_command("volumes", "remove", wrong)
    call_command("volumes", "remove", CACHE.key, stdout=out)
    assert kept.all_of_this_host() == []
