"""What can go wrong between us and a repository, each with whose turn it is and the way on."""

from __future__ import annotations

import re

from events.faults import Fault, FaultClass


class RepositoryRefused(Fault):
    """The repository address breaks a rule of :mod:`operations.coding.remotes`."""

    code = "repository.refused"
    remedy = "Give an https or ssh address without credentials, or a path beneath MOORAGE_REPOSITORY_ROOTS."


class RepositoryNotFound(Fault):
    """The remote says that there is no such repository (or hides it from us)."""

    code = "git.repository_not_found"
    remedy = "Check the address, and that the configured credentials may read it."


class BranchNotFound(Fault):
    """The repository has no branch of that name."""

    code = "git.branch_not_found"
    remedy = "Set the project's base branch to one that exists."


class RepositoryEmpty(Fault):
    """The repository has no commit yet."""

    code = "git.repository_empty"
    remedy = "Push a first commit, then retry."


class Unreachable(Fault):
    """The remote did not answer, or the connection broke."""

    fault_class = FaultClass.TRANSIENT
    code = "git.unreachable"
    remedy = "It is tried again by itself; check the network and the remote if it stays so."
    http_status = 503


class VaultBusy(Fault):
    """Another operation held the vault's lock for too long."""

    fault_class = FaultClass.TRANSIENT
    code = "git.busy"
    remedy = "It is tried again by itself."
    http_status = 503


class AuthFailed(Fault):
    """The remote wants credentials that we do not have, or refuses those we have."""

    fault_class = FaultClass.CONFIGURATION
    code = "git.auth"
    remedy = (
        "Set MOORAGE_GIT_TOKEN (for ssh MOORAGE_GIT_SSH_KEY_FILE) to what may read and push this repository; "
        "ssh refuses servers whose key it does not know (MOORAGE_GIT_SSH_KNOWN_HOSTS_FILE)."
    )


class OwnedByAnother(Fault):
    """A local repository belongs to another user than the service: git does not trust its hooks and settings."""

    fault_class = FaultClass.CONFIGURATION
    code = "git.owner"
    remedy = "Give the repository to the user that Moorage runs as: chown -R."


class TooBig(Fault):
    """A fetch or a snapshot exceeds the limits."""

    code = "git.too_big"
    remedy = "Raise the limit, or keep generated and binary files out of the repository."


class ContentRefused(Fault):
    """Objects or paths that we do not let in: corrupt, traps, or names no repository should have."""

    code = "git.content_refused"
    remedy = "Remove what the detail names from the change."


class SnapshotFailed(Fault):
    """The sandbox did not hand over what it has."""

    fault_class = FaultClass.RESOURCE
    code = "git.snapshot_failed"
    remedy = "The environment is created again from the last snapshot."


class BranchDiverged(Fault):
    """The branch is on the remote already, with another commit than ours. It is never forced."""

    code = "git.branch_diverged"
    remedy = "Delete or rename the branch on the remote, or retry as a new operation."
    http_status = 409


class RebaseConflicts(Fault):
    """The change and what happened to its base branch meanwhile do not fit together."""

    code = "rebase.conflicts"
    remedy = "Merge the base branch into the pull request's branch by hand, or request the change anew."
    http_status = 409


class RebaseEmpty(Fault):
    """The base branch has the whole change by now."""

    code = "rebase.empty"
    remedy = "Close the pull request: there is nothing left to merge."
    http_status = 409


class TreeMissing(Fault):
    """The work of an earlier stage lies in the vault of another host, or its vault was lost."""

    fault_class = FaultClass.RESOURCE
    code = "vault.tree_missing"
    remedy = "The work begins again on a fresh clone."


class PushRejected(Fault):
    """The remote refused the push by a rule of its own."""

    code = "git.push_rejected"
    remedy = "Look at the remote's rules for branches and hooks."


class BaseGone(Fault):
    """The base branch was force-pushed meanwhile: the remote lacks the commit that the work stands on."""

    fault_class = FaultClass.RESOURCE
    code = "git.base_gone"
    remedy = "The work begins again on the base branch as it is now."


class NoSpace(Fault):
    """The host's disk is full."""

    fault_class = FaultClass.RESOURCE
    code = "git.no_space"
    remedy = "Free space where MOORAGE_DATA lives."


class GitMissing(Fault):
    """There is no git program where one is needed."""

    fault_class = FaultClass.CONFIGURATION
    code = "git.missing"
    remedy = "Install git on the host and in the sandbox image; `python manage.py doctor` says where."


class GitFailed(Fault):
    """git failed in a way that we have no name for."""

    fault_class = FaultClass.TRANSIENT
    code = "git.failed"
    remedy = "Look at the detail; it is tried again a few times."


# First match wins; texts are git's own under LC_ALL=C, and those of curl and ssh.
_SYMPTOMS: tuple[tuple[str, type[Fault]], ...] = (
    (r"no space left on device|disk quota exceeded", NoSpace),
    (r"dubious ownership", OwnedByAnother),
    (r"couldn't find remote ref|remote branch .* not found", BranchNotFound),
    (
        r"authentication failed|could not read (username|password)|terminal prompts disabled"
        r"|permission denied|returned error: 40[13]"
        r"|host key verification failed|invalid username or",
        AuthFailed,
    ),
    (
        r"repository '?.*'? ?not found|does not appear to be a git repository|returned error: (404|410)"
        r"|does not exist",
        RepositoryNotFound,
    ),
    (r"pack exceeds maximum allowed size|over limit|out of memory, malloc failed", TooBig),
    (
        r"fsck error|error in (object|tree|commit|blob)|malformed|invalid object|bad object|corrupt"
        r"|unresolved delta|did not receive expected object|inflate|sha1 collision|badTree|bad sha1"
        r"|pack has bad|is not a commit|pack signature|missing (blob|tree|commit)|unable to read",
        ContentRefused,
    ),
    (r"\.lock': file exists|cannot lock ref|unable to create '", VaultBusy),
    (r"shallow update not allowed", BaseGone),
    (r"\[remote rejected\]|hook declined|protected branch|pre-receive", PushRejected),
    (
        r"could not resolve|connection (refused|timed out|reset)|timed out|unable to access|hung up|early eof"
        r"|rpc failed|returned error: (429|5\d\d)|network is unreachable|no route to host|expected flush"
        r"|unexpected disconnect",
        Unreachable,
    ),
)

_SECRETS = (
    (re.compile(r"(?<=://)[^@/\s]+@"), "…@"),
    (re.compile(r"\b(gh[pousr]_|github_pat_|glpat-|sk-)[A-Za-z0-9_\-]{8,}"), "…"),
    (re.compile(r"(?i)(authorization|private-token|x-api-key)\s*[:=]\s*\S+( \S+)?"), r"\1: …"),
)


def redact(text: str, *, limit: int = 1500) -> str:
    """``text`` without credentials and control characters, its tail of at most ``limit`` characters."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text).strip()
    return text if len(text) <= limit else "…" + text[-limit:]


def classify(stderr: str, *, doing: str) -> Fault:
    """The fault that git's error text stands for; ``doing`` starts the sentence a person reads."""
    words = redact(stderr)
    for pattern, fault in _SYMPTOMS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return fault(f"{doing}: {words}")
    return GitFailed(f"{doing}: {words or 'git said nothing'}")
