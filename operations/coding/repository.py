"""The door between the vault and a berth: put a checkout in, take a snapshot out.

All git in a berth runs inside its sandbox, on a repository of ours beside the checkout, never on the
checkout's ``.git``: an agent may break that as it likes. The host sees a bundle only
(:mod:`operations.coding.bundles`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from operations.coding import bundles
from operations.coding.bundles import BASE_REF, WORK_REF
from operations.coding.git_faults import ContentRefused, GitMissing, SnapshotFailed
from operations.coding.limits import LIMITS, Limits
from operations.coding.vault import Vault, base_commit, object_id
from resources.files import Beneath
from resources.sandboxes.protocol import Command, Outcome, Sandbox

# Never part of a snapshot, whatever a .gitignore says: caches, environments, our own directory.
NEVER_TAKEN = (
    "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox", ".venv",
    "node_modules", ".moorage", ".coverage", ".DS_Store",
)  # fmt: skip
_NEVER_TAKEN_SUFFIXES = ("*.pyc", "*.pyo", "*.swp")

# Bytes in the tree are bytes in the file, both ways: no line endings, no keyword, no filter, no re-encoding.
_ATTRIBUTES = b"* -text -eol -ident -filter -working-tree-encoding\n"

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_AUTHOR_NAME": "Moorage",
    "GIT_AUTHOR_EMAIL": "moorage@localhost",
    "GIT_AUTHOR_DATE": "@1577836800 +0000",
    "GIT_COMMITTER_NAME": "Moorage",
    "GIT_COMMITTER_EMAIL": "moorage@localhost",
    "GIT_COMMITTER_DATE": "@1577836800 +0000",
    "LC_ALL": "C",
}

Cancelled = Callable[[], bool] | None


def checkout(
    *,
    sandbox: Sandbox,
    vault: Vault,
    tree: str,
    directory: Path,
    limits: Limits = LIMITS,
    cancelled: Cancelled = None,
) -> None:
    """Make ``directory`` a fresh checkout of exactly ``tree``; whatever was there is gone.

    ``directory`` lies beneath the sandbox's workspace and is not the workspace itself. The checkout has one
    commit on branch ``main`` and no remote.
    """
    berth = _Berth(sandbox, vault, directory, limits, cancelled)
    here = ("-C", str(directory))
    try:
        berth.inside("rm", "-rf", "--", str(directory), doing="Clearing the checkout")
        berth.hand_in(object_id(tree))
        berth.git(
            "init", "--quiet", "--template=", "--initial-branch=main", str(directory),
            doing="Making the checkout",
        )  # fmt: skip
        berth.git(*here, "fetch", "--quiet", "--no-tags", str(berth.incoming), BASE_REF, doing="Filling it")
        berth.write(f"{directory.name}/.git/info/attributes", _ATTRIBUTES)
        berth.git(*here, "reset", "--quiet", "--hard", "FETCH_HEAD", doing="Checking out")
    finally:
        berth.clear()


def snapshot(
    *,
    sandbox: Sandbox,
    vault: Vault,
    directory: Path,
    base_tree: str,
    limits: Limits = LIMITS,
    cancelled: Cancelled = None,
) -> str:
    """The tree of what ``directory`` holds now, let into the vault and checked against ``base_tree``.

    Files of ``base_tree`` are tracked; others are taken unless a ``.gitignore`` leaves them out. What
    :data:`NEVER_TAKEN` names stays as ``base_tree`` has it, be that absent.
    """
    berth = _Berth(sandbox, vault, directory, limits, cancelled)
    base = base_commit(vault=vault, tree=object_id(base_tree))
    handed_over = f"{berth.desk_name}/out-{secrets.token_hex(8)}.bundle"
    try:
        # Nothing that the sandbox kept is trusted to be whole: a fresh repository costs milliseconds.
        berth.prepare(base_tree)
        tree = berth.write_tree(base_tree)
        commit = berth.git(
            *berth.repository, "commit-tree", tree, "-p", base, "-m", "Work", doing="Committing in the sandbox"
        )
        berth.git(*berth.repository, "update-ref", WORK_REF, commit, doing="Naming the work")
        berth.git(
            *berth.repository, "bundle", "create", "--quiet", "--version=2",
            str(directory.parent / handed_over), WORK_REF, f"^{base}", doing="Handing the work over",
        )  # fmt: skip
        bundle = berth.read(handed_over)
    finally:
        berth.clear()
    return bundles.take_in(vault=vault, bundle=bundle, base_tree=base_tree, limits=limits)


@dataclass(frozen=True, slots=True)
class _Berth:
    """The sandbox side: a desk beside the checkout, with a repository of ours and the bundles."""

    sandbox: Sandbox
    vault: Vault
    directory: Path
    limits: Limits
    cancelled: Cancelled
    files: Beneath = field(init=False)

    def __post_init__(self) -> None:
        if (
            not self.directory.is_absolute()
            or ".." in self.directory.parts
            or self.directory.name.startswith(".")
        ):
            raise ValueError(f"{self.directory} is no place for a checkout")
        object.__setattr__(self, "files", Beneath(self.directory.parent))

    @property
    def desk_name(self) -> str:
        return f".moorage/git-{self.directory.name}"

    @property
    def desk(self) -> Path:
        return self.directory.parent / self.desk_name

    @property
    def incoming(self) -> Path:
        return self.desk / "in.bundle"

    @property
    def repository(self) -> tuple[str, ...]:
        return (f"--git-dir={self.desk / 'work.git'}", f"--work-tree={self.directory}")

    def hand_in(self, tree: str) -> None:
        """Put ``tree`` on an empty desk, as a bundle."""
        self.inside("rm", "-rf", "--", str(self.desk), doing="Clearing the desk")
        content = bundles.bundle_of(vault=self.vault, tree=tree, limits=self.limits)
        self.write(f"{self.desk_name}/in.bundle", content)

    def prepare(self, tree: str) -> None:
        """A new repository on the desk that holds ``tree`` as a commit without parents."""
        repository = str(self.desk / "work.git")
        self.hand_in(tree)
        self.git("init", "--bare", "--quiet", "--template=", repository, doing="Preparing the sandbox")
        self.write(f"{self.desk_name}/work.git/info/attributes", _ATTRIBUTES)
        self.git(
            f"--git-dir={repository}", "fetch", "--quiet", "--no-tags", str(self.incoming),
            f"+{BASE_REF}:{BASE_REF}", doing="Filling the sandbox",
        )  # fmt: skip

    def write_tree(self, base_tree: str) -> str:
        """Stage all there is on top of ``base_tree`` in an index of our own, and write it as a tree."""
        self.git(*self.repository, "read-tree", base_tree, doing="Reading the base")
        left_out = [f":(exclude,glob)**/{name}" for name in (*NEVER_TAKEN, *_NEVER_TAKEN_SUFFIXES)]
        left_out += [f":(exclude,glob)**/{name}/**" for name in NEVER_TAKEN]
        self.git(
            *self.repository, "-C", str(self.directory), "add", "--all", "--", ".", *left_out,
            doing="Collecting the changes",
        )  # fmt: skip
        return self.git(*self.repository, "write-tree", doing="Writing the tree")

    def git(self, *arguments: str, doing: str) -> str:
        """Run git inside; its output, which must be an object name if there is any."""
        settings = (
            "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false",
            "-c", "core.autocrlf=false", "-c", "core.excludesFile=/dev/null",
            "-c", "core.attributesFile=/dev/null",
            "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.addEmbeddedRepo=false",
            "-c", "commit.gpgSign=false", "-c", "safe.directory=*", "-c", "transfer.fsckObjects=false",
        )  # fmt: skip
        outcome = self.inside("git", *settings, *arguments, doing=doing)
        said = outcome.stdout.decode("utf-8", "replace").strip()
        return object_id(said) if said else ""

    def inside(self, *argv: str, doing: str) -> Outcome:
        """Run a command inside, or say what went wrong with it."""
        command = Command(
            argv=argv,
            cwd=self.directory.parent,
            environment=_ENVIRONMENT,
            timeout_s=self.limits.sandbox_timeout_s,
            output_limit_bytes=65_536,
        )
        outcome = self.sandbox.run(command, cancelled=self.cancelled)
        if outcome.ok:
            return outcome
        if outcome.exit_code in {126, 127}:
            raise GitMissing(f"{doing}: {argv[0]} is not there in the sandbox")
        if outcome.timed_out or outcome.cancelled or outcome.exit_code is None:
            raise SnapshotFailed(
                f"{doing}: {'cancelled' if outcome.cancelled else 'no end within the time limit'}"
            )
        said = outcome.text(1000)
        if "does not have a commit checked out" in said or "adding files failed" in said:
            raise ContentRefused(f"{doing}: {said}")
        raise SnapshotFailed(f"{doing}: {said}")

    def write(self, path: str, content: bytes) -> None:
        self.files.write(path, content)

    def read(self, path: str) -> bytes:
        """What the sandbox left for us, at most as much as a bundle may be."""
        try:
            return self.files.read(path, limit_bytes=self.limits.bundle_bytes)
        except FileNotFoundError as error:
            raise SnapshotFailed("The sandbox said that it wrote a bundle, but there is none") from error

    def clear(self) -> None:
        """Leave an empty desk. A sandbox that is gone took its desk with it: the caller's error is the news."""
        self.sandbox.run(
            Command(argv=("rm", "-rf", "--", str(self.desk)), cwd=self.directory.parent, timeout_s=60)
        )
