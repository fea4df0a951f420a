"""Before a berth is cleared: what was worked on there and not kept yet goes into the vault."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.models import Agent
from events.faults import Fault
from events.journal import record
from operations import submit
from operations.coding import repository, salvage, vault
from operations.models import Operation, Stage, Step
from operations.snapshots import snapshot
from resources import workspaces
from resources.files import Beneath
from resources.sandboxes import selection

log = logging.getLogger(__name__)


def keep_work(agent_id: uuid.UUID | str) -> str | None:
    """The tree of the agent's checkout, kept as ``refs/moorage/<operation>/unfinished-…``; None when nothing is new.

    Runs on the agent's host, may run twice: what is kept is named after the moment and the content, so nothing
    kept earlier is ever overwritten. A berth too broken to be read is cleared all the same; the log says so.
    """
    agent = Agent.objects.filter(pk=agent_id).first()
    operation = _worked_for(agent_id)
    if agent is None or operation is None or agent.sandbox is None:
        return None
    if agent.state not in {Agent.State.STOPPING, Agent.State.ERROR}:
        return None  # an old message: somebody works there
    if operation.status == Operation.Status.SUCCEEDED:
        return None
    analyzed = Step.objects.filter(operation=operation, stage=Stage.ANALYZE, outcome=Step.Outcome.DONE).last()
    if analyzed is None:
        return None
    try:
        return _keep(agent, operation, base_tree=analyzed.product["tree"])
    except (Fault, OSError) as error:
        log.warning("unfinished work could not be kept", extra={"agent": str(agent_id), "error": str(error)})
        return None


def _worked_for(agent_id: uuid.UUID | str) -> Operation | None:
    """The operation whose stages ran in this agent's berth, also when it has gone on to another berth since."""
    step = Step.objects.filter(agent_id=agent_id).select_related("operation__project").last()
    return step.operation if step else None


def tidy_vaults(*, now: datetime) -> int:
    """Tidy every vault of this host; one that cannot be tidied does not stop the others. Returns how many were."""
    tidied = 0
    for path in sorted((Path(settings.DATA) / "vaults").glob("*.git")):
        try:
            vault.tidy(vault=vault.Vault(path), now=now)
            tidied += 1
        except (Fault, OSError) as error:
            log.warning("vault could not be tidied", extra={"vault": path.name, "error": str(error)})
    return tidied


def _keep(agent: Agent, operation: Operation, *, base_tree: str) -> str | None:
    workspace = Path(agent.sandbox["profile"]["workspace"])  # type: ignore[index] # checked by the caller
    if not workspaces.adopt(workspace):
        return None
    directory = workspace / "tree"
    if not Beneath(workspace).exists("tree"):
        return None
    store = vault.of_project(operation.project_id)
    tree = _tree_of(agent, operation, store, directory, base_tree=base_tree)
    if tree == base_tree or tree in vault.refs(vault=store, operation_id=operation.pk).values():
        return None
    label = f"unfinished-{timezone.now():%Y%m%d%H%M%S}-{tree[:10]}"
    vault.preserve(vault=store, name=tree, operation_id=operation.pk, label=label)
    with transaction.atomic():
        current = submit.load(operation.pk)
        record("operation.work_kept", current, actor="system", label=label, tree=tree, **snapshot(current))
    return tree


def _tree_of(agent: Agent, operation: Operation, store: vault.Vault, directory: Path, *, base_tree: str) -> str:
    """A snapshot taken inside, as ever; what a lost, full or broken berth holds is read from outside."""
    try:
        sandbox = selection.adopt(agent.sandbox)  # type: ignore[arg-type] # checked by the caller
        return repository.snapshot(sandbox=sandbox, vault=store, directory=directory, base_tree=base_tree)
    except (Fault, OSError) as error:
        log.info("the berth takes no snapshot; reading it", extra={"agent": str(agent.pk), "error": str(error)})
    return salvage.salvage(vault=store, directory=directory, base_tree=base_tree, operation_id=operation.pk)
