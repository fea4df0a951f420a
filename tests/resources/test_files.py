"""Host-side access beneath a directory whose inhabitant is hostile."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from resources.files import Beneath, PathEscapes, PathSpecial, PathTooBig


@pytest.fixture(params=[True, False], ids=["openat2", "walk"])
def beneath(request: pytest.FixtureRequest, tmp_path: Path) -> Beneath:
    (tmp_path / "root").mkdir()
    return Beneath(tmp_path / "root", use_openat2=request.param)


def test_what_is_written_is_read_with_parents_made(beneath: Beneath) -> None:
    beneath.write("a/b/c.txt", b"content")
    assert beneath.read("a/b/c.txt") == b"content"
    assert beneath.exists("a/b/c.txt")
    assert beneath.exists("a/b")
    assert not beneath.exists("a/x")
    assert not beneath.exists("a/b/c.txt/x")
    assert list((beneath.root / "a/b").iterdir()) == [beneath.root / "a/b/c.txt"], "no temporary file is left"


def test_replacing_keeps_the_executable_bit_and_drops_set_id(beneath: Beneath) -> None:
    beneath.write("run", b"1")
    assert (beneath.root / "run").stat().st_mode & 0o7777 == 0o644
    (beneath.root / "run").chmod(0o4755)
    beneath.write("run", b"2")
    assert (beneath.root / "run").stat().st_mode & 0o7777 == 0o755


def test_replacing_is_atomic_for_a_reader(beneath: Beneath) -> None:
    beneath.write("f", b"a" * 100_000)
    stop = threading.Event()

    def rewrite() -> None:
        for turn in range(400):
            beneath.write("f", (b"a" if turn % 2 else b"b") * 100_000)
        stop.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    while not stop.is_set():
        content = beneath.read("f")
        assert len(content) == 100_000
        assert len(set(content)) == 1
    writer.join()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "..", ".", "a\0b", "/"])
def test_paths_that_leave_are_refused_by_every_door(beneath: Beneath, path: str) -> None:
    for door in (beneath.read, beneath.delete, beneath.exists, beneath.make_directory):
        with pytest.raises(PathEscapes):
            door(path)
    with pytest.raises(PathEscapes):
        beneath.write(path, b"")


def test_links_are_never_followed(beneath: Beneath, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (beneath.root / "file").symlink_to(outside / "secret")
    (beneath.root / "dir").symlink_to(outside)
    (beneath.root / "loop").symlink_to("loop")
    (beneath.root / "inner").symlink_to("file")
    for path in ("file", "dir/secret", "loop", "inner"):
        with pytest.raises(PathEscapes):
            beneath.read(path)
        with pytest.raises(PathEscapes):
            beneath.write(path, b"overwritten")
        assert not beneath.exists(path)
    with pytest.raises(PathEscapes):
        beneath.write("dir/new/deep", b"x")
    with pytest.raises((PathEscapes, FileNotFoundError)):
        beneath.delete("dir/secret")
    beneath.delete("file")
    assert (outside / "secret").read_text() == "secret"
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert beneath.files() == []


def test_special_files_neither_block_nor_open(beneath: Beneath) -> None:
    os.mkfifo(beneath.root / "fifo")
    (beneath.root / "dir").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(beneath.root / "socket"))
        started = time.monotonic()
        for path in ("fifo", "socket", "dir"):
            with pytest.raises(PathSpecial):
                beneath.read(path)
            with pytest.raises(PathSpecial):
                beneath.write(path, b"x")
        assert time.monotonic() - started < 2
    with pytest.raises(PathSpecial):
        beneath.delete("dir")
    with pytest.raises(PathSpecial):
        beneath.make_directory("fifo/x")
    assert beneath.files() == []


def test_sparse_giant_is_refused_and_counts_little(beneath: Beneath) -> None:
    with open(beneath.root / "giant", "wb") as giant:
        giant.truncate(1 << 40)
    with pytest.raises(PathTooBig):
        beneath.read("giant")
    assert beneath.size() < 1 << 20
    with pytest.raises(PathTooBig):
        beneath.read("giant", 10)


def test_limit_is_inclusive(beneath: Beneath) -> None:
    beneath.write("f", b"12345")
    assert beneath.read("f", 5) == b"12345"
    with pytest.raises(PathTooBig):
        beneath.read("f", 4)


def test_missing_file_is_file_not_found(beneath: Beneath) -> None:
    for path in ("missing", "missing/deeper"):
        with pytest.raises(FileNotFoundError):
            beneath.read(path)
        with pytest.raises(FileNotFoundError):
            beneath.delete(path)


def test_files_are_sorted_regular_and_without_git(beneath: Beneath) -> None:
    for path in ("b", "a/z", "a/b", ".git/config", "a/.git/config", ".moorage/tmp/x", ".github/w", "naïve\x01name"):
        beneath.write(path, b"x")
    (beneath.root / "link").symlink_to("b")
    assert beneath.files() == sorted([".github/w", "a/b", "a/z", "b", "naïve\x01name"])
    with pytest.raises(PathTooBig):
        beneath.files(limit=3)


def test_names_that_are_no_text_survive(beneath: Beneath) -> None:
    name = os.fsdecode(b"caf\xe9")
    beneath.write(name, b"x")
    assert beneath.files() == [name]
    assert beneath.read(name) == b"x"


def test_overlong_names_are_a_typed_fault(beneath: Beneath) -> None:
    for door in (beneath.read, lambda path: beneath.write(path, b"")):
        with pytest.raises(PathTooBig):
            door("n" * 300)


def test_swapping_a_directory_for_a_link_never_lets_us_out(beneath: Beneath, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("outside")
    (beneath.root / "real").mkdir()
    (beneath.root / "real/f").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        root = beneath.root
        while not stop.is_set():
            try:
                (root / "real").rename(root / "kept")
                (root / "real").symlink_to(outside)
                time.sleep(0)  # both sides get their turn, however few processors there are
                (root / "real").unlink()
                (root / "kept").rename(root / "real")
                time.sleep(0)
            except OSError:  # a write made the directory again in between
                shutil.rmtree(root / "kept", ignore_errors=True)
                if (root / "real").is_symlink():
                    (root / "real").unlink()

    attacker = threading.Thread(target=swap)
    attacker.start()
    happened: Counter[str] = Counter()
    try:
        until = time.monotonic() + 60
        while min(happened[what] for what in ("read", "written", "refused")) < 50:
            assert time.monotonic() < until, happened
            try:
                beneath.write("real/f", b"ours")  # before reading: it makes again what the attacker removed
                happened["written"] += 1
                assert beneath.read("real/f") in (b"inside", b"ours")
                happened["read"] += 1
            except PathEscapes:
                happened["refused"] += 1
            except FileNotFoundError:
                continue
    finally:
        stop.set()
        attacker.join()
    assert (outside / "f").read_text() == "outside"
    assert [p.name for p in outside.iterdir()] == ["f"]


def test_owner_of_the_directory_owns_what_we_write(beneath: Beneath) -> None:
    uid = os.geteuid() or 31234
    os.chown(beneath.root, uid, -1)
    beneath.write("new/dir/f", b"x")
    for path in ("new", "new/dir", "new/dir/f"):
        assert (beneath.root / path).stat().st_uid == uid


def test_giving_away_leaves_hard_links_and_link_targets_alone(beneath: Beneath, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    os.link(outside, beneath.root / "hard")
    (beneath.root / "soft").symlink_to(outside)
    beneath.write("d/own", b"x")
    before = outside.stat().st_uid
    uid = os.geteuid() or 31234
    beneath.give_to(uid, os.getegid() or uid)
    assert outside.stat().st_uid == before
    assert (beneath.root / "d/own").stat().st_uid == uid
    assert (beneath.root / "soft").lstat().st_uid == uid


def deepen(root: Path, *, levels: int, link_to: Path) -> None:
    """Nest directories that no path is long enough for, each with a link out."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", 0o755, dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.symlink(link_to, "link", dir_fd=below)
        os.close(here)
        here = below
    os.close(here)


def test_tree_of_any_depth_is_removed_and_nothing_behind_links(beneath: Beneath, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    deepen(beneath.root, levels=3000, link_to=outside)
    (beneath.root / "locked").mkdir()
    (beneath.root / "locked/f").write_text("x")
    (beneath.root / "locked").chmod(0)
    os.mkfifo(beneath.root / "fifo")
    try:
        with pytest.raises(PathTooBig):
            beneath.files()
    finally:
        beneath.remove_tree()  # also for pytest, which cannot remove a tree of this depth
    assert not beneath.root.exists()
    assert (outside / "kept").read_text() == "kept"
    beneath.remove_tree()
