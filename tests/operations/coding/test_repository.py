"""Checkouts go into a berth, snapshots come out of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events.faults import Fault
from operations.coding.changes import diff, list_files, read_blob
from operations.coding.git_faults import ContentRefused, SnapshotFailed, TooBig
from operations.coding.limits import Limits
from operations.coding.repository import checkout, snapshot
from operations.coding.vault import Vault
from tests.fakes.plain_sandbox import PlainSandbox

from .conftest import git

TreeFrom = Callable[[dict[str, bytes]], str]
BASE = {
    "README.md": b"hello\r\nworld\r\n",
    ".gitattributes": b"* text eol=lf\n*.bin filter=lfs\n",
    ".gitignore": b"*.log\nbuild/\n",
    "src/app.py": b"def f():\n    return 1\n",
    "data.bin": b"\x00\x01\x02",
}


@pytest.fixture
def base(tree_from: TreeFrom) -> str:
    return tree_from(BASE)


@pytest.fixture
def place(sandbox: PlainSandbox, vault: Vault, base: str) -> Path:
    directory = sandbox.workspace / "checkout"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=directory)
    return directory


def take(sandbox: PlainSandbox, vault: Vault, place: Path, base: str, **more: object) -> str:
    return snapshot(sandbox=sandbox, vault=vault, directory=place, base_tree=base, **more)  # type: ignore[arg-type]


def test_a_checkout_holds_exactly_the_bytes_of_the_tree(place: Path) -> None:
    found = {
        str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file() and ".git" not in p.parts
    }
    assert found == BASE


def test_an_untouched_checkout_snapshots_to_its_own_tree(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    assert take(sandbox, vault, place, base) == base


def test_a_second_checkout_replaces_all_that_was_there(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    (place / "leftover").write_text("x")
    (place / "src" / "app.py").unlink()
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=place)
    assert not (place / "leftover").exists()
    assert (place / "src" / "app.py").read_bytes() == BASE["src/app.py"]


def test_a_checkout_leaves_no_transport_behind(sandbox: PlainSandbox, vault: Vault, place: Path, base: str) -> None:
    take(sandbox, vault, place, base)
    assert list((sandbox.workspace / ".moorage").iterdir()) == []


def test_a_checkout_has_no_history_and_no_remote(place: Path) -> None:
    assert git(place, "rev-list", "--all", "--count") == "1"
    assert git(place, "remote") == ""
    assert git(place, "status", "--porcelain") == ""


def test_a_snapshot_takes_edits_new_files_and_deletions(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    (place / "src" / "app.py").write_bytes(b"def f():\n    return 2\n")
    (place / "src" / "new.py").write_bytes(b"x = 1\n")
    (place / "src" / "new.py").chmod(0o755)
    (place / "data.bin").write_bytes(b"\x00changed")
    (place / "README.md").unlink()
    (place / "noise.log").write_text("ignored")
    (place / "build").mkdir()
    (place / "build" / "out").write_text("ignored")

    tree = take(sandbox, vault, place, base)
    found = diff(vault=vault, base_tree=base, tree=tree)

    assert found.names("M") == ("data.bin", "src/app.py")
    assert found.names("A") == ("src/new.py",)
    assert found.names("D") == ("README.md",)
    assert [c.path for c in found.changes if c.binary] == ["data.bin"]
    assert (found.files, found.insertions, found.deletions) == (4, 2, 3)
    assert {c.path: c.mode for c in found.changes}["src/new.py"] == "100755"
    assert "+    return 2" in found.text
    assert not found.truncated
    assert read_blob(vault=vault, tree=tree, path="src/new.py") == b"x = 1\n"
    assert read_blob(vault=vault, tree=tree, path="README.md") is None
    assert read_blob(vault=vault, tree=tree, path="src") is None


def test_caches_never_sneak_in_even_when_the_workspace_says_so(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    (place / ".gitignore").write_text("!__pycache__/\n!*.pyc\n!.moorage/\n")
    for name in (
        "__pycache__/a.pyc",
        "src/__pycache__/b.pyc",
        "c.pyc",
        ".moorage/x",
        ".pytest_cache/y",
        ".venv/bin/z",
    ):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x")
    tree = take(sandbox, vault, place, base)
    assert {file.path for file in list_files(vault=vault, tree=tree)} == set(BASE)


def test_flags_and_a_wrecked_repository_in_the_checkout_hide_nothing(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    git(place, "update-index", "--skip-worktree", "src/app.py")
    git(place, "update-index", "--assume-unchanged", "README.md")
    (place / "src" / "app.py").write_bytes(b"changed\n")
    (place / ".git" / "HEAD").write_text("garbage")
    tree = take(sandbox, vault, place, base)
    assert diff(vault=vault, base_tree=base, tree=tree).names("M") == ("src/app.py",)


def test_the_same_content_gives_the_same_tree_from_another_berth(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    other = sandbox.workspace / "other"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=other)
    for directory in (place, other):
        (directory / "src" / "app.py").write_bytes(b"same\n")
    assert take(sandbox, vault, place, base) == take(sandbox, vault, other, base)


def test_a_snapshot_can_be_checked_out_and_continued(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    (place / "one").write_text("1")
    first = take(sandbox, vault, place, base)
    fresh = sandbox.workspace / "fresh"
    checkout(sandbox=sandbox, vault=vault, tree=first, directory=fresh)
    (fresh / "two").write_text("2")
    second = take(sandbox, vault, fresh, base)
    assert diff(vault=vault, base_tree=base, tree=second).names("A") == ("one", "two")


def test_a_repository_inside_the_checkout_is_refused_by_name(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str
) -> None:
    inner = place / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")
    (inner / "f").write_text("x")
    with pytest.raises(ContentRefused, match="inner"):
        take(sandbox, vault, place, base)
    git(inner, "add", "f")
    git(inner, "commit", "--quiet", "-m", "c")
    with pytest.raises(ContentRefused, match="inner"):
        take(sandbox, vault, place, base)


def test_a_submodule_of_the_base_stays_as_it_is(sandbox: PlainSandbox, vault: Vault, tree_from: TreeFrom) -> None:
    inner = tree_from({"a": b"1"})
    listing = f"160000 commit {'1' * 40}\tlib\n100644 blob {git(vault.path, 'rev-parse', f'{inner}:a')}\ta\n"
    base = git(vault.path, "mktree", "--missing", stdin=listing.encode())
    directory = sandbox.workspace / "checkout"
    checkout(sandbox=sandbox, vault=vault, tree=base, directory=directory)
    (directory / "a").write_text("2")
    tree = take(sandbox, vault, directory, base)
    assert diff(vault=vault, base_tree=base, tree=tree).names("M") == ("a",)
    assert "160000 commit" in git(vault.path, "ls-tree", tree, "lib")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "src/../../x"])
def test_links_out_of_the_repository_are_refused(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str, target: str
) -> None:
    (place / "link").symlink_to(target)
    with pytest.raises(ContentRefused, match="link"):
        take(sandbox, vault, place, base)


def test_links_within_the_repository_are_taken(sandbox: PlainSandbox, vault: Vault, place: Path, base: str) -> None:
    (place / "src" / "link").symlink_to("../README.md")
    tree = take(sandbox, vault, place, base)
    assert {c.path: c.mode for c in diff(vault=vault, base_tree=base, tree=tree).changes} == {"src/link": "120000"}


@pytest.mark.parametrize("name", ["a\nb", "tab\there", ".git\u200d"])
def test_names_that_no_repository_should_have_are_refused(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str, name: str
) -> None:
    (place / name).write_text("x")
    with pytest.raises((ContentRefused, SnapshotFailed)):
        take(sandbox, vault, place, base)


def test_special_files_are_left_where_they_are(sandbox: PlainSandbox, vault: Vault, place: Path, base: str) -> None:
    os.mkfifo(place / "pipe")
    assert take(sandbox, vault, place, base) == base


@pytest.mark.parametrize(
    "limits",
    [Limits(blob_bytes=1000), Limits(changed_files=1), Limits(bundle_bytes=500), Limits(new_objects=2)],
)
def test_each_limit_ends_in_too_big(
    sandbox: PlainSandbox, vault: Vault, place: Path, base: str, limits: Limits
) -> None:
    (place / "big").write_bytes(os.urandom(5000))
    (place / "second").write_text("x")
    with pytest.raises(Fault) as caught:
        take(sandbox, vault, place, base, limits=limits)
    assert caught.value.code in {TooBig.code, "path.too_big"}


def test_cancelling_stops_in_the_middle(sandbox: PlainSandbox, vault: Vault, place: Path, base: str) -> None:
    with pytest.raises(SnapshotFailed, match="cancelled"):
        take(sandbox, vault, place, base, cancelled=lambda: True)


def test_a_long_diff_is_cut_and_says_so(sandbox: PlainSandbox, vault: Vault, place: Path, base: str) -> None:
    (place / "long").write_text("line\n" * 50_000)
    tree = take(sandbox, vault, place, base)
    found = diff(vault=vault, base_tree=base, tree=tree, limits=Limits(diff_bytes=10_000))
    assert found.truncated
    assert len(found.text) <= 10_000
    assert found.insertions == 50_000


def test_many_berths_of_one_project_hand_over_at_once(sandbox: PlainSandbox, vault: Vault, base: str) -> None:
    def one(number: int) -> str:
        directory = sandbox.workspace / f"checkout{number}"
        checkout(sandbox=sandbox, vault=vault, tree=base, directory=directory)
        (directory / "new").write_text(f"{number % 3}")
        return take(sandbox, vault, directory, base)

    with ThreadPoolExecutor(6) as pool:
        trees = list(pool.map(one, range(12)))
    assert len(set(trees)) == 3
    assert git(vault.path, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("place", ["relative", "/", "/x/.hidden", "/x/../y"])
def test_a_checkout_needs_a_place_of_its_own(sandbox: PlainSandbox, vault: Vault, base: str, place: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        checkout(sandbox=sandbox, vault=vault, tree=base, directory=Path(place))
    assert sandbox.ran == []
