"""Pull requests: opened at the forge of the remote, delivered again after a round, merged where the forge is ours."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from events.journal import record
from operations import faults, policy, projects
from operations.coding import bodies, changes, credentials, identity, upstream, vault, wishes
from operations.coding.context import Context
from operations.coding.forges.local_forge import LocalForge
from operations.coding.forges.protocol import Check, Forge, Known, OpenedPullRequest, PullRequestDraft, Seen
from operations.coding.git_faults import BranchDiverged
from operations.models import Evidence, Operation, PullRequest, Rework, Stage, Step

FIRST_LOOK = timedelta(seconds=60)  # at a fresh delivery: by then its checks are there to be seen


def open_or_adopt(context: Context, *, made: dict[str, Any], proofs: list[Evidence]) -> OpenedPullRequest:
    """Open the operation's pull request, or find it; keep it as a row, whatever forge it is at."""
    operation, analysis = context.operation, context.product(Stage.ANALYZE)
    wanted = wishes.pull_request(context.spec, operation.project.metadata)
    draft = PullRequestDraft(
        repository=context.remote.slug,
        head_branch=made["branch"],
        head_commit=made["commit"],
        base_branch=analysis["branch"],
        base_commit=analysis["commit"],
        title=identity.commit_message(operation.requirements, operation.engine_label, operation.pk).splitlines()[0],
        body=bodies.describe(context, proofs),
        draft=wanted.draft,
        labels=wanted.labels,
        reviewers=wanted.reviewers,
        teams=wanted.teams,
    )
    forge = forge_for(operation)
    opened = forge.open_or_adopt(draft)
    if not isinstance(forge, LocalForge):
        known = {
            "operation": operation, "url": opened.url, "title": opened.title[:200], "body": draft.body,
            "head_branch": draft.head_branch, "head_commit": draft.head_commit, "base_branch": draft.base_branch,
            "base_commit": draft.base_commit, "state": opened.state, "look_due_at": timezone.now() + FIRST_LOOK,
        }  # fmt: skip
        PullRequest.objects.update_or_create(
            project=operation.project, forge=forge.name, number=opened.number, defaults=known,
            create_defaults={**known, "created_at": timezone.now()},
        )  # fmt: skip
    return opened


def deliver_again(context: Context, rework: Rework, *, made: dict[str, Any], proofs: list[Evidence]) -> PullRequest:
    """The pull request of a round, whose branch was pushed: its body and our row say what it holds now."""
    operation, body = context.operation, bodies.describe(context, proofs)
    row = rework.pull_request
    forge_for(operation).redescribe(known(row), body=body)
    PullRequest.objects.filter(pk=row.pk).update(
        head_commit=made["commit"], base_commit=context.product(Stage.ANALYZE)["commit"], body=body, seen={}, etags={},
        quiet_looks=0, troubled_since=None, note="", look_due_at=timezone.now() + FIRST_LOOK,
    )  # fmt: skip
    row.refresh_from_db()
    return row


def note_check(operation: Operation, *, number: int, check: Check) -> None:
    """Keep what the local forge's own check said of a delivery; a look is due at once."""
    row = PullRequest.objects.get(project=operation.project, forge=LocalForge.name, number=number)
    seen = LocalForge(operation).look(known(row))
    row.seen = replace(seen, checks=(check,), conflicts=False).as_dict()
    row.look_due_at = timezone.now()
    row.save(update_fields=["seen", "look_due_at"])


def known(row: PullRequest) -> Known:
    """What we know of a pull request, for a look at it."""
    slug = "" if row.forge == LocalForge.name else projects.checked_remote(row.project).slug
    return Known(row.number, slug, Seen.from_dict(row.seen, etags=row.etags), handled=frozenset(row.handled))


def forge_for(operation: Operation) -> Forge:
    """GitHub for repositories on its host (or where the project's metadata says so), else the local forge."""
    host = projects.checked_remote(operation.project).host  # also of git@host:owner/name, which is no URL
    api_host = (urlsplit(settings.GITHUB_URL).hostname or "").removeprefix("api.")
    wanted = operation.project.metadata.get("forge", "github" if host == api_host else "local")
    if wanted == "github":
        # PyGithub loads with it, in every process of ours: only where a pull request is there.
        from operations.coding.forges.github_forge import GitHubForge

        return GitHubForge(base_url=settings.GITHUB_URL, token=settings.GITHUB_TOKEN)
    return LocalForge(operation)


def merge(*, by: Any, pull_request_id: uuid.UUID | str) -> PullRequest:
    """Merge a pull request of the local forge: a merge commit on the base branch, which must not have moved.

    Raises NotPossibleNow when it is not open, not local, or its base branch has other commits by now.
    """
    row = PullRequest.objects.select_related("project", "operation").filter(pk=pull_request_id).first()
    if row is None:
        raise faults.OperationNotFound(f"there is no pull request {pull_request_id}")
    policy.operation(by, row.operation_id)
    if row.forge != LocalForge.name or row.state != PullRequest.State.OPEN:
        raise faults.NotPossibleNow(f"pull request #{row.number} is {row.state} at forge {row.forge}")
    try:
        merged = _merge_commit(row)
    except BranchDiverged as fault:
        raise _rebased_first(row, fault) from fault
    with transaction.atomic():
        current = PullRequest.objects.select_for_update().get(pk=row.pk)
        if current.state == PullRequest.State.OPEN:
            current.state, current.merged_commit, current.merged_at = PullRequest.State.MERGED, merged, timezone.now()
            current.save(update_fields=["state", "merged_commit", "merged_at"])
            record("operation.pull_request_merged", current.operation, actor=f"user:{by}",
                   pull_request={"number": row.number, "state": "merged", "commit": merged})  # fmt: skip
    return current


def _rebased_first(row: PullRequest, fault: BranchDiverged) -> faults.NotPossibleNow:
    """Its base has other commits by now: the look that this leads to begins a round that puts it on them."""
    with transaction.atomic():
        current = PullRequest.objects.select_for_update().select_related("operation").get(pk=row.pk)
        seen = LocalForge(current.operation).look(known(current))
        current.seen = replace(seen, conflicts=True).as_dict()
        current.save(update_fields=["seen"])
        record("operation.pull_request_hinted", current.operation, actor="system", reason=fault.detail,
               pull_request_id=str(row.pk))  # fmt: skip
    return faults.NotPossibleNow(
        f"{row.base_branch} moved since pull request #{row.number} was made",
        remedy="It is put on the new base by itself; merge it once that round has succeeded.",
    )


def _merge_commit(row: PullRequest) -> str:
    remote = projects.checked_remote(row.project)
    store = vault.existing(row.project_id)
    if store is None or not vault.has(store, row.head_commit):
        raise faults.NotPossibleNow(
            f"the vault with the commits of pull request #{row.number} is not on this machine", remedy=where(row)
        )
    merged = vault.commit(
        vault=store,
        tree=vault.tree_of(store, row.head_commit),
        parents=(row.base_commit, row.head_commit),
        message=f"Merge pull request #{row.number}: {row.title}",
        author=vault.MOORAGE,
        when=row.created_at,
    )
    upstream.move_branch(
        vault=store, remote=remote, branch=row.base_branch, expected=row.base_commit, commit=merged,
        credentials=credentials.configured(),
    )  # fmt: skip
    return merged


def mergeable_here(row: PullRequest) -> bool:
    """Whether this machine can merge it: open, of the local forge, and its project's vault is here."""
    ours = row.forge == LocalForge.name and row.state == PullRequest.State.OPEN
    return ours and vault.existing(row.project_id) is not None


def where(row: PullRequest) -> str:
    """Where it can be merged, in words."""
    host = ((row.operation.agent and row.operation.agent.host) or None) if row.operation else None
    place = f"host {host.name}" if host else "the host that it was made on"
    return f"Merge it on {place}, or merge {row.head_branch} into {row.base_branch} in the repository itself."


def diff_of(operation: Operation) -> changes.Diff:
    """What the operation's last coded tree changes on its base, as its step row keeps it; empty before there is one."""
    coded = operation.steps.filter(stage=Stage.CODE, outcome=Step.Outcome.DONE).order_by("-id").first()
    return changes.Diff.from_dict(coded.product["diff"]) if coded else changes.Diff("", truncated=False, changes=())
