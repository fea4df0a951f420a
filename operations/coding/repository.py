"""The door between the vault and a berth: put a checkout in, take a snapshot out.

All git in a berth runs inside its sandbox, on a repository of ours beside the checkout, never on the
checkout's ``.git``: an agent may break that as it likes. The host sees a bundle only
(:mod:`operations.coding.bundles`).
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from operations.coding import bundles
from operations.coding.bundles import REF
from operations.coding.git_faults import ContentRefused, GitMissing, RebaseConflicts, RebaseEmpty, SnapshotFailed
from operations.coding.limits import LIMITS, Limits
from operations.coding.vault import MOORAGE, Vault, base_commit, commit, object_id
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

_SETTINGS = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false",
    "-c", "core.autocrlf=false", "-c", "core.excludesFile=/dev/null", "-c", "core.attributesFile=/dev/null",
    "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.addEmbeddedRepo=false",
    "-c", "commit.gpgSign=false", "-c", "safe.directory=*", "-c", "transfer.fsckObjects=false",
)  # fmt: skip

# Each of these is one command in the berth: starting one costs more than what git does. Words come as arguments only
# (docs/decisions/0007).
_GIT = f"""git() {{ command git {shlex.join(_SETTINGS)} "$@"; }}
directory=$1 desk=$2
"""
# The template brings our attributes along before the first file is written.
_CLONE = f'git clone --quiet --no-tags --branch={REF.removeprefix("refs/heads/")} --template="$desk/template"'
_CHECKOUT = f"""{_GIT}
rm -rf -- "$directory" &&
{_CLONE} "$desk/in.bundle" "$directory" || exit
"""
_CUT_OFF = """
git -C "$directory" remote remove origin || exit
rm -rf -- "$desk" || :
"""
_LEFT_OUT = shlex.join(
    [f":(exclude,glob)**/{name}" for name in (*NEVER_TAKEN, *_NEVER_TAKEN_SUFFIXES)]
    + [f":(exclude,glob)**/{name}/**" for name in NEVER_TAKEN]
)
_SNAPSHOT = f"""{_GIT}tree=$3 base=$4
work() {{ git -C "$directory" --git-dir="$desk/work.git" --work-tree="$directory" "$@"; }}
{_CLONE} --bare "$desk/in.bundle" "$desk/work.git" &&
work read-tree "$tree" &&
work add --all -- . {_LEFT_OUT} &&
work commit --quiet --no-verify --allow-empty -m Work &&
work bundle create --quiet --version=2 "$desk.bundle" {REF} "^$base" || exit
rm -rf -- "$desk" || :
"""

Cancelled = Callable[[], bool] | None
_OURS = "refs/heads/change"  # beside the base, where a change is put on it
_MOMENT = datetime(2020, 1, 1, tzinfo=UTC)  # of commits that never leave a berth


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
    with berth.cleared_on_failure():
        berth.hand_in(object_id(tree))
        berth.script(_CHECKOUT + _CUT_OFF, doing="Making the checkout")


def snapshot(
    *,
    sandbox: Sandbox,
    vault: Vault,
    directory: Path,
    base_tree: str,
    leave_out: Sequence[str] = (),
    limits: Limits = LIMITS,
    cancelled: Cancelled = None,
) -> str:
    """The tree of what ``directory`` holds now, let into the vault and checked against ``base_tree``.

    Files of ``base_tree`` are tracked; others are taken unless a ``.gitignore`` or ``leave_out`` leaves them out. What
    :data:`NEVER_TAKEN` names stays as ``base_tree`` has it, be that absent.
    """
    berth = _Berth(sandbox, vault, directory, limits, cancelled)
    base = base_commit(vault=vault, tree=object_id(base_tree))
    with berth.cleared_on_failure():
        # Nothing that the sandbox kept is trusted to be whole: a fresh repository costs milliseconds.
        berth.hand_in(base_tree, leave_out)
        berth.script(_SNAPSHOT, base_tree, base, doing="Collecting the changes")
        bundle = berth.take_out()
    return bundles.take_in(vault=vault, bundle=bundle, base_tree=base_tree, limits=limits)


def rebase(
    *,
    sandbox: Sandbox,
    vault: Vault,
    tree: str,
    base_tree: str,
    onto_tree: str,
    directory: Path,
    limits: Limits = LIMITS,
    cancelled: Cancelled = None,
) -> str:
    """The tree of ``onto_tree`` with what ``tree`` changes on ``base_tree``, merged in the sandbox and let in as ever.

    ``directory`` is a fresh checkout of it then. Raises RebaseConflicts, naming the files, where both changed the same
    lines, and RebaseEmpty where ``onto_tree`` has it all already.
    """
    base = base_commit(vault=vault, tree=object_id(base_tree))
    onto, ours = (
        commit(vault=vault, tree=object_id(name), parents=(base,), message=words, author=MOORAGE, when=_MOMENT)
        for name, words in ((onto_tree, "The base as it is now"), (tree, "The change"))
    )
    berth = _Berth(sandbox, vault, directory, limits, cancelled)
    try:
        berth.put(bundles.bundle_of_commits(vault=vault, refs={REF: onto, _OURS: ours}, limits=limits))
        berth.script(_CHECKOUT, doing="Making the checkout")
        berth.pick(ours)
    finally:
        berth.clear()
    merged = snapshot(
        sandbox=sandbox, vault=vault, directory=directory, base_tree=onto_tree, limits=limits, cancelled=cancelled
    )
    if merged == onto_tree:
        raise RebaseEmpty("the base branch holds the whole change already")
    return merged


def untracked(*, sandbox: Sandbox, directory: Path, cancelled: Cancelled = None) -> tuple[str, ...]:
    """What lies in a fresh checkout beside its files, as paths from its top; a whole directory ends with a slash.

    The checkout's own git is asked, inside: what it says only ever leaves something out of a change.
    """
    flags = ("--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z")
    command = Command(
        argv=("git", *_SETTINGS, "ls-files", *flags), cwd=directory, environment=_ENVIRONMENT, timeout_s=300
    )
    outcome = sandbox.run(command, cancelled=cancelled)
    if not outcome.ok or outcome.truncated:
        raise SnapshotFailed(f"Looking for what was added: {outcome.text(500) if not outcome.ok else 'too many files'}")
    names = outcome.stdout.decode("utf-8", "surrogateescape").split("\0")
    return tuple(name for name in names if name and "\n" not in name)


def is_never_taken(path: str) -> bool:
    """Whether a snapshot leaves this path out, where the base does not have it."""
    parts = path.split("/")
    return not set(NEVER_TAKEN).isdisjoint(parts) or parts[-1].endswith(tuple(s[1:] for s in _NEVER_TAKEN_SUFFIXES))


@dataclass(frozen=True, slots=True)
class _Berth:
    """The sandbox side: a desk of its own each time, with a repository of ours and the bundles that cross over."""

    sandbox: Sandbox
    vault: Vault
    directory: Path
    limits: Limits
    cancelled: Cancelled
    desk: Path = field(init=False)
    files: Beneath = field(init=False)

    def __post_init__(self) -> None:
        where = self.directory
        if not where.is_absolute() or ".." in where.parts or where.name[:1] in {"", "."}:
            raise ValueError(f"{where} is no place for a checkout")
        desk = where.parent / ".moorage" / f"git-{secrets.token_hex(8)}"
        object.__setattr__(self, "desk", desk)
        object.__setattr__(self, "files", Beneath(where.parent))

    def hand_in(self, tree: str, leave_out: Sequence[str] = ()) -> None:
        """Put ``tree`` on the desk, as a bundle, and what the repository made of it ignores."""
        self.put(bundles.bundle_of(vault=self.vault, tree=tree, limits=self.limits), leave_out)

    def put(self, content: bytes, leave_out: Sequence[str] = ()) -> None:
        """Put a bundle on the desk."""
        self.files.write(f".moorage/{self.desk.name}/in.bundle", content)
        self.files.write(f".moorage/{self.desk.name}/template/info/attributes", _ATTRIBUTES)
        ignored = "".join("/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", path) + "\n" for path in leave_out)
        self.files.write(f".moorage/{self.desk.name}/template/info/exclude", ignored.encode("utf-8", "surrogateescape"))

    def take_out(self) -> bytes:
        """What the sandbox left for us, at most as much as a bundle may be; it is gone then."""
        try:
            path = f".moorage/{self.desk.name}.bundle"
            bundle = self.files.read(path, limit_bytes=self.limits.bundle_bytes)
            self.files.delete(path)
        except FileNotFoundError as error:
            raise SnapshotFailed("The sandbox said that it wrote a bundle, but there is none") from error
        return bundle

    @contextmanager
    def cleared_on_failure(self) -> Iterator[None]:
        """A script leaves nothing on the desk where it comes to its end; else what is there goes."""
        try:
            yield
        except BaseException:
            self.clear()
            raise

    def clear(self) -> None:
        """Leave nothing on the desk."""
        command = ("rm", "-rf", "--", str(self.desk), f"{self.desk}.bundle")
        self.sandbox.run(Command(argv=command, cwd=self.directory.parent, timeout_s=60))

    def pick(self, change: str) -> None:
        """Apply a commit of the bundle to the checkout. Raises RebaseConflicts."""
        where = ("git", *_SETTINGS, "-C", str(self.directory))
        picked = self.run(*where, "cherry-pick", "--no-commit", "--strategy=ort", change)
        if picked.ok:
            return
        listed = self.run(*where, "diff", "--name-only", "--diff-filter=U", "-z")
        names = [name for name in listed.stdout.decode("utf-8", "replace").split("\0") if name] if listed.ok else []
        if not names:
            raise SnapshotFailed(f"Putting the change on the new base: {picked.text(1000)}")
        shown = ", ".join("".join(c if c.isprintable() else "?" for c in name)[:200] for name in names[:10])
        raise RebaseConflicts(f"the change and the base branch both changed the same lines of {shown}")

    def script(self, program: str, *words: str, doing: str) -> None:
        """Run one of the programs above inside, or say what went wrong with it."""
        outcome = self.run("sh", "-c", program, "sh", str(self.directory), str(self.desk), *words)
        if outcome.ok:
            return
        if outcome.exit_code in {126, 127}:
            raise GitMissing(f"{doing}: git is not there in the sandbox, or no shell")
        if outcome.timed_out or outcome.cancelled or outcome.exit_code is None:
            raise SnapshotFailed(f"{doing}: {'cancelled' if outcome.cancelled else 'no end within the time limit'}")
        said = outcome.text(1000)
        if "does not have a commit checked out" in said or "adding files failed" in said:
            raise ContentRefused(f"{doing}: {said}")
        raise SnapshotFailed(f"{doing}: {said}")

    def run(self, *argv: str) -> Outcome:
        """Run a command inside, however it ends."""
        command = Command(
            argv=argv,
            cwd=self.directory.parent,
            environment=_ENVIRONMENT,
            timeout_s=self.limits.sandbox_timeout_s,
            output_limit_bytes=65_536,
        )
        return self.sandbox.run(command, cancelled=self.cancelled)
