"""The example repositories are what their demo.json says, proved with git, pytest and the real codemods."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from agents.engines import registry
from agents.engines.protocol import CodeMap, EngineKind, Task
from tests.fakes.workbench import DirectoryWorkbench

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("cargo-manifest", "harbor-queue", "tide-table")
FENCED_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.M | re.S)


def read(name: str, file: str) -> Any:
    return json.loads((EXAMPLES / name / file).read_text("utf-8"))


def files_of(tree: Path) -> list[str]:
    return sorted(
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def git(repository: Path, *arguments: str, stdin: str = "") -> str:
    neutral = ["-c", "core.autocrlf=false", "-c", "user.name=Test", "-c", "user.email=test@moorage.example"]
    command, own_config = ["git", *neutral, *arguments], {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        command, cwd=repository, env=own_config, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def checkout(name: str, into: Path) -> Path:
    """The head of the example's base branch as a real repository, one commit per entry of its history."""
    tree, repository = EXAMPLES / name / "tree", into / name
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch", read(name, "demo.json")["base_branch"])
    for commit in read(name, "history.json")["commits"]:
        for path in commit["files"]:
            target = repository / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((tree / path).read_bytes())
            target.chmod(0o644)
        git(repository, "add", "--all")
        git(
            repository,
            "commit",
            "-q",
            "-m",
            commit["message"],
            "--author",
            commit["author"],
            "--date",
            commit["date"],
        )
    return repository


def counts(repository: Path, tmp_path: Path) -> dict[str, int]:
    """JUnit totals of the example's own suite."""
    report = tmp_path / "junit.xml"
    isolated = ["-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:django", "-p", "no:xdist"]
    command = [sys.executable, "-B", "-m", "pytest", "-q", *isolated, f"--junitxml={report}"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314  # our own report
    assert suite is not None
    total, failed, errors, skipped = (int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped"))
    passed = total - failed - errors - skipped
    return {"passed": passed, "failed": failed, "errors": errors, "skipped": skipped}


def changed(repository: Path) -> list[str]:
    git(repository, "add", "--all")
    return git(repository, "diff", "--cached", "--name-only", "HEAD").splitlines()


def picked(name: str) -> str:
    """The engine that Moorage picks for this example without any model."""
    demo = read(name, "demo.json")
    metadata = dict(demo["metadata"])
    if "recording" in demo:
        metadata["recording"] = read(name, demo["recording"])
    requirements = (EXAMPLES / name / "requirement.md").read_text("utf-8")
    kind = EngineKind(demo["engine"])
    engine = registry.pick(kind, requirements=requirements, metadata=metadata, chain=lambda: None, failing_before=())
    return engine.kind.value


def test_every_example_is_known_to_these_tests() -> None:
    assert tuple(sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())) == NAMES


def test_one_base_branch_has_a_name_that_nobody_guesses() -> None:
    assert {read(name, "demo.json")["base_branch"] for name in NAMES} - {"main", "master"} == {"trunk"}


@pytest.mark.parametrize("name", NAMES)
def test_the_history_adds_every_file_of_the_tree_once(name: str) -> None:
    commits = read(name, "history.json")["commits"]
    added = [path for commit in commits for path in commit["files"]]
    assert sorted(added) == files_of(EXAMPLES / name / "tree")
    assert 3 <= len(commits) <= 5
    assert [commit["date"] for commit in commits] == sorted(commit["date"] for commit in commits)


@pytest.mark.parametrize("name", NAMES)
def test_the_suite_at_head_is_as_declared(name: str, tmp_path: Path) -> None:
    assert counts(checkout(name, tmp_path), tmp_path) == read(name, "demo.json")["expect"]["tests"]["before"]


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_that_is_picked_is_as_declared(name: str) -> None:
    assert picked(name) == read(name, "demo.json")["expect"]["engine"]


def test_the_tide_table_diff_applies_and_mends_the_failing_test(tmp_path: Path) -> None:
    repository = checkout("tide-table", tmp_path)
    requirement = (EXAMPLES / "tide-table" / "requirement.md").read_text("utf-8")
    (diff,) = FENCED_DIFF.findall(requirement)
    git(repository, "apply", "-", stdin=diff)
    expected = read("tide-table", "demo.json")["expect"]
    assert counts(repository, tmp_path) == expected["tests"]["after"]
    assert changed(repository) == expected["changed"]


def test_the_cargo_manifest_codemods_leave_the_tests_green_and_the_old_style_gone(tmp_path: Path) -> None:
    repository = checkout("cargo-manifest", tmp_path)
    requirement = (EXAMPLES / "cargo-manifest" / "requirement.md").read_text("utf-8")
    bench = DirectoryWorkbench(repository)
    code_map = CodeMap(files=(), languages={}, test_command=(), baseline=None)
    task = Task(requirements=requirement, code_map=code_map, base_tree=git(repository, "rev-parse", "HEAD^{tree}"))
    engine = registry.pick(
        EngineKind.AUTO, requirements=requirement, metadata={}, chain=lambda: None, failing_before=()
    )
    engine.code(task, engine.plan(task, bench), bench)
    expected = read("cargo-manifest", "demo.json")["expect"]
    assert counts(repository, tmp_path) == expected["tests"]["after"]
    assert changed(repository) == expected["changed"]
    text = bench.text("manifest/cargo.py") + bench.text("manifest/report.py")
    assert not re.search(r"readCargo|List\[|Optional|import sys|coding: utf-8", text)


def test_the_harbor_queue_recording_starts_from_its_tree(tmp_path: Path) -> None:
    repository = checkout("harbor-queue", tmp_path)
    assert read("harbor-queue", "recording.json")["base_tree"] == git(repository, "rev-parse", "HEAD^{tree}")


def test_the_harbor_queue_recording_fails_first_and_then_recovers(tmp_path: Path) -> None:
    repository = checkout("harbor-queue", tmp_path)
    expected = read("harbor-queue", "demo.json")["expect"]
    first, second = read("harbor-queue", "recording.json")["attempts"]
    git(repository, "apply", "-", stdin=first["diff"])
    after_first = counts(repository, tmp_path)
    assert after_first["failed"] == 1
    assert after_first["passed"] + 1 == expected["tests"]["after"]["passed"]
    git(repository, "apply", "-", stdin=second["diff"])
    assert counts(repository, tmp_path) == expected["tests"]["after"]
    assert changed(repository) == expected["changed"]
    assert expected["attempts"] == 2
