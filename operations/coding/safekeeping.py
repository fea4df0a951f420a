"""Before a berth is cleared: what was worked on there and not kept yet goes into the vault."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from pathlib import Path

from django.conf import settings

from agents.models import Agent
from events.faults import Fault
from operations.coding import repository, vault
from operations.models import Operation, Stage, Step
from resources.sandboxes import selection

log = logging.getLogger(__name__)


def keep_work(agent_id: uuid.UUID | str) -> str | None:
    """The tree of the agent's checkout, kept as ``refs/moorage/<operation>/unfinished``; None when nothing is new.

    Runs on the agent's host, may run twice. A berth too broken to be read is cleared all the same; the log says so.
    """
    agent = Agent.objects.filter(pk=agent_id).first()
    operation = Operation.objects.filter(agent_id=agent_id).select_related("project").first()
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
    sandbox = selection.adopt(agent.sandbox)  # type: ignore[arg-type] # checked by the caller
    store = vault.open_vault(root=settings.DATA / "vaults", project_id=operation.project_id)
    directory = Path(sandbox.reference()["profile"]["workspace"]) / "tree"
    if not directory.is_dir():
        return None
    tree = repository.snapshot(sandbox=sandbox, vault=store, directory=directory, base_tree=base_tree)
    if tree == base_tree or tree in vault.refs(vault=store, operation_id=operation.pk).values():
        return None
    vault.preserve(vault=store, name=tree, operation_id=operation.pk, label="unfinished")
    return tree
