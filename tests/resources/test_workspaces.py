"""Workspaces: bounded by an image, or counted; whatever the inhabitant does, and whoever is killed when."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from resources import accounting, disk_images, leases, orphans, workspaces
from resources.files import Beneath, WorkspaceFull
from resources.guarded import guarded
from resources.models import Host, Lease
from resources.sandboxes import launch, selection
from resources.sandboxes.protocol import Command, Profile, Tier
from resources.workspaces import Kind
from tests.at_once import at_once
from tests.factories import host as a_host
from tests.patience import eventually
from tests.resources.sandboxes.conftest import ALL

NAME = "0b6fca32-0000-4000-8000-00000000000a-1"
BOTH = [pytest.param(Kind.IMAGE, marks=pytest.mark.needs_loop_devices), Kind.DIRECTORY]


@pytest.fixture
def place(data_directory: Path) -> Any:
    """Where the workspace of this test will be; nothing of it is left afterwards."""
    yield workspaces.place_of(NAME)
    for name in workspaces.names():
        workspaces.remove(workspaces.place_of(name))
    assert finally_left(data_directory) == []


def left(data: Path) -> list[str]:
    """Directories, images, mounts and loop devices beneath the data directory."""
    found = [str(path) for folder in ("workspaces", "disks") for path in (data / folder).glob("[!.]*")]
    mounts = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    loops = [str(path) for _, path in disk_images._loops()]
    return found + [path for path in mounts + loops if path.startswith(str(data))]


def finally_left(data: Path) -> list[str]:
    """Once the kernel has let go: a process that is born anywhere on the machine has all mounts for a moment."""
    until = time.monotonic() + 60
    while (found := left(data)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.mark.needs_loop_devices
def test_an_image_holds_no_more_than_its_size_and_says_so(place: Path) -> None:
    workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)
    assert list(place.iterdir()) == []

    def fill() -> None:
        for number in range(4000):
            Beneath(place).write(f"file-{number}", os.urandom(1 << 14))

    with pytest.raises(WorkspaceFull) as caught:
        fill()
    assert caught.value.as_dict()["code"] == "workspace.full"
    assert caught.value.as_dict()["remedy"]
    counted = workspaces.usage(place, kind=Kind.IMAGE, limit_mb=16)
    assert "used up" in counted.over
    assert 10 <= counted.used_mb <= 16
    assert counted.share > 0.9


@pytest.mark.needs_loop_devices
def test_files_without_content_run_out_as_well(place: Path) -> None:
    workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)

    def fill() -> None:
        for number in range(1_000_000):
            (place / f"{number:x}").touch()

    with pytest.raises(OSError, match="No space left"):
        fill()
    assert "as many files" in workspaces.usage(place, kind=Kind.IMAGE, limit_mb=16).over
    started = time.monotonic()
    workspaces.remove(place)
    assert time.monotonic() - started < 2
    assert not place.exists()


@pytest.mark.needs_loop_devices
def test_set_id_programs_and_devices_mean_nothing_in_an_image(place: Path) -> None:
    workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)
    (line,) = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {place} " in line]
    assert {"nosuid", "nodev"} <= set(line.split(" ")[5].split(","))
    os.mknod(place / "null", 0o666 | 0o020000, os.makedev(1, 3))
    with pytest.raises(PermissionError):
        (place / "null").open("rb")


@pytest.mark.needs_loop_devices
def test_making_a_large_workspace_writes_next_to_nothing(place: Path, data_directory: Path) -> None:
    workspaces.create(place, limit_mb=2048, kind=Kind.IMAGE)
    (image,) = (data_directory / "disks").glob("*.ext4")
    assert image.stat().st_size == 2048 << 20
    assert image.stat().st_blocks * 512 < 8 << 20, "which is why it takes about 15 ms (benchmarks.berths)"


@pytest.mark.parametrize("kind", BOTH)
def test_creating_again_starts_empty_and_removing_again_is_fine(place: Path, kind: Kind) -> None:
    for _ in range(2):
        workspaces.create(place, limit_mb=16, kind=kind)
        assert list(place.iterdir()) == []
        (place / "left").write_text("by a killed attempt")
    assert workspaces.adopt(place)
    assert (place / "left").exists()
    workspaces.remove(place)
    workspaces.remove(place)
    assert not workspaces.adopt(place)


@pytest.mark.needs_loop_devices
def test_after_a_restart_of_the_machine_the_content_is_there_again(place: Path) -> None:
    workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)
    (place / "work").write_text("unfinished")
    subprocess.run(["umount", str(place)], check=True)
    assert not (place / "work").exists()
    assert workspaces.adopt(place)
    assert (place / "work").read_text() == "unfinished"


@pytest.mark.needs_loop_devices
def test_a_program_that_stays_in_the_workspace_does_not_keep_it(place: Path, data_directory: Path) -> None:
    workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)
    stays = subprocess.Popen(["sleep", "60"], cwd=place)
    try:
        workspaces.remove(place)
        assert not place.exists()
        assert not list((data_directory / "disks").glob("*.ext4"))
    finally:
        stays.kill()
        stays.wait()
    assert finally_left(data_directory) == [], "the loop device goes after the last user"


HOSTILE = r"""
import os, socket
os.chdir({place!r})
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
open("giant", "wb").truncate(1 << 40 if {wide} else 1 << 30)
os.symlink("/", "root"); os.symlink("/etc/passwd", "passwd"); os.symlink("loop", "loop")
open("set-id", "w").close(); os.chmod("set-id", 0o6777)
open("one", "w").write("x" * 100000); os.link("one", "two")
os.mkdir("closed"); open("closed/inner", "w").close(); os.chmod("closed", 0)
open(b"name-\xff\x0a", "w").close()
for _ in range(1500):
    os.mkdir("d"); os.chdir("d")
"""


@pytest.mark.parametrize("kind", BOTH)
def test_hostile_content_is_counted_and_taken_away_without_harm(place: Path, kind: Kind) -> None:
    workspaces.create(place, limit_mb=32, kind=kind)
    program = HOSTILE.format(place=str(place), wide=kind is Kind.DIRECTORY)
    subprocess.run([sys.executable, "-c", program], check=True)
    passwd = Path("/etc/passwd").stat()
    counted = workspaces.usage(place, kind=kind, limit_mb=32)
    assert counted.used_mb < 32, "a sparse giant takes what it takes"
    assert counted.files > 10
    workspaces.remove(place)
    assert not place.exists()
    assert Path("/etc/passwd").stat() == passwd


def test_a_tree_is_over_its_limit_by_bytes_by_files_and_by_depth(tmp_path: Path) -> None:
    for name in ("bytes", "files", "deep", "links"):
        (tmp_path / name).mkdir()
    (tmp_path / "bytes" / "big").write_bytes(os.urandom(3 << 20))
    for number in range(50):
        (tmp_path / "files" / str(number)).touch()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (tmp_path / "links" / "one").write_bytes(os.urandom(1 << 20))
    for number in range(20):
        os.link(tmp_path / "links" / "one", tmp_path / "links" / str(number))

    def over(name: str) -> str:
        limit_mb, limit_files = (100 if name == "deep" else 2), (40 if name == "files" else 100_000)
        return accounting.of_tree(tmp_path / name, limit_mb=limit_mb, limit_files=limit_files).over

    found = {name: over(name) for name in ("bytes", "files", "deep", "links")}
    Beneath(tmp_path / "deep").remove_tree()  # pytest itself cannot
    assert "more than 2 MB" in found["bytes"]
    assert "more than 40 files" in found["files"]
    assert "too deep" in found["deep"]
    assert found["links"] == "", "one content under many names counts once"


def leased(host: Host, *, kind: Kind, limit_mb: int, owner: str = "agent:x", name: str = NAME) -> Lease:
    now = timezone.now()
    lease = leases.intend(
        host=host, kind=Lease.Kind.DIRECTORY, owner=owner, generation=1, key=name,
        now=now, expires_at=now + timedelta(minutes=10),
    )  # fmt: skip
    lease.detail, lease.state = {"kind": kind.value, "limit_mb": limit_mb}, Lease.State.HELD
    lease.save()
    return lease


FILL = "import os\nwith open('{place}/fill', 'wb') as f:\n  while True: f.write(os.urandom(1 << 18)); f.flush()"


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("tier", ALL)
def test_a_command_that_fills_its_workspace_ends_with_a_typed_fault(place: Path, tier: Tier, kind: Kind) -> None:
    workspaces.create(place, limit_mb=24, kind=kind)
    leased(a_host(), kind=kind, limit_mb=24)
    profile = Profile(owner="agent:x", generation=1, workspace=place, cpu_millis=1000)
    plain = selection.open_sandbox(profile, minimum=tier, prefer=tier, allow_bare=True)
    try:
        sandbox = guarded(plain, owner="agent:x")
        assert sandbox.run(Command(argv=("sh", "-c", "echo well > well"))).ok
        assert sandbox.run(Command(argv=("false",))).exit_code == 1, "a failure with room left stays a failure"
        program = ("python3" if tier is Tier.CONTAINER else launch.interpreter(), "-I", "-c", FILL.format(place=place))
        with pytest.raises(WorkspaceFull):
            sandbox.run(Command(argv=program, timeout_s=60))
        assert (place / "fill").stat().st_size < 4 << 30, "a count once a second lets some through, an image none"
        (place / "fill").unlink()
        assert sandbox.run(Command(argv=("cat", "well"))).stdout == b"well\n"
    finally:
        plain.close()


@pytest.mark.django_db
@pytest.mark.needs_loop_devices
def test_a_program_that_cleans_up_after_itself_still_ends_for_want_of_room(place: Path) -> None:
    workspaces.create(place, limit_mb=24, kind=Kind.IMAGE)
    leased(a_host(), kind=Kind.IMAGE, limit_mb=24)
    plain = selection.open_sandbox(
        Profile(owner="agent:x", generation=1, workspace=place), minimum=Tier.BARE, prefer=Tier.BARE, allow_bare=True
    )
    sandbox = guarded(plain, owner="agent:x")
    says_so = Command(argv=("sh", "-c", "echo No space left on device >&2; exit 1"))
    assert sandbox.run(says_so).exit_code == 1, "words alone are no reason"
    (place / "most").write_bytes(os.urandom(19 << 20))
    with pytest.raises(WorkspaceFull):
        sandbox.run(Command(argv=("sh", "-c", "head -c 9000000 /dev/urandom > more; ok=$?; rm -f more; exit $ok")))
    with pytest.raises(WorkspaceFull):
        sandbox.run(says_so)
    plain.close()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BOTH)
def test_use_is_noted_in_the_ledger_and_shown(place: Path, kind: Kind) -> None:
    host = a_host()
    workspaces.create(place, limit_mb=32, kind=kind)
    lease = leased(host, kind=kind, limit_mb=32)
    (place / "file").write_bytes(os.urandom(5 << 20))
    os.sync()
    assert workspaces.measure(lease, now=timezone.now()) is not None
    shown = workspaces.accounted(workspaces.lease_of("agent:x"))
    assert shown is not None
    assert (shown["kind"], shown["limit_mb"], shown["over"]) == (kind.value, 32, "")
    assert 5 <= shown["used_mb"] <= 7
    assert workspaces.used_mb() == {host.pk: shown["used_mb"]}


def make_and_remove_for_ever(place: Path) -> int:
    """A child process that does nothing else; it leads its own process group."""
    child = os.fork()
    if child:
        os.setpgid(child, child)
        return child
    try:
        while True:
            workspaces.create(place, limit_mb=64, kind=Kind.IMAGE)
            workspaces.remove(place)
    finally:
        os._exit(1)


@pytest.mark.parametrize("kind", BOTH)
def test_a_workspace_is_made_beside_other_work_and_waited_for(place: Path, kind: Kind) -> None:
    with workspaces.being_created(place, limit_mb=16, kind=kind) as ready:
        assert place.is_dir()
        ready()
        assert disk_images.is_mounted(place) == (kind is Kind.IMAGE)
        ready()
    with (
        pytest.raises(RuntimeError, match="of the block"),
        workspaces.being_created(place, limit_mb=16, kind=kind),
    ):
        raise RuntimeError("of the block")
    assert disk_images.is_mounted(place) == (kind is Kind.IMAGE), "nothing is left half made"


@pytest.mark.needs_loop_devices
def test_a_workspace_that_cannot_be_made_is_said_to_who_waits_and_leaves_nothing(
    place: Path, data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data_directory / "bin").mkdir()
    (data_directory / "bin" / "mkfs.ext4").write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    (data_directory / "bin" / "mkfs.ext4").chmod(0o755)
    monkeypatch.setenv("PATH", f"{data_directory}/bin:{os.environ['PATH']}")
    with workspaces.being_created(place, limit_mb=16, kind=Kind.IMAGE) as ready:
        for _ in range(2):
            with pytest.raises(workspaces.ImageFailed, match="no room"):
                ready()
    assert left(data_directory) == []


@pytest.mark.needs_loop_devices
def test_whatever_a_killed_process_left_is_found_by_its_name_and_undone(place: Path, data_directory: Path) -> None:
    seen: set[int] = set()
    for round_ in range(500):
        if round_ >= 25 and len(seen) > 1:
            break
        child = make_and_remove_for_ever(place)
        time.sleep(0.01 + round_ * 0.0031)
        os.killpg(child, signal.SIGKILL)  # mkfs and mount as well: nothing is finished for us
        os.waitpid(child, 0)
        eventually(lambda: bool(workspaces.names()) == bool(left(data_directory)))
        seen.add(len(left(data_directory)))
        workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)
        workspaces.remove(place)
        assert finally_left(data_directory) == []
    assert len(seen) > 1, "the kills hit different moments"


def sweep_twice(host: Host) -> orphans.Plan:
    now = timezone.now()
    orphans.sweep(host_name=host.name, now=now)
    return orphans.sweep(host_name=host.name, now=now + orphans.GRACE)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", BOTH)
def test_the_sweep_undoes_what_has_no_lease_and_nothing_else(place: Path, kind: Kind, data_directory: Path) -> None:
    host = a_host()
    held, stranger = workspaces.place_of(f"{NAME[:-1]}2"), workspaces.place_of("somebody-elses")
    for path in (place, held, stranger):
        workspaces.create(path, limit_mb=16, kind=kind)
    (place / "old").touch()
    os.utime(place, (0, 0))  # its inhabitant may set any date it likes
    gone = leased(host, kind=kind, limit_mb=16)
    leased(host, kind=kind, limit_mb=16, owner="agent:y", name=held.name)
    assert sweep_twice(host) == orphans.Plan(()), "both have a lease"
    Lease.objects.filter(pk=gone.pk).update(state=Lease.State.RELEASED, released_at=timezone.now())
    assert sweep_twice(host).remove == (place.name,)
    assert [path.exists() for path in (place, held, stranger)] == [False, True, True]
    assert not disk_images.is_mounted(place)


@pytest.mark.django_db
@pytest.mark.needs_loop_devices
def test_the_sweep_finds_an_image_whose_mount_and_directory_are_gone(place: Path, data_directory: Path) -> None:
    host = a_host()
    lease = leased(host, kind=Kind.IMAGE, limit_mb=16)
    Lease.objects.filter(pk=lease.pk).update(state=Lease.State.RELEASED, released_at=timezone.now())
    workspaces.create(place, limit_mb=16, kind=Kind.IMAGE)
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()
    assert sweep_twice(host).remove == (place.name,)
    assert finally_left(data_directory) == []


def test_a_host_that_can_do_no_images_counts_and_says_so(data_directory: Path, settings: Any) -> None:
    settings.WORKSPACES = "directory"
    offer = workspaces.offer()
    assert (offer.kind, offer.note) == (Kind.DIRECTORY, "Disk is counted, not bounded.")
    settings.WORKSPACES = "image"
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") and disk_images.possible(data_directory / "disks") == "":
        assert workspaces.offer() == workspaces.Offer(Kind.IMAGE)
    else:
        with pytest.raises(workspaces.ImageFailed, match="MOORAGE_WORKSPACES=image"):
            workspaces.offer()


@pytest.mark.needs_loop_devices
def test_asking_what_a_host_can_do_survives_a_killed_question_and_many_at_once(data_directory: Path) -> None:
    disks = data_directory / "disks"
    (disks / ".probe").mkdir(parents=True)
    disk_images.make(disks / ".probe.ext4", size_mb=8)
    disk_images.mount(disks / ".probe.ext4", disks / ".probe")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(disk_images.possible, [disks] * 8)) == [""] * 8
    assert disk_images.mounted_beneath(disks) == []
    assert not (disks / ".probe.ext4").exists()


@pytest.mark.parametrize("kind", BOTH)
def test_one_that_is_removed_while_it_is_made_is_there_or_not_and_nobody_stumbles(place: Path, kind: Kind) -> None:
    for _ in range(8):
        doings: list[Callable[[], None]] = [
            partial(workspaces.create, place, limit_mb=8, kind=kind),
            partial(workspaces.remove, place),
            partial(workspaces.remove, place),
            partial(workspaces.create, place, limit_mb=8, kind=kind),
        ]
        assert at_once(doings) == [None] * 4
        assert place.is_dir() == (place.name in workspaces.names())
        assert disk_images.is_mounted(place) == (place.is_dir() and kind is Kind.IMAGE)
