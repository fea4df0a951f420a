"""COMMIT and PR: what was proved becomes a commit, a branch and a pull request. Each exactly once."""

from __future__ import annotations

from operations.coding import evidence, identity, pull_requests, upstream, vault
from operations.coding.context import Context, Done, Outcome
from operations.models import Stage


def commit(context: Context) -> Outcome:
    """Commit the tree on its base. The operation fixes author, date and message: the same tree, the same commit."""
    operation, analysis = context.operation, context.product(Stage.ANALYZE)
    tree = context.tree(Stage.CODE)
    evidence.require(operation, tree=tree)
    made = vault.commit(
        vault=context.vault,
        tree=tree,
        parents=(analysis["commit"],),
        message=identity.commit_message(operation.requirements, operation.engine_label, operation.pk),
        author=vault.MOORAGE,
        when=operation.created_at,
    )
    vault.preserve(vault=context.vault, name=made, operation_id=operation.pk, label="commit")
    branch = identity.branch_name(operation.requirements, operation.pk)
    context.say(f"commit {made[:12]} for branch {branch}")
    return Done({"commit": made, "branch": branch, "tree": tree})


def pull_request(context: Context) -> Outcome:
    """Push the branch and open its pull request, or find both there already."""
    made = context.product(Stage.COMMIT)
    proofs = evidence.require(context.operation, tree=made["tree"])
    context.check()
    upstream.push(
        vault=context.vault, remote=context.remote, commit=made["commit"], branch=made["branch"],
        credentials=context.credentials,
    )  # fmt: skip
    context.say(f"pushed {made['branch']}")
    context.check()
    opened = pull_requests.open_or_adopt(context, made=made, proofs=proofs)
    context.say(f"pull request #{opened.number} {opened.url}" + (" (was there already)" if opened.adopted else ""))
    return Done(
        {"number": opened.number, "url": opened.url, "state": opened.state, "title": opened.title,
         "adopted": opened.adopted}
    )  # fmt: skip
