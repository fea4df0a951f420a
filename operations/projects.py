"""Projects: making, changing, archiving."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from agents.outfits import outfit
from events.journal import record
from operations import faults, policy
from operations.coding import identity, remotes, wishes
from operations.models import Operation, Project

CHANGEABLE = ("name", "repository_url", "base_branch", "default_template", "metadata")
FIXED_BY_WORK = ("repository_url", "base_branch")


def create(
    *,
    by: Any,
    name: str,
    repository_url: str,
    base_branch: str = "",
    default_template: str = "python",
    metadata: dict[str, Any] | None = None,
) -> Project:
    """A new project. Raises for a refused URL, an unknown template, or a name that the user has already."""
    project = Project(
        owner=by,
        name=name,
        repository_url=repository_url,
        base_branch=base_branch,
        default_template=default_template,
        metadata=metadata or {},
        created_at=timezone.now(),
    )
    _check(project)
    with _unique_name(name), transaction.atomic():
        project.save(force_insert=True)
        record("project.created", project, actor=f"user:{by}", **snapshot(project))
    return project


def change(*, by: Any, project_id: uuid.UUID | str, **changes: Any) -> Project:
    """Change some fields of a project.

    Where its work starts and goes to stays as it is while operations are under way: ProjectBusy.
    """
    wanted = {field: changes[field] for field in CHANGEABLE if field in changes}
    as_wanted = policy.project(by, project_id)
    for field, value in wanted.items():
        setattr(as_wanted, field, value)
    _check(as_wanted)  # asks the name service: not while the row is locked
    with _unique_name(as_wanted.name), transaction.atomic():
        project = Project.objects.select_for_update().get(pk=as_wanted.pk)
        moved = [field for field in FIXED_BY_WORK if field in wanted and wanted[field] != getattr(project, field)]
        if moved and (active := _active(project)):
            raise faults.ProjectBusy(
                f"{active} operations of {project.name} have not ended: its {moved[0]} cannot change under them",
                pointer=f"/{moved[0]}",
            )
        for field, value in wanted.items():
            setattr(project, field, value)
        project.save(update_fields=list(wanted))
        record("project.changed", project, actor=f"user:{by}", **snapshot(project))
    return project


def archive(*, by: Any, project_id: uuid.UUID | str) -> None:
    """Take a project out of sight. Its history stays; it must have no operation under way."""
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=policy.project(by, project_id).pk)
        if active := _active(project):
            raise faults.ProjectBusy(f"{active} operations of {project.name} have not ended")
        project.archived_at = timezone.now()
        project.save(update_fields=["archived_at"])
        record("project.archived", project, actor=f"user:{by}", **snapshot(project))


def checked_remote(project: Project) -> remotes.Remote:
    """The project's repository address, checked against what the operator allows now."""
    return remotes.check_url(
        project.repository_url, local_roots=settings.REPOSITORY_ROOTS, allowed_hosts=settings.REPOSITORY_HOSTS
    )


def snapshot(project: Project) -> dict[str, Any]:
    """The state of a project as its events carry it."""
    return {"name": project.name, "base_branch": project.base_branch, "archived": project.archived_at is not None}


def lock_open(project_id: uuid.UUID | str) -> Project:
    """The project with its row locked, for a request of work on it. Raises ProjectNotFound once it is archived."""
    project = Project.objects.select_for_update().filter(pk=project_id, archived_at__isnull=True).first()
    if project is None:
        raise faults.ProjectNotFound("the project is archived: no work can be requested on it", pointer="/project_id")
    return project


def _active(project: Project) -> int:
    return Operation.objects.filter(project=project, status__in=Operation.ACTIVE).count()


def _check(project: Project) -> None:
    checked_remote(project)
    wishes.check(project.metadata)
    outfit(project.default_template)
    if project.base_branch and not identity.is_branch_name(project.base_branch):
        raise faults.RequirementRefused(
            f"{project.base_branch!r} cannot be the name of a branch", pointer="/base_branch"
        )


@contextmanager
def _unique_name(name: str) -> Iterator[None]:
    """Turns the database's refusal of a second project of one name into a fault."""
    try:
        yield
    except IntegrityError as error:
        raise faults.ProjectExists(f"you have a project named {name!r} already", pointer="/name") from error
