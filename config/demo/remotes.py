"""Real git remotes out of ``examples/``: each example's history is committed anew and pushed to a bare repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """One example: its remote, and the operation to request on it."""

    name: str
    remote: Path
    base_branch: str
    template: str
    engine: str
    requirements: str
    metadata: dict[str, Any]
    expect: dict[str, Any]


def build(*, examples: Path, remotes: Path) -> tuple[Example, ...]:
    """A bare remote beneath ``remotes`` for every example, sorted by name."""
    found = sorted(folder for folder in examples.iterdir() if (folder / "demo.json").is_file())
    return tuple(_build(folder, remote=remotes / f"{folder.name}.git") for folder in found)


def _build(folder: Path, *, remote: Path) -> Example:
    demo = json.loads((folder / "demo.json").read_text())
    metadata = dict(demo["metadata"])
    if recording := demo.get("recording"):
        metadata["recording"] = json.loads((folder / recording).read_text())
    _push_history(folder, remote=remote, branch=demo["base_branch"])
    return Example(
        name=demo["name"], remote=remote, base_branch=demo["base_branch"], template=demo["template"],
        engine=demo["engine"], requirements=(folder / "requirement.md").read_text(), metadata=metadata,
        expect=demo["expect"],
    )  # fmt: skip


def _push_history(folder: Path, *, remote: Path, branch: str) -> None:
    remote.parent.mkdir(parents=True, exist_ok=True)
    _git(remote.parent, "init", "--bare", "--quiet", f"--initial-branch={branch}", str(remote))
    with tempfile.TemporaryDirectory(prefix="moorage-example-") as scratch:
        work = Path(scratch)
        _git(work, "init", "--quiet", f"--initial-branch={branch}")
        for commit in json.loads((folder / "history.json").read_text())["commits"]:
            for name in commit["files"]:
                target = work / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / "tree" / name, target)
                target.chmod(0o644)
            _git(work, "add", "--all")
            author, email = parseaddr(commit["author"])
            _git(
                work, "commit", "--quiet", "--message", commit["message"],
                environment={
                    f"GIT_{role}_{field}": value
                    for role in ("AUTHOR", "COMMITTER")
                    for field, value in (("NAME", author), ("EMAIL", email), ("DATE", commit["date"]))
                },
            )  # fmt: skip
        _git(work, "push", "--quiet", str(remote), branch)


def _git(directory: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
    # The user's own configuration (signing, hooks, templates) has no say in what the demo makes.
    plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "-C", str(directory), *arguments], check=True, env={**plain, **(environment or {})})
