"""Templates on disk, and those that are shipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from templates_app.faults import TemplateFault
from templates_app.library import BUILT_IN, load
from templates_app.resolve import resolve
from tests.templates_app.writing import codes_of

GIVEN = {
    "agent.id": "6f1c",
    "agent.name": "ada",
    "workspace.dir": "/berth/6f1c",
    "host.name": "node-1",
    "host.cpus": 2,
    "host.memory_mb": 8000,
    "port.web": 4100,
}


def write(directory: Path, name: str, body: str = "abstract: true\n", *, named: str = "") -> Path:
    path = directory / f"{name}.yaml"
    head = f"apiVersion: moorage/v1\nkind: Template\nname: {named or name}\nversion: 1.0.0\n"
    path.write_text(head + body, "utf-8")
    return path


def test_every_shipped_template_is_sound_and_spawns_unless_abstract() -> None:
    library = load()
    assert library.broken == {}
    assert sorted(library) == ["base", "lightweight", "python", "python-web", "review-only", "web"]
    for name, document in library.items():
        assert resolve(name, library).warnings == ()
        if not document.abstract:
            spec = resolve(name, library, variables=GIVEN).spec
            assert "${" not in str(spec)


def test_the_sizes_of_the_shipped_templates() -> None:
    library = load()
    size = resolve("base", library, variables=GIVEN).spec["size"]
    assert size == {"memory_mb": 768, "cpu_millis": 500, "disk_mb": 512, "pids": 256}
    light = resolve("lightweight", library, variables=GIVEN).spec["size"]
    assert (light["memory_mb"], light["cpu_millis"]) == (256, 250)  # type: ignore


def test_python_web_has_two_parents_and_takes_from_both() -> None:
    result = resolve("python-web", load(), variables=GIVEN)
    assert [layer.name for layer in result.layers] == ["base", "python", "web", "python-web"]
    assert result.spec["environment"]["PORT"] == "4100"  # type: ignore
    assert result.spec["packages"] == ["python3", "python3-venv", "git", "curl"]


def test_a_later_directory_replaces_a_name_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    write(tmp_path, "python", "extends: base\nspec: {size: {pids: 99}}\n")
    library = load([BUILT_IN, tmp_path, tmp_path / "missing"])
    assert resolve("python-web", library).explain("size.pids")[0].shadowed[0].value == 99


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, "a", "abstract: true\nspec: {size: {pids: 10}}\n")
    first = load([tmp_path])["a"]
    assert load([tmp_path])["a"] is first
    os.replace(write(tmp_path, "b", "abstract: true\nspec: {size: {pids: 11}}\n", named="a"), path)
    assert load([tmp_path])["a"].spec == {"size": {"pids": 11}}
    path.unlink()
    assert list(load([tmp_path])) == []


def test_a_broken_file_leaves_the_others_usable_and_speaks_for_itself(tmp_path: Path) -> None:
    write(tmp_path, "good")
    write(tmp_path, "bad", "abstract: true\nspec: {size: {pids: many}}\n")
    write(tmp_path, "child", "abstract: true\nextends: bad\n")
    library = load([tmp_path])
    assert resolve("good", library).spec == {}
    assert sorted(library.documents) == ["child", "good"]
    assert codes_of(resolve, "bad", library) == ["type_mismatch"]
    with pytest.raises(TemplateFault) as caught:
        resolve("child", library)
    assert caught.value.errors[0].file == "bad.yaml"


def test_what_is_no_template_file_is_refused_or_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "renamed", named="other")
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "huge.yaml").write_bytes(b"#" * 300_000)
    (tmp_path / ".hidden.yaml").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    broken = {name: fault.codes for name, fault in load([tmp_path]).broken.items()}
    assert broken == {
        "renamed": ("name_mismatch",),
        "fifo": ("unreadable",),
        "folder": ("unreadable",),
        "dangling": ("unreadable",),
        "huge": ("too_large",),
    }
