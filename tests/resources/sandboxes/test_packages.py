"""Packages that a template names: what a berth lacks is told, got without anybody's rights, and found by commands."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from resources.sandboxes import packages
from resources.sandboxes.protocol import Command, Sandbox

from .conftest import ALL, Opener

CONTROL = """Package: moorage-hello
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@moorage.example>
Description: says hello
"""


@pytest.fixture(params=ALL)
def sandbox(request: pytest.FixtureRequest, opener: Opener) -> Sandbox:
    """One whose mirrors are a directory of its workspace."""
    environment: dict[str, str] = {}
    made = opener(request.param, memory_mb=512, environment=environment)
    mirror = Path(made.reference()["profile"]["workspace"]) / "mirror"
    mirror.mkdir(mode=0o755)
    debian(mirror)
    wheel(mirror)
    environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(mirror)}
    environment |= {"MOORAGE_DEBIAN_MIRROR": f"deb [trusted=yes] copy:{mirror} ./"}
    return made


def debian(place: Path) -> None:
    """A repository with one package, without signatures."""
    tree = place / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(CONTROL)
    program = tree / "usr" / "bin" / "moorage-hello"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho hello from debian\n")
    program.chmod(0o755)
    archive = place / "hello.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(archive)], check=True, capture_output=True)
    content = archive.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (place / "Packages").write_text(f"{CONTROL}Filename: ./hello.deb\nSize: {len(content)}\nSHA256: {digest}\n\n")


def wheel(place: Path) -> None:
    """A package of Python's with one module."""
    name = "moorage_hello-1.0"
    with zipfile.ZipFile(place / f"{name}-py3-none-any.whl", "w") as archive:
        archive.writestr("moorage_hello.py", "print('hello from pip')\n")
        archive.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: moorage-hello\nVersion: 1.0\n")
        archive.writestr(f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}.dist-info/RECORD", "")


def test_what_is_there_is_not_missing_and_what_was_got_is_found_by_commands(sandbox: Sandbox) -> None:
    wanted = ("python3", "git", "python3-json", "moorage-hello=1.0", "pip:moorage-hello")
    assert packages.missing(sandbox, wanted) == ("moorage-hello=1.0", "pip:moorage-hello")
    assert packages.furnished(sandbox) is sandbox
    outcome = packages.get(sandbox, packages.missing(sandbox, wanted), timeout_s=120)
    assert outcome.ok, outcome.text()
    assert packages.missing(sandbox, wanted) == ()
    with_them = packages.furnished(sandbox)
    said = with_them.run(Command(argv=("sh", "-c", "moorage-hello && python3 -c 'import moorage_hello'"), timeout_s=30))
    assert said.stdout == b"hello from debian\nhello from pip\n", said.text()
    assert with_them.run(Command(argv=("printenv", "PATH"))).stdout.split(b":")[0] != b"", "the image comes first"
    assert not (Path(sandbox.reference()["profile"]["workspace"]) / packages.PLACE / "apt").exists()


def test_a_name_that_nobody_has_fails_and_says_so(sandbox: Sandbox) -> None:
    outcome = packages.get(sandbox, ("moorage-no-such",), timeout_s=120)
    assert outcome.exit_code == 1
    assert b"moorage-no-such" in outcome.stdout
    assert outcome.stderr == b"apt-get ended with exit code 100\n"
    assert packages.missing(sandbox, ("moorage-no-such",)) == ("moorage-no-such",)


@pytest.mark.parametrize("lie", ["[1, null]", "{}", "[" * 2000, "x"])
def test_what_the_inside_writes_of_its_packages_is_read_with_care(opener: Opener, lie: str) -> None:
    from resources.sandboxes.protocol import Tier

    sandbox = opener(Tier.BARE)
    place = Path(sandbox.reference()["profile"]["workspace"]) / packages.PLACE
    place.mkdir(parents=True)
    (place / "got.json").write_text(lie)
    assert packages.missing(sandbox, ("moorage-no-such",)) == ("moorage-no-such",)
    assert packages.furnished(sandbox) is sandbox or lie == "[1, null]"
