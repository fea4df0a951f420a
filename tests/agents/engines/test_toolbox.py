"""The coder's tools meet what projects hold: a refusal is a text for the model, never the end of the work."""

from __future__ import annotations

import os
from typing import Any

import pytest

from agents.engines import snapshots
from agents.model_answers import Call
from agents.roles.toolbox import MAX_SEARCHED_BYTES, Toolbox
from events.faults import Fault
from tests.fakes.workbench import DirectoryWorkbench


def use(bench: DirectoryWorkbench, name: str, **arguments: Any) -> str:
    return Toolbox(bench).use(Call(id="1", name=name, arguments=arguments))


def test_a_search_passes_over_files_that_are_too_big_and_finds_the_others(bench: DirectoryWorkbench) -> None:
    bench.put("a_big.sql", b"needle\n" + b"x" * MAX_SEARCHED_BYTES)
    bench.put("b.py", "needle = 1\n")
    assert use(bench, "SearchText", text="needle") == "b.py:1: needle = 1"


def test_a_search_passes_over_what_was_swapped_for_a_link_or_a_pipe(bench: DirectoryWorkbench) -> None:
    class Swapped(DirectoryWorkbench):
        def files(self) -> list[str]:
            return ["link", "pipe", "gone", "b.py"]

    swapped = Swapped(bench.root)
    bench.put("b.py", "needle = 1\n")
    (bench.root / "link").symlink_to(bench.root / "b.py")
    os.mkfifo(bench.root / "pipe")
    assert use(swapped, "SearchText", text="needle") == "b.py:1: needle = 1"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("ReadFile", {"path": "big.bin"}),
        ("EditFiles", {"edits": [{"path": "big.bin", "search": "x", "replace": "y"}]}),
        ("ReadFile", {"path": "n" * 300}),
        ("EditFiles", {"edits": [{"path": "n" * 300, "search": "", "replace": "y"}]}),
    ],
)
def test_what_is_too_big_is_refused_in_words_to_the_model(
    bench: DirectoryWorkbench, tool: str, arguments: dict[str, Any]
) -> None:
    bench.put("big.bin", b"x" * 2_000_001)
    assert use(bench, tool, **arguments).startswith("Refused")


def test_a_full_workspace_is_no_answer_for_the_model(bench: DirectoryWorkbench) -> None:
    from resources.files import WorkspaceFull

    class Full(DirectoryWorkbench):
        def write(self, path: str, content: bytes) -> None:
            raise WorkspaceFull(f"{path} cannot be written: no space left.")

    with pytest.raises(Fault) as caught:
        use(Full(bench.root), "EditFiles", edits=[{"path": "a.py", "search": "", "replace": "x = 1\n"}])
    assert caught.value.code == "workspace.full"


def test_what_changed_is_told_although_some_files_are_too_big_to_be_looked_at(bench: DirectoryWorkbench) -> None:
    bench.put("big.bin", b"x" * 2_000_001)
    bench.put("a.py", "x = 1\n")
    before = snapshots.hashes(bench)
    bench.put("a.py", "x = 2\n")
    assert snapshots.changed(before, snapshots.hashes(bench)) == ("a.py",)
