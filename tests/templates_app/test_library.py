"""Templates on disk, and those that are shipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from templates_app.documents import Document
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
    "port.db": 4101,
}


def write(directory: Path, name: str, body: str = "abstract: true\n", *, named: str = "") -> Path:
    path = directory / f"{name}.yaml"
    head = f"apiVersion: moorage/v1\nkind: Template\nname: {named or name}\nversion: 1.0.0\n"
    path.write_text(head + body, "utf-8")
    return path


def test_every_shipped_template_is_sound_and_spawns_unless_abstract() -> None:
    library = load()
    assert library.broken == {}
    assert sorted(library) == [
        "base", "data-science", "database", "go", "lightweight", "node", "python", "python-web", "review-only",
        "strict", "web",
    ]  # fmt: skip
    for name, document in library.items():
        assert document.description
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


def given(directory: Path, text: str) -> dict[str, Document]:
    """The shipped library with one more template of that text."""
    write(directory, "mine", text)
    return dict(load([BUILT_IN, directory]))


def test_the_building_blocks_mix_into_any_language(tmp_path: Path) -> None:
    for language in ("python", "node", "go", "data-science"):
        library = given(tmp_path, f"extends: [{language}, web, database]\n")
        spec = resolve("mine", library, variables=GIVEN).spec
        assert [port["name"] for port in spec["ports"]] == ["web", "db"]  # type: ignore
        assert spec["environment"]["DATABASE_URL"] == "postgresql://agent@127.0.0.1:4101/app"  # type: ignore
        assert [service["port"] for service in spec["services"]] == ["db"]  # type: ignore


@pytest.mark.parametrize(
    "widening",
    [
        "spec: {network: {allow: [example.org]}}",
        "spec: {network: {ask: true}}",
        "spec: {network: {$delete: true}}",
        "spec: {isolation: {min: landlock}}",
        "spec: {engine: {permissions: {paths: [src/**]}}}",
        "spec: {gates: {protected_paths: {$remove: [.github/**]}}}",
        "adapt: [{when: 'true', set: {isolation: {min: bare}}}]",
    ],
)
def test_nothing_on_top_of_strict_can_widen_it(tmp_path: Path, widening: str) -> None:
    library = given(tmp_path, f"extends: [python, strict]\n{widening}\n")
    assert codes_of(resolve, "mine", library) == ["locked"]
    assert codes_of(resolve, "mine", library, variables=GIVEN) == ["locked"]


def test_strict_closes_what_the_templates_beneath_it_opened(tmp_path: Path) -> None:
    write(tmp_path, "open", "abstract: true\nspec: {network: {allow: [example.org], ask: true}}\n")
    spec = resolve("mine", given(tmp_path, "extends: [base, open, strict]\n"), variables=GIVEN).spec
    assert spec["network"] == {"allow": [], "mirror": False, "ask": False}


def test_data_science_takes_what_is_free_between_its_bounds() -> None:
    facts = {**GIVEN, "host.free_memory_mb": 3000, "host.free_cpu_millis": 8000, "host.free_disk_mb": 2048}
    result = resolve("data-science", load(), variables=facts)
    size = result.spec["size"]
    assert (size["memory_mb"], size["cpu_millis"], size["disk_mb"]) == (3000, 2000, 2048)  # type: ignore
    assert result.spec["environment"]["OMP_NUM_THREADS"] == "1"  # type: ignore
    assert [rule.holds for rule in result.adapted] == [True]
