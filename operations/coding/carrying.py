"""What a pull request's branch holds, put on the base as it is now: in the sandbox, where its content belongs."""

from __future__ import annotations

from pathlib import Path

from operations.coding import repository, upstream, vault
from operations.coding.context import Context
from operations.models import Rework, Stage


def branch_on_base(context: Context, rework: Rework, *, directory: Path) -> str:
    """The tree from which the round goes on. Raises RebaseConflicts where the base and the branch do not fit."""
    delivered = _delivered(context, rework)
    analysis = context.product(Stage.ANALYZE)
    if analysis["commit"] == rework.base_commit:
        return delivered
    _have(context, rework.base_commit)
    tree = repository.rebase(
        sandbox=context.sandbox, vault=context.vault, tree=delivered,
        base_tree=vault.tree_of(context.vault, rework.base_commit), onto_tree=context.tree(Stage.ANALYZE),
        directory=directory, cancelled=context.lost,
    )  # fmt: skip
    label = f"turn-{context.operation.turn}"
    vault.preserve(vault=context.vault, name=tree, operation_id=context.operation.pk, label=label)
    return tree


def delivered_tree(context: Context, rework: Rework) -> str:
    """The branch's tree where it stands on the present base; empty where it would have to be put there first."""
    if context.product(Stage.ANALYZE)["commit"] != rework.base_commit:
        return ""
    return _delivered(context, rework)


def stands_on_base(context: Context, rework: Rework) -> bool:
    """Whether the base is the one that the branch was made on: then its next commit goes on top."""
    return bool(context.product(Stage.ANALYZE)["commit"] == rework.base_commit)


def _delivered(context: Context, rework: Rework) -> str:
    _have(context, rework.head_commit)
    return vault.tree_of(context.vault, rework.head_commit)


def _have(context: Context, commit: str) -> None:
    upstream.fetch_commit(
        vault=context.vault, remote=context.remote, commit=commit, operation_id=context.operation.pk,
        credentials=context.credentials,
    )  # fmt: skip
