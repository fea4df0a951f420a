"""What the vaults of this host keep of operations: listed, given back, and dropped when its time is over."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from events.faults import Fault
from operations import faults
from operations.coding import vault
from operations.coding.host_git import run
from operations.models import Operation
from resources import orphans
from resources.traces import Trace

log = logging.getLogger(__name__)

_CHANCES = timedelta(days=2)  # for forget_old, which comes once a day
_BASE = frozenset({"base", "base-commit"})


class NothingKept(Fault):
    """The vault of this host keeps nothing of the operation, or nothing under that label."""

    code = "work.not_kept"
    http_status = 404
    remedy = "`python manage.py work list` shows what this host keeps; other hosts have vaults of their own."


class PlaceTaken(Fault):
    """There is something already where work should be restored to."""

    code = "work.place_taken"
    remedy = "Name a directory that does not exist yet."


@dataclass(frozen=True, slots=True)
class Kept:
    """One state of an operation's work: its label, and the tree or commit it stands for."""

    operation: Operation
    label: str
    name: str


@dataclass(frozen=True, slots=True)
class Restored:
    """Where work is now: a repository with one branch."""

    path: Path
    branch: str
    commit: str


def kept() -> Iterator[Kept]:
    """Everything that this host keeps, newest operation first, in the order of labels."""
    for operation in Operation.objects.select_related("project").order_by("-created_at"):
        yield from kept_of(operation)


def kept_of(operation: Operation) -> list[Kept]:
    """What this host keeps of one operation, without the bases it started from."""
    store = vault.existing(operation.project_id)
    if store is None:
        return []
    found = vault.refs(vault=store, operation_id=operation.pk)
    return [Kept(operation, label, name) for label, name in sorted(found.items()) if label not in _BASE]


def restore(*, operation_id: uuid.UUID | str, to: Path, label: str = "", bare: bool = False) -> Restored:
    """Give work back as a branch on its base, in a fresh repository at ``to``; without a label the latest."""
    operation = Operation.objects.filter(pk=operation_id).select_related("project").first()
    if operation is None:
        raise faults.OperationNotFound(f"there is no operation {operation_id}")
    wanted = _choose(kept_of(operation), label, operation)
    store = vault.existing(operation.project_id)
    if store is None:
        raise NothingKept(f"this host has no vault of project {operation.project.name}")
    to = to.absolute()
    if to.exists() or to.is_symlink():
        raise PlaceTaken(f"{to} is there already")
    commit = _as_commit(store, wanted)
    branch = f"moorage/{operation.pk.hex[:8]}/{wanted.label}"
    source = vault.preserve(vault=store, name=commit, operation_id=operation.pk, label=f"restored-{commit[:12]}")
    to.mkdir(parents=True)
    repository = to if bare else to / ".git"
    kind = ("--bare",) if bare else ()
    run(repository, "init", "--quiet", "--template=", *kind, str(to), doing="Making the repository")
    run(
        repository, "fetch", "--quiet", "--no-tags", "--update-shallow", str(store.path),
        f"{source}:refs/heads/{branch}", doing="Restoring the work", timeout_s=600,
    )  # fmt: skip
    run(repository, "symbolic-ref", "HEAD", f"refs/heads/{branch}", doing="Restoring the work")
    if not bare:
        run(repository, f"--work-tree={to}", "reset", "--quiet", "--hard", doing="Writing the files", timeout_s=600)
    return Restored(to, branch, commit)


def forget_old(*, now: datetime) -> int:
    """Drop what is kept of operations that ended MOORAGE_KEEP_WORK_DAYS ago or earlier. Returns how many had something.

    What belongs to an operation that the database does not know stays: the database may be the one that is wrong.
    """
    if not settings.KEEP_WORK_DAYS:
        return 0
    until = now - timedelta(days=settings.KEEP_WORK_DAYS)
    forgotten = 0
    for path in sorted((Path(settings.DATA) / "vaults").glob("*.git")):
        try:
            forgotten += _forget_of(vault.Vault(path), until=until)
        except (Fault, OSError) as error:
            log.warning("kept work could not be dropped", extra={"vault": path.name, "error": str(error)})
    return forgotten


def _forget_of(store: vault.Vault, *, until: datetime) -> int:
    """One vault's: asked once what it keeps, however many operations have ended in all those years."""
    over = Operation.objects.filter(
        pk__in=vault.keepers(store), status__in=Operation.TERMINAL, completed_at__lt=until
    ).values_list("pk", flat=True)
    for operation_id in over:
        vault.forget(vault=store, operation_id=operation_id)
    return len(over)


def overdue() -> list[Trace]:
    """Work that :func:`forget_old` should have dropped long ago and did not, for the orphan sweep: the oldest first.

    Only as many as the sweep believes at once: a setting that was lowered must not stop it for everything else.
    """
    if not settings.KEEP_WORK_DAYS:
        return []
    now = timezone.now()
    late: list[Operation] = []
    for project_id in _late(now=now).values_list("project_id", flat=True).distinct().order_by("project_id"):
        if (store := vault.existing(project_id)) is None:
            continue
        try:
            late += _late(now=now).filter(pk__in=vault.keepers(store))
        except (Fault, OSError) as error:
            log.warning("a vault cannot be looked through", extra={"vault": store.path.name, "error": str(error)})
    late.sort(key=lambda operation: (operation.completed_at, operation.pk))
    return [_trace(operation, now=now) for operation in late[: orphans.FEW]]


def drop_overdue(trace: Trace) -> None:
    """Drop it, if it is still over: an operation may have been retried since. Twice is fine."""
    operation = _late(now=timezone.now()).filter(pk=trace.key).first()
    store = vault.existing(operation.project_id) if operation else None
    if operation and store:
        vault.forget(vault=store, operation_id=operation.pk)


def _late(*, now: datetime) -> QuerySet[Operation]:
    until = now - timedelta(days=settings.KEEP_WORK_DAYS) - _CHANCES
    return Operation.objects.filter(status__in=Operation.TERMINAL, completed_at__lt=until)


def _trace(operation: Operation, *, now: datetime) -> Trace:
    key = str(operation.pk)
    why = f"its operation ended at {operation.completed_at:%Y-%m-%d %H:%M:%S} UTC and its work's time is over"
    # The ledger here is the operations' own, and knows its age: that of the host's row says nothing about it.
    return Trace("kept work", key, key, f"operation:{key}", now, over=why)


def _choose(states: list[Kept], label: str, operation: Operation) -> Kept:
    """The state of that label, else the commit, else the latest unfinished state, else the latest turn's."""
    states = [state for state in states if not state.label.startswith("restored-")]
    if label:
        states = [state for state in states if state.label == label]
    if not states:
        named = f" labelled {label!r}" if label else ""
        raise NothingKept(f"this host keeps nothing{named} of operation {operation.pk}")
    return max(states, key=_rank)


def _rank(state: Kept) -> tuple[int, int]:
    """Finished work before unfinished before a turn's; of each the latest."""
    kind, number, *_ = (*state.label.split("-"), "")
    order = {"turn": 0, "unfinished": 1, "commit": 2}.get(kind, -1)
    return order, int(number) if number.isdigit() else 0


def _as_commit(store: vault.Vault, state: Kept) -> str:
    """A commit of the state: itself if it is one, else its tree on the operation's base."""
    kind = run(store.path, "cat-file", "-t", state.name, doing="Reading kept work").text()
    if kind == "commit":
        return state.name
    base = vault.refs(vault=store, operation_id=state.operation.pk).get("base-commit")
    return vault.commit(
        vault=store, tree=state.name, parents=(base,) if base else (), author=vault.MOORAGE,
        message=f"{state.label} of operation {state.operation.pk}\n\nNot reviewed, not tested: kept as it was found.",
        when=state.operation.created_at,
    )  # fmt: skip
