"""COMMIT and PR: what was proved becomes a commit, a branch and a pull request. Each exactly once."""

from __future__ import annotations

from django.utils import timezone

from operations.coding import carrying, evidence, identity, local_checks, pull_requests, upstream, vault, watching
from operations.coding.context import Context, Done, Level, Outcome
from operations.coding.forges.local_forge import LocalForge
from operations.coding.forges.protocol import OpenedPullRequest
from operations.models import PullRequest, Rework, Stage


def commit(context: Context) -> Outcome:
    """Commit the tree on its base. The operation fixes author, date and message: the same tree, the same commit.

    A round's commit goes on top of the branch, or on the base where that moved.
    """
    operation, analysis, rework = context.operation, context.product(Stage.ANALYZE), context.rework
    tree = context.tree(Stage.CODE)
    evidence.require(operation, tree=tree)
    on_top = rework is not None and carrying.stands_on_base(context, rework)
    message = identity.commit_message(operation.requirements, operation.engine_label, operation.pk)
    if rework is not None:
        message = f"{message.rstrip()}\nMoorage-Round: {rework.number} ({rework.cause})\n"
    made = vault.commit(
        vault=context.vault,
        tree=tree,
        parents=(rework.head_commit if rework is not None and on_top else analysis["commit"],),
        message=message,
        author=vault.MOORAGE,
        when=rework.created_at if rework is not None else operation.created_at,
    )
    label = "commit" if rework is None else f"commit-{rework.number}"
    vault.preserve(vault=context.vault, name=made, operation_id=operation.pk, label=label)
    branch = rework.pull_request.head_branch if rework else identity.branch_name(operation.requirements, operation.pk)
    context.say(f"commit {made[:12]} for branch {branch}")
    return Done({"commit": made, "branch": branch, "tree": tree})


def pull_request(context: Context) -> Outcome:
    """Push the branch and open its pull request, or find both there already."""
    made = context.product(Stage.COMMIT)
    proofs = evidence.require(context.operation, tree=made["tree"])
    context.check()
    if context.rework is None:
        upstream.push(
            vault=context.vault, remote=context.remote, commit=made["commit"], branch=made["branch"],
            credentials=context.credentials,
        )  # fmt: skip
        context.say(f"pushed {made['branch']}")
        context.check()
        opened = pull_requests.open_or_adopt(context, made=made, proofs=proofs)
        for refused in opened.left_out:
            context.say(f"left out: {refused}", level=Level.WARNING)
    else:
        opened = _again(context, context.rework, commit=made["commit"])
    if isinstance(pull_requests.forge_for(context.operation), LocalForge):
        check = local_checks.run(context, tree=made["tree"])
        if check is not None:
            pull_requests.note_check(context.operation, number=opened.number, check=check)
    context.say(f"pull request #{opened.number} {opened.url}" + (" (was there already)" if opened.adopted else ""))
    return Done(
        {"number": opened.number, "url": opened.url, "state": opened.state, "title": opened.title,
         "adopted": opened.adopted}
    )  # fmt: skip


def _again(context: Context, rework: Rework, *, commit: str) -> OpenedPullRequest:
    """A round's commit on the same branch and the same pull request, if that is still open."""
    row, proofs = rework.pull_request, evidence.require(context.operation, tree=context.product(Stage.COMMIT)["tree"])
    watching.look_before_push(row.pk, now=timezone.now(), actor="system")
    context.check()  # one that was merged or closed meanwhile has ended the round
    upstream.move_branch(
        vault=context.vault, remote=context.remote, branch=row.head_branch, expected=rework.head_commit, commit=commit,
        credentials=context.credentials,
    )  # fmt: skip
    context.say(f"pushed {row.head_branch}")
    context.check()
    again = pull_requests.deliver_again(context, rework, made=context.product(Stage.COMMIT), proofs=proofs)
    return OpenedPullRequest(again.number, again.url, str(PullRequest.State(again.state)), again.title, adopted=True)
