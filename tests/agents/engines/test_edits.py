"""Search/replace edits: exact, unique, atomic, and the file's own bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.engines import edits, texts
from agents.engines.edits import Edit
from agents.engines.protocol import EditRefused
from tests.fakes.workbench import DirectoryWorkbench


def test_a_unique_block_is_replaced(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "x = 1\ny = 2\n")
    assert edits.apply([Edit("a.py", "y = 2\n", "y = 3\nz = 4\n")], bench) == ("a.py",)
    assert bench.text("a.py") == "x = 1\ny = 3\nz = 4\n"


def test_a_block_indented_otherwise_is_found_and_its_replacement_re_indented(
    bench: DirectoryWorkbench,
) -> None:
    bench.put("a.py", "class A:\n    def f(self):\n        return 1   \n")
    edits.apply([Edit("a.py", "def f(self):\n    return 1\n", "def f(self):\n    x = 2\n\n    return x\n")], bench)
    assert bench.text("a.py") == "class A:\n    def f(self):\n        x = 2\n\n        return x\n"


def test_a_block_indented_too_far_is_moved_back(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "def f():\n    return 1\n")
    edits.apply([Edit("a.py", "    def f():\n        return 1\n", "    def g():\n        return 2\n")], bench)
    assert bench.text("a.py") == "def g():\n    return 2\n"


def test_an_indentation_that_is_not_uniform_is_refused(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "if a:\n        b()\n")
    with pytest.raises(EditRefused):
        edits.apply([Edit("a.py", "if a:\n    b()\n", "pass\n")], bench)


def test_tabs_are_not_taken_for_blanks(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "if a:\n\tif b:\n\t\tc()\n")
    with pytest.raises(EditRefused):
        edits.apply([Edit("a.py", "    if b:\n        c()\n", "    pass\n")], bench)


def test_a_nearly_equal_block_is_refused_with_the_nearest_line_and_the_hash(
    bench: DirectoryWorkbench,
) -> None:
    bench.put("a.py", "def total(items):\n    return sum(items)\n")
    with pytest.raises(EditRefused) as refusal:
        edits.apply([Edit("a.py", "def total(items):\n    return sum(item)\n", "x\n")], bench)
    assert "line 2 is:           return sum(items)" in refusal.value.detail
    assert refusal.value.facts["hash"] == texts.fingerprint(bench.read("a.py"))


def test_a_block_that_stands_twice_is_refused_with_both_lines(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "x = 1\ny = 2\nx = 1\n")
    with pytest.raises(EditRefused) as refusal:
        edits.apply([Edit("a.py", "x = 1\n", "x = 2\n")], bench)
    assert refusal.value.facts["lines"] == [1, 3]


def test_a_part_of_a_line_is_replaced_only_between_word_boundaries(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "max = 10 + f(1)\n")
    with pytest.raises(EditRefused):
        edits.apply([Edit("a.py", "x = 1", "x = 2")], bench)
    edits.apply([Edit("a.py", "f(1)", "f(2)")], bench)
    assert bench.text("a.py") == "max = 10 + f(2)\n"


def test_nothing_is_written_when_the_last_edit_of_a_call_is_refused(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "x = 1\n")
    bench.put("b.py", "y = 1\n")
    with pytest.raises(EditRefused):
        edits.apply([Edit("a.py", "x = 1", "x = 2"), Edit("new.py", "", "n\n"), Edit("b.py", "gone", "z")], bench)
    assert bench.text("a.py") == "x = 1\n"
    assert not bench.exists("new.py")


class FullDisk(DirectoryWorkbench):
    """Refuses to write one path, as a full disk would."""

    def write(self, path: str, content: bytes) -> None:
        if path == "b.py" and content != b"y = 1\n":
            raise OSError(28, "No space left on device")
        super().write(path, content)


def test_a_write_that_fails_halfway_puts_back_what_was_written(bench: DirectoryWorkbench) -> None:
    disk = FullDisk(bench.root)
    disk.put("a.py", "x = 1\n")
    disk.put("b.py", "y = 1\n")
    with pytest.raises(OSError, match="No space"):
        edits.apply([Edit("a.py", "x = 1", "x = 2"), Edit("b.py", "y = 1", "y = 2")], disk)
    assert (disk.text("a.py"), disk.text("b.py")) == ("x = 1\n", "y = 1\n")


def test_later_edits_of_a_call_see_earlier_ones(bench: DirectoryWorkbench) -> None:
    bench.put("a.py", "x = 1\n")
    edits.apply([Edit("a.py", "x = 1", "x = 2"), Edit("a.py", "x = 2", "x = 3")], bench)
    assert bench.text("a.py") == "x = 3\n"


def test_an_empty_search_creates_a_file_and_never_overwrites_one(bench: DirectoryWorkbench) -> None:
    edits.apply([Edit("p/new.py", "", "x = 1\n")], bench)
    assert bench.text("p/new.py") == "x = 1\n"
    with pytest.raises(EditRefused, match="exists"):
        edits.apply([Edit("p/new.py", "", "x = 2\n")], bench)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nB2\r\nc\r\n"),
        (b"\xef\xbb\xbfa\nb\n", b"\xef\xbb\xbfa\nB\nB2\n"),
        (b"caf\xe9\nb\n", b"caf\xe9\nB\nB2\n"),
        (b"a\nb", b"a\nB\nB2"),
        (b"a\r\nb\nc\r\n", b"a\r\nB\nB2\nc\r\n"),
        (b"a\x0c\nb\n", b"a\x0c\nB\nB2\n"),
    ],
    ids=["crlf", "bom", "latin-1", "no last newline", "mixed", "form feed"],
)
def test_the_files_own_bytes_are_kept(bench: DirectoryWorkbench, before: bytes, after: bytes) -> None:
    bench.write("a.txt", before)
    edits.apply([Edit("a.txt", "b\n", "B\nB2\n")], bench)
    assert bench.read("a.txt") == after


def test_a_character_that_the_files_encoding_lacks_is_refused(bench: DirectoryWorkbench) -> None:
    bench.write("a.txt", b"caf\xe9\nb\n")
    with pytest.raises(EditRefused, match="latin-1"):
        edits.apply([Edit("a.txt", "b\n", "€\n")], bench)
    assert bench.read("a.txt") == b"caf\xe9\nb\n"


def test_a_binary_file_is_refused(bench: DirectoryWorkbench) -> None:
    bench.write("a.bin", b"a\0b\n")
    with pytest.raises(EditRefused, match="binary"):
        edits.apply([Edit("a.bin", "b", "c")], bench)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        ".git/config",
        "a/.GIT/hooks/x",
        "",
        "a\\b",
        "C:x",
        "a\0b",
        "~/x",
        "a/",
        ".git./config",
        ".g\u200cit/config",
        "GIT~1/config",
    ],
)
def test_a_path_that_leaves_the_checkout_or_is_gits_own_is_refused(bench: DirectoryWorkbench, path: str) -> None:
    with pytest.raises(EditRefused):
        edits.apply([Edit(path, "", "x\n")], bench)
    assert list(bench.root.rglob("*")) == []


@given(st.binary(max_size=200))
def test_decoding_and_encoding_gives_the_same_bytes(data: bytes) -> None:
    if b"\0" in data or data.removeprefix(b"\xef\xbb\xbf").startswith((b"\xff\xfe", b"\xfe\xff")):
        with pytest.raises(EditRefused):
            texts.decode("x", data)
    else:
        assert texts.decode("x", data).encode() == data
