"""An image without Python: the engine carries the commands, and the note says what that does not cover."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from resources.sandboxes import selection
from resources.sandboxes.container import Carrier, ContainerSandbox
from resources.sandboxes.protocol import Command, SandboxFailed, Tier

from .conftest import Opener, shell, until_gone

pytestmark = pytest.mark.needs_docker
PROGRAMS = ("sh", "sleep", "true", "cat", "env")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """A few programs of this machine with their libraries, and nothing else."""
    name = f"moorage-test/plain:{os.getpid()}"
    files: set[str] = set()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for program in PROGRAMS:
            path = shutil.which(program)
            assert path is not None
            archive.add(os.path.realpath(path), f"bin/{program}")
            linked = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
            files |= set(re.findall(r"(/\S+)", linked))
        for file in sorted(files):
            archive.add(os.path.realpath(file), file.lstrip("/"))
    with closing(docker.from_env()) as client:
        client.api.import_image_from_data(packed.getvalue(), repository=name.partition(":")[0], tag=str(os.getpid()))
        yield name
        client.images.remove(name, force=True)


@pytest.fixture
def sandbox(opener: Opener, image: str) -> ContainerSandbox:
    opened = opener(Tier.CONTAINER, image=image)
    assert isinstance(opened, ContainerSandbox)
    return opened


def test_commands_run_and_the_note_says_how(sandbox: ContainerSandbox) -> None:
    assert sandbox.carrier is Carrier.ENGINE
    assert "no Python" in sandbox.note
    outcome = shell(sandbox, "echo out; echo err >&2; exit 7")
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (7, b"out\n", b"err\n")
    given = Command(argv=("cat",), stdin=b"x" * 500_000)
    assert sandbox.run(given).stdout == given.stdin
    listed = set(sandbox.run(Command(argv=("env",), environment={"SHAPE": "round"})).stdout.decode().splitlines())
    assert {"SHAPE=round", "LANG=C.UTF-8"} <= listed
    stats = sandbox.stats()
    assert stats.processes is not None
    again = selection.adopt(sandbox.reference())
    assert again.note == sandbox.note
    assert shell(again, "echo still").stdout == b"still\n"


def test_what_is_late_is_ended_by_restarting_the_container(sandbox: ContainerSandbox) -> None:
    mark = f"75.{os.getpid()}"
    started = time.monotonic()
    assert shell(sandbox, f"sleep {mark} & sleep {mark}", timeout_s=1).timed_out
    assert time.monotonic() - started < 50
    assert until_gone(mark) == []
    assert shell(sandbox, "echo again").stdout == b"again\n"


def test_a_way_out_is_refused(opener: Opener, image: str, tmp_path: Path) -> None:
    (tmp_path / "egress").mkdir()
    with pytest.raises(SandboxFailed, match="python3"):
        opener(Tier.CONTAINER, image=image, egress=tmp_path / "egress")


def test_terminals_and_dialling_are_refused_in_words(sandbox: ContainerSandbox) -> None:
    with pytest.raises(SandboxFailed, match="python3"):
        sandbox.spawn_pty(Command(argv=("sh",)), columns=80, rows=24)
    with pytest.raises(SandboxFailed, match="agent"):
        sandbox.dial(80)
