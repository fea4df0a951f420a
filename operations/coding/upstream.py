"""Between the vault and the remote: the base branch comes in, our branch goes out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from events.faults import Fault
from operations.coding.changes import list_files
from operations.coding.credentials import NO_CREDENTIALS, Credentials, shown_to
from operations.coding.git_faults import BranchDiverged, BranchNotFound, RepositoryEmpty, TooBig, TreeMissing
from operations.coding.host_git import Ran, run
from operations.coding.identity import OURS, is_branch_name
from operations.coding.limits import LIMITS, Limits
from operations.coding.remotes import Kind, Remote, Resolve, admit, resolve_host
from operations.coding.vault import Vault, has, locked, object_id, ref_of, tree_of


@dataclass(frozen=True, slots=True)
class Base:
    """Where work starts: the branch by name, its commit, and that commit's tree."""

    branch: str
    commit: str
    tree: str


def fetch_base(
    *,
    vault: Vault,
    remote: Remote,
    branch: str | None,
    operation_id: UUID | str,
    credentials: Credentials = NO_CREDENTIALS,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve_host,
) -> Base:
    """Fetch the tip of ``branch`` (None or empty: what the remote's HEAD names), without history.

    It is kept under ``refs/moorage/<operation>/base``; fetching again moves that ref to the branch's new tip.
    """
    with _line(vault, remote, credentials, limits, resolve) as line:
        name = branch or line.default_branch()
        if not is_branch_name(name):
            raise BranchNotFound(f"{name[:80]!r} cannot be the name of a branch", pointer="/base_branch")
        ref = ref_of(operation_id, "base")
        with locked(vault, timeout_s=limits.fetch_timeout_s):
            line.fetch(f"refs/heads/{name}", ref)
    commit = run(vault.path, "rev-parse", "--verify", f"{ref}^{{commit}}", doing="Reading the base").text()
    base = Base(name, object_id(commit), tree_of(vault, commit))
    list_files(vault=vault, tree=base.tree, limits=limits)
    return base


def tip_of(
    *,
    vault: Vault,
    remote: Remote,
    branch: str,
    credentials: Credentials = NO_CREDENTIALS,
    timeout_s: float,
    resolve: Resolve = resolve_host,
) -> tuple[str, str]:
    """``branch`` (empty: what the remote's HEAD names) and the commit where it is now; nothing is fetched.

    The remote is asked at most three times, each for at most ``timeout_s``.
    """
    with _line(vault, remote, credentials, LIMITS, resolve, patience_s=timeout_s) as line:
        name = branch or line.default_branch()
        if not is_branch_name(name):
            raise BranchNotFound(f"{name[:80]!r} cannot be the name of a branch", pointer="/base_branch")
        commit = line.tip(name)
        if commit is None:
            raise line.no_such_branch(name)
        return name, commit


def push(
    *,
    vault: Vault,
    remote: Remote,
    commit: str,
    branch: str,
    credentials: Credentials = NO_CREDENTIALS,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve_host,
) -> None:
    """Make ``branch`` exist on the remote at ``commit``; pushing again is fine, another commit there a fault.

    The branch is created or confirmed, never moved; a commit that is neither there nor in the vault is
    ``vault.tree_missing``. After an error the remote is asked what it has: a connection that broke after the remote
    took the push is a success.
    """
    if not is_branch_name(branch):
        raise BranchNotFound(f"{branch[:80]!r} cannot be the name of a branch")
    with _line(vault, remote, credentials, limits, resolve) as line:
        if line.holds(branch, commit):
            return
        if not has(vault, commit):
            raise TreeMissing(f"the vault of this host does not hold commit {commit[:12]}")
        try:
            line.push(object_id(commit), branch)
        except Fault:
            if not line.holds(branch, commit):
                raise


def move_branch(
    *,
    vault: Vault,
    remote: Remote,
    branch: str,
    expected: str,
    commit: str,
    credentials: Credentials = NO_CREDENTIALS,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve_host,
) -> None:
    """Move ``branch`` on the remote from ``expected`` to ``commit``, in one step or not at all. Again is fine.

    A branch that is elsewhere by now is ``git.branch_diverged``. So is a ``commit`` that does not build on
    ``expected``, except for a branch that Moorage made: that may be put on a base that moved.
    """
    if not is_branch_name(branch):
        raise BranchNotFound(f"{branch[:80]!r} cannot be the name of a branch")
    commit = object_id(commit)
    if not branch.startswith(OURS) and not _builds_on(vault, commit, expected):
        raise BranchDiverged(f"{commit[:12]} does not build on {expected[:12]}")
    with _line(vault, remote, credentials, limits, resolve) as line:
        if line.tip(branch) == commit:
            return
        try:
            line.push(commit, branch, expected=expected)
        except Fault:
            found = line.tip(branch)
            if found == commit:
                return
            if found != expected:
                raise BranchDiverged(f"The branch {branch} moved to {(found or 'nothing')[:12]}") from None
            raise


def _builds_on(vault: Vault, commit: str, base: str) -> bool:
    above = run(
        vault.path, "merge-base", "--is-ancestor", object_id(base), commit, doing="Comparing commits", codes=(0, 1)
    )
    return above.code == 0


def fetch_commit(
    *,
    vault: Vault,
    remote: Remote,
    commit: str,
    operation_id: UUID | str,
    credentials: Credentials = NO_CREDENTIALS,
    limits: Limits = LIMITS,
    resolve: Resolve = resolve_host,
) -> None:
    """Have this commit in the vault, without history: another host made it. It is kept for the operation."""
    if has(vault, commit):
        return
    with _line(vault, remote, credentials, limits, resolve) as line, locked(vault, timeout_s=limits.fetch_timeout_s):
        line.fetch(object_id(commit), ref_of(operation_id, f"fetched-{commit[:12]}"))


@dataclass(frozen=True, slots=True)
class _Line:
    """An admitted connection to one remote: its address, environment and settings of git."""

    vault: Vault
    remote: Remote
    limits: Limits
    environment: dict[str, str]
    config: tuple[str, ...]
    patience_s: float = 60.0

    def git(self, *arguments: str, doing: str, timeout_s: float | None = None, **options: object) -> Ran:
        return run(
            self.vault.path,
            *arguments,
            doing=doing,
            environment=self.environment,
            config=self.config,
            protocols=self.remote.kind.value,
            timeout_s=timeout_s or self.patience_s,
            **options,  # type: ignore[arg-type]
        )

    def listed(self, *patterns: str, symbolic: bool = False) -> list[tuple[str, str]]:
        flags = ("--symref",) if symbolic else ()
        said = self.git("ls-remote", *flags, "--", self.remote.url, *patterns, doing="Asking the remote").text()
        return [(what, ref) for what, _, ref in (line.partition("\t") for line in said.splitlines())]

    def default_branch(self) -> str:
        for what, ref in self.listed("HEAD", symbolic=True):
            if ref == "HEAD" and what.startswith("ref: refs/heads/"):
                return what.removeprefix("ref: refs/heads/")
        branches = [ref.removeprefix("refs/heads/") for _, ref in self.listed("refs/heads/*")]
        if not branches:
            raise RepositoryEmpty("The repository has no branch yet")
        raise BranchNotFound(
            f"The repository does not say which branch is its main one; it has {', '.join(branches[:10])}",
            pointer="/base_branch",
        )

    def fetch(self, source: str, ref: str) -> None:
        packs = self.vault.path / "objects" / "pack"
        leftovers = [*packs.glob("tmp_*")]

        def grown() -> bool:
            return sum(_size(path) for path in packs.glob("tmp_*")) > self.limits.fetch_bytes

        try:
            self.git(
                "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head",
                "--no-auto-maintenance", "--no-recurse-submodules", "--update-shallow",
                "--", self.remote.url, f"+{source}:{ref}",
                doing="Fetching the base branch", timeout_s=self.limits.fetch_timeout_s, grown=grown,
            )  # fmt: skip
        except TooBig as fault:
            raise TooBig(f"The branch is more than {self.limits.fetch_bytes} bytes") from fault
        except BranchNotFound as fault:
            raise self.no_such_branch(source.removeprefix("refs/heads/")) from fault
        finally:
            for path in {*leftovers, *packs.glob("tmp_*")}:  # ours alone: the vault is locked
                path.unlink(missing_ok=True)

    def no_such_branch(self, name: str) -> Fault:
        """The fault that says which branches there are."""
        branches = [ref.removeprefix("refs/heads/") for _, ref in self.listed("refs/heads/*")]
        if not branches:
            return RepositoryEmpty("The repository has no branch yet")
        return BranchNotFound(
            f"The repository has no branch {name!r}; it has {', '.join(branches[:10])}",
            pointer="/base_branch",
        )

    def tip(self, branch: str) -> str | None:
        """Where the remote's branch is; None when there is no such branch."""
        ref = f"refs/heads/{branch}"
        return next((what for what, found in self.listed(ref) if found == ref), None)

    def holds(self, branch: str, commit: str) -> bool:
        """Whether the remote's branch is at our commit; a fault when it is at another."""
        found = self.tip(branch)
        if found not in {None, commit}:
            raise BranchDiverged(f"The branch {branch} is on the remote already, at {str(found)[:12]}")
        return found is not None

    def push(self, commit: str, branch: str, *, expected: str = "") -> None:
        """Put the branch at ``commit`` if it is at ``expected`` (empty: absent), in one step at the remote."""
        ref = f"refs/heads/{branch}"
        self.git(
            "push", "--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no",
            f"--force-with-lease={ref}:{expected}", "--", self.remote.url, f"{commit}:{ref}",
            doing="Pushing the branch", timeout_s=self.limits.fetch_timeout_s,
        )  # fmt: skip


@contextlib.contextmanager
def _line(
    vault: Vault,
    remote: Remote,
    credentials: Credentials,
    limits: Limits,
    resolve: Resolve,
    *,
    patience_s: float = 60.0,
) -> Iterator[_Line]:
    addresses = admit(remote, resolve=resolve)
    config: tuple[str, ...] = ()
    if remote.kind in {Kind.HTTPS, Kind.HTTP} and remote.host not in addresses:
        # curl connects to what was just checked, not to what the name says a moment later.
        shown = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        config = (f"http.curloptResolve={remote.host}:{remote.port}:{shown}",)
    with shown_to(remote, credentials, addresses=addresses, beside=vault.path.parent) as environment:
        yield _Line(vault, remote, limits, environment, config, patience_s)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
