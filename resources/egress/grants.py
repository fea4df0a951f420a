"""An operator's yes: one destination, for the berths of one template or one project, until it is withdrawn."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import IntegrityError, transaction

from events.faults import Fault
from events.journal import record
from resources.egress import rules
from resources.models import EgressGrant


class GrantNotFound(Fault):
    """No grant has this id."""

    code = "egress.grant_not_found"
    http_status = 404


class BadGrant(Fault):
    """A grant names one template or one project, not both and not neither."""

    code = "egress.bad_grant"
    http_status = 400


def grant(
    *,
    destination: str,
    template: str = "",
    project_id: uuid.UUID | None = None,
    granted_by: str,
    reason: str,
    now: datetime,
) -> EgressGrant:
    """Allow a destination. Granting what is granted already returns that grant and changes nothing.

    Raises BadGrant and :class:`rules.BadRule`.
    """
    if bool(template) == (project_id is not None):
        raise BadGrant("A grant is for one template or for one project.", pointer="/template")
    try:
        rule = rules.parse(destination)
    except rules.BadRule as fault:
        raise rules.BadRule(fault.detail, pointer="/destination") from None
    same = {"template": template, "project_id": project_id, "host": rule.host, "port": rule.port or 0}
    active = EgressGrant.objects.filter(**same, withdrawn_at=None)
    try:
        with transaction.atomic():
            if found := active.first():
                return found
            made = EgressGrant.objects.create(**same, granted_by=granted_by, reason=reason, created_at=now)
            record(
                "egress.granted", made, actor=granted_by, reason=reason,
                destination=str(rule), template=template, project_id=str(project_id) if project_id else None,
            )  # fmt: skip
            return made
    except IntegrityError:  # granted by somebody else in the same moment
        return active.get()


def withdraw(grant_id: uuid.UUID | str, *, actor: str, reason: str, now: datetime) -> EgressGrant:
    """End a grant; running connections that rest on it end too. Withdrawing twice changes nothing."""
    with transaction.atomic():
        found = EgressGrant.objects.select_for_update().filter(pk=grant_id).first()
        if found is None:
            raise GrantNotFound(f"there is no grant {grant_id}")
        if found.withdrawn_at is None:
            found.withdrawn_at, found.withdrawn_by = now, actor
            found.save(update_fields=["withdrawn_at", "withdrawn_by"])
            record("egress.withdrawn", found, actor=actor, reason=reason, destination=found.destination)
    return found
