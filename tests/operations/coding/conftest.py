"""Real git repositories to work on: a remote, a vault, a berth."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from operations.coding.vault import Vault, open_vault
from tests.fakes.plain_sandbox import PlainSandbox
from tests.operations.coding.gate_keeping import Red, judging
from tests.operations.coding.turns import due_operation

__all__ = ["due_operation"]


def git(directory: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git as somebody else would, outside of our doors."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
    }  # fmt: skip
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "replace").strip()


@dataclass
class Upstream:
    """A bare remote and a clone to push to it from."""

    bare: Path
    clone: Path

    def push(self, files: dict[str, bytes | None], *, branch: str = "main", message: str = "Change") -> str:
        """Commit these files (None deletes) and push the branch; returns the commit."""
        for name, content in files.items():
            path = self.clone / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        git(self.clone, "add", "--all", "--force")
        git(self.clone, "commit", "--quiet", "--allow-empty", "-m", message)
        git(self.clone, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.clone, "rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    bare, clone = tmp_path / "roots" / "remote.git", tmp_path / "clone"
    bare.mkdir(parents=True)
    clone.mkdir()
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    git(clone, "init", "--quiet", "--initial-branch=main")
    git(clone, "remote", "add", "origin", str(bare))
    return Upstream(bare, clone)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(root=tmp_path / "vaults", project_id=uuid4())


@pytest.fixture
def sandbox(tmp_path: Path) -> PlainSandbox:
    workspace = tmp_path / "berth"
    workspace.mkdir()
    return PlainSandbox(workspace)


@pytest.fixture
def tree_from(vault: Vault, tmp_path: Path) -> Callable[[dict[str, bytes]], str]:
    """Put files into the vault as a tree, by plain plumbing."""

    def make(files: dict[str, bytes]) -> str:
        index = {"GIT_INDEX_FILE": str(tmp_path / f"index-{uuid4()}")}
        lines = []
        for name, content in files.items():
            oid = git(vault.path, "hash-object", "-w", "--stdin", stdin=content)
            lines.append(f"100644 {oid}\t{name}\n")
        environment = {"PATH": os.environ["PATH"], **index}
        for command, stdin in (
            (["update-index", "--add", "--index-info"], "".join(lines).encode()),
            (["write-tree"], b""),
        ):
            done = subprocess.run(
                ["git", *command],
                cwd=vault.path,
                env=environment,
                input=stdin,
                capture_output=True,
                check=True,
            )
        return done.stdout.decode().strip()

    return make


@pytest.fixture
def red(vault: Vault, tree_from: Callable[[dict[str, bytes]], str]) -> Red:
    """The gates that stop a change."""
    return judging(vault, tree_from)
