"""One contract for both workbenches: the real one on a berth, and the fake that the engines' tests use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.engines.protocol import Workbench
from operations.coding.bench import BerthBench
from resources.files import PathEscapes, PathSpecial, PathTooBig
from tests.fakes.plain_sandbox import PlainSandbox
from tests.fakes.workbench import DirectoryWorkbench


@pytest.fixture
def root(tmp_path: Path) -> Path:
    checkout = tmp_path / "berth" / "tree"
    checkout.mkdir(parents=True)
    return checkout


@pytest.fixture(params=["berth", "directory"])
def bench(request: pytest.FixtureRequest, root: Path) -> Workbench:
    if request.param == "directory":
        return DirectoryWorkbench(root)
    return BerthBench(
        sandbox=PlainSandbox(root.parent), directory=root, say=lambda _line: None, cancelled=lambda: False,
        observed=lambda _words: None,
    )  # fmt: skip


def test_what_is_written_is_read_listed_and_gone_once_deleted(bench: Workbench) -> None:
    bench.write("b/deep/x.txt", b"one")
    bench.write("a.txt", b"")
    bench.write("a.txt", b"two\0\xff")
    assert (bench.read("a.txt"), bench.read("b/deep/x.txt")) == (b"two\0\xff", b"one")
    assert list(bench.files()) == ["a.txt", "b/deep/x.txt"]
    assert (bench.exists("a.txt"), bench.exists("b"), bench.exists("c")) == (True, True, False)
    bench.delete("a.txt")
    assert list(bench.files()) == ["b/deep/x.txt"]


def test_a_replaced_file_stays_executable(bench: Workbench, root: Path) -> None:
    (root / "run.sh").write_text("old\n")
    (root / "run.sh").chmod(0o755)
    bench.write("run.sh", b"new\n")
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("path", ["none.txt", "none/none.txt"])
def test_a_missing_file_is_not_found(bench: Workbench, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        bench.read(path)


def test_a_file_above_the_limit_is_too_big_and_one_at_the_limit_is_read(bench: Workbench) -> None:
    bench.write("big.bin", b"x" * 100)
    assert len(bench.read("big.bin", limit_bytes=100)) == 100
    with pytest.raises(PathTooBig):
        bench.read("big.bin", limit_bytes=99)


def test_above_two_megabytes_nothing_is_read_unless_asked_for(bench: Workbench) -> None:
    bench.write("huge.bin", b"x" * 2_000_001)
    with pytest.raises(PathTooBig):
        bench.read("huge.bin")
    assert len(bench.read("huge.bin", limit_bytes=3_000_000)) == 2_000_001


def test_our_own_directories_are_no_files_of_the_project(bench: Workbench, root: Path) -> None:
    for name in (".git/config", ".moorage/home/x", "sub/.git/config", "a.py", ".github/ci.yml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    assert list(bench.files()) == [".github/ci.yml", "a.py"]


def test_links_are_not_listed_read_or_written_through(bench: Workbench, root: Path) -> None:
    outside = root.parent.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    assert list(bench.files()) == []
    assert not bench.exists("link")
    for path in ("link", "folder/secret"):
        with pytest.raises(PathEscapes):
            bench.read(path)
        with pytest.raises(PathEscapes):
            bench.write(path, b"mine")
    assert (outside / "secret").read_text() == "secret"


@pytest.mark.parametrize("path", ["/etc/hostname", "../x", "a/../../x", ""])
def test_nothing_outside_is_reached(bench: Workbench, path: str) -> None:
    with pytest.raises(PathEscapes):
        bench.read(path)
    with pytest.raises(PathEscapes):
        bench.write(path, b"x")


def test_what_is_no_regular_file_is_neither_read_nor_replaced(bench: Workbench, root: Path) -> None:
    (root / "folder").mkdir()
    (root / "file").write_text("x")
    os.mkfifo(root / "pipe")
    for path in ("folder", "pipe"):
        with pytest.raises(PathSpecial):
            bench.read(path)
        with pytest.raises(PathSpecial):
            bench.write(path, b"x")
    with pytest.raises(PathSpecial):
        bench.write("file/below", b"x")


def test_a_command_runs_in_the_checkout_with_its_input(bench: Workbench, root: Path) -> None:
    outcome = bench.run(["sh", "-c", "pwd; cat; exit 3"], stdin=b"given")
    assert (outcome.exit_code, outcome.stdout) == (3, f"{root}\ngiven".encode())
    assert bench.run(["no-such-program"]).exit_code == 127
    assert bench.run(["sleep", "5"], timeout_s=0.2).timed_out


def test_a_copy_is_changed_alone_and_gives_back_what_it_is_asked_for(bench: Workbench, root: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        bench.write(name, b"before")
    with bench.copied("step 2") as copy:
        bench.write("c.txt", b"meanwhile")
        for name in ("a.txt", "c.txt", "new/-x.sh"):
            copy.write(name, b"after")
        copy.delete("b.txt")
        copy.delete("d.txt")
        assert copy.run(["chmod", "755", "./new/-x.sh"]).ok
        assert copy.run(["ln", "-s", "/etc/hostname", "d.txt"]).ok
        assert (bench.read("a.txt"), copy.read("c.txt"), bench.exists("new/-x.sh")) == (b"before", b"after", False)
        copy.give_back(["a.txt", "b.txt", "d.txt", "new/-x.sh", "never.txt"])
        beside = list(root.parent.iterdir())
    assert {name: bench.read(name) for name in bench.files()} == {
        "a.txt": b"after", "c.txt": b"meanwhile", "d.txt": b"before", "new/-x.sh": b"after",
    }  # fmt: skip
    assert (root / "new/-x.sh").stat().st_mode & 0o777 == 0o755
    assert len(beside) == 2
    assert list(root.parent.iterdir()) == [root]
