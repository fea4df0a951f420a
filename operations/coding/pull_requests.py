"""Pull requests: opened at the forge of the remote, described from evidence, merged where the forge is ours."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from events.journal import record
from operations import faults, policy, projects
from operations.coding import changes, credentials, identity, upstream, vault
from operations.coding.context import Context
from operations.coding.forges.github_forge import GitHubForge
from operations.coding.forges.local_forge import LocalForge
from operations.coding.forges.protocol import Forge, OpenedPullRequest, PullRequestDraft
from operations.models import Evidence, Operation, PullRequest, Stage, Step


def open_or_adopt(context: Context, *, made: dict[str, Any], proofs: list[Evidence]) -> OpenedPullRequest:
    """Open the operation's pull request, or find it; keep it as a row, whatever forge it is at."""
    operation, analysis = context.operation, context.product(Stage.ANALYZE)
    draft = PullRequestDraft(
        repository=context.remote.slug,
        head_branch=made["branch"],
        head_commit=made["commit"],
        base_branch=analysis["branch"],
        base_commit=analysis["commit"],
        title=identity.commit_message(operation.requirements, operation.engine_label, operation.pk).splitlines()[0],
        body=describe(context, proofs),
    )
    forge = forge_for(operation)
    opened = forge.open_or_adopt(draft)
    if not isinstance(forge, LocalForge):
        known = {
            "operation": operation, "url": opened.url, "title": opened.title[:200], "body": draft.body,
            "head_branch": draft.head_branch, "head_commit": draft.head_commit, "base_branch": draft.base_branch,
            "base_commit": draft.base_commit, "state": opened.state,
        }  # fmt: skip
        PullRequest.objects.update_or_create(
            project=operation.project, forge=forge.name, number=opened.number, defaults=known,
            create_defaults={**known, "created_at": timezone.now()},
        )  # fmt: skip
    return opened


def forge_for(operation: Operation) -> Forge:
    """GitHub for repositories on its host (or where the project's metadata says so), else the local forge."""
    host = projects.checked_remote(operation.project).host  # also of git@host:owner/name, which is no URL
    api_host = (urlsplit(settings.GITHUB_URL).hostname or "").removeprefix("api.")
    wanted = operation.project.metadata.get("forge", "github" if host == api_host else "local")
    if wanted == "github":
        return GitHubForge(base_url=settings.GITHUB_URL, token=settings.GITHUB_TOKEN)
    return LocalForge(operation)


def describe(context: Context, proofs: list[Evidence]) -> str:
    """The body, rendered from evidence alone."""
    operation, analysis = context.operation, context.product(Stage.ANALYZE)
    before, after = analysis["baseline"]["counts"], context.product(Stage.TEST)["counts"]
    code = context.product(Stage.CODE)
    gates = [f"- {'✓' if p.passed else '✗'} {p.name}: {p.detail.get('text', '')}" for p in proofs if p.kind == "gate"]
    quoted = "\n".join(f"> {line}" for line in operation.requirements[:3000].splitlines())
    return "\n".join(
        [
            f"**{operation.engine_label}**",
            "",
            code["summary"],
            "",
            "## Requirement",
            quoted,
            "",
            "## Tests",
            f"`{' '.join(analysis['baseline']['command'])}` on tree `{code['tree']}`, isolation {context.agent.tier}",
            "",
            "| | passed | failed | errors | skipped |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {counts['passed']} | {counts['failed']} | {counts['errors']} | {counts['skipped']} |"
                for name, counts in (("before", before), ("after", after))
            ),
            "",
            "## Gates",
            *gates,
            "",
            f"Moorage operation {operation.pk}",
        ]
    )


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
    merged = _merge_commit(row)
    with transaction.atomic():
        current = PullRequest.objects.select_for_update().get(pk=row.pk)
        if current.state == PullRequest.State.OPEN:
            current.state, current.merged_commit, current.merged_at = PullRequest.State.MERGED, merged, timezone.now()
            current.save(update_fields=["state", "merged_commit", "merged_at"])
            record("operation.pull_request_merged", current.operation, actor=f"user:{by}",
                   pull_request={"number": row.number, "state": "merged", "commit": merged})  # fmt: skip
    return current


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
