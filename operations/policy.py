"""Who may see and do what: staff everything, others what is theirs."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left, Length

from operations import faults
from operations.models import Operation, Project

START_READ = 1000  # characters of a requirement that a list reads; its title is in them


def visible_projects(user: Any) -> QuerySet[Project]:
    """The projects that a user may work on."""
    rows = Project.objects.filter(archived_at__isnull=True)
    return rows if user.is_staff else rows.filter(owner=user)


def visible_operations(user: Any) -> QuerySet[Operation]:
    """The operations that a user may see and steer."""
    rows = Operation.objects.select_related("project", "agent__host")
    return rows if user.is_staff else rows.filter(project__owner=user)


def operation_lines(user: Any) -> QuerySet[Operation]:
    """The same for a list: of each requirement its start and its size, for it may be half a megabyte."""
    start = Left("requirements", START_READ)
    rows = visible_operations(user).defer("requirements")
    return rows.annotate(requirements_start=start, requirements_size=Length("requirements"))


def project(user: Any, project_id: uuid.UUID | str) -> Project:
    """The project, or ProjectNotFound: whether it exists is nobody else's business."""
    found = visible_projects(user).filter(pk=_uuid(project_id, faults.ProjectNotFound)).first()
    if found is None:
        raise faults.ProjectNotFound(f"there is no project {project_id}", pointer="/project_id")
    return found


def operation(user: Any, operation_id: uuid.UUID | str) -> Operation:
    """The operation, or OperationNotFound."""
    found = visible_operations(user).filter(pk=_uuid(operation_id, faults.OperationNotFound)).first()
    if found is None:
        raise faults.OperationNotFound(f"there is no operation {operation_id}")
    return found


def may_view_operation(user: Any, operation_id: str) -> bool:
    """For the live stream."""
    return is_uuid(operation_id) and visible_operations(user).filter(pk=operation_id).exists()


def may_view_log(user: Any, step_id: str) -> bool:
    """For the live stream: the log of a step is seen by whoever sees its operation."""
    known = step_id.isascii() and step_id.isdigit() and len(step_id) < 19
    return known and visible_operations(user).filter(steps=int(step_id)).exists()


def may_view_project(user: Any, project_id: str) -> bool:
    """For the live stream."""
    return is_uuid(project_id) and visible_projects(user).filter(pk=project_id).exists()


def may_view_figures(user: Any, subject_id: str) -> bool:
    """For the live stream: how much there is to do is everybody's business; what it is, is not."""
    return subject_id == ""


def may_view_hosts(user: Any, subject_id: str) -> bool:
    """For the live stream: the figures hold what every host lends and has reserved, which is for staff."""
    return subject_id == "" and bool(user.is_staff)


def is_uuid(text: str) -> bool:
    """Whether the text is an id at all."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _uuid(value: uuid.UUID | str, missing: type[faults.Fault]) -> uuid.UUID:
    if not is_uuid(str(value)):
        raise missing(f"{value!r} is not an id")
    return uuid.UUID(str(value))
