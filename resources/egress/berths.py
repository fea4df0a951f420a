"""A berth's way out: intended in the ledger, made as a directory, told to its programs, cleared."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from resources.egress import rules
from resources.models import EgressGrant, Host, Lease
from resources.sandboxes.way_out import SOCKET

KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Berth:
    """One berth that may reach out, with its effective allow-list: template and grants together."""

    key: str
    owner: str
    rules: tuple[rules.Rule, ...]


def root() -> Path:
    """Where the directories of this host's sockets are: reachable for the service alone."""
    return Path(settings.DATA) / "run" / "egress"


def wanted(network: Mapping[str, Any]) -> bool:
    """Whether a template's ``network`` asks for a way out at all."""
    return bool(network.get("allow") or network.get("mirror") or network.get("ask"))


def prepare(
    *,
    host: Host,
    owner: str,
    generation: int,
    key: str,
    network: Mapping[str, Any],
    template: str,
    project_id: uuid.UUID | None,
    now: datetime,
    expires_at: datetime,
) -> Path | None:
    """Intent row, then the directory to mount; None where the template wants nothing. Preparing twice is fine.

    Raises :class:`rules.BadRule` for an allow-list that names no destinations.
    """
    if not wanted(network):
        return None
    allow = [str(rules.parse(entry)) for entry in network.get("allow", [])]
    detail = {
        "allow": allow,
        "mirror": bool(network.get("mirror")),
        "template": template,
        "project_id": str(project_id) if project_id else None,
    }
    Lease.objects.get_or_create(
        host=host, kind=Lease.Kind.EGRESS, key=key, owner=owner, state__in=Lease.LIVE,
        defaults={"generation": generation, "created_at": now, "expires_at": expires_at, "detail": detail},
    )  # fmt: skip
    return make_directory(key)


def make_directory(key: str) -> Path:
    """The directory of one berth's socket: its inhabitants may pass through it and write nothing."""
    directory = root() / _checked(key)
    root().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root().mkdir(mode=0o700, exist_ok=True)
    root().chmod(0o700)
    directory.mkdir(mode=0o755, exist_ok=True)
    directory.chmod(0o755)
    return directory


def clear(key: str) -> None:
    """Remove the directory and what the proxy put there. Clearing twice is fine."""
    directory = root() / _checked(key)
    with suppress(FileNotFoundError):  # gone already, or cleared by somebody else in this moment
        for entry in directory.iterdir():
            if entry.name.startswith(SOCKET):
                entry.unlink(missing_ok=True)
        directory.rmdir()


def environment(network: Mapping[str, Any]) -> dict[str, str]:
    """What programs are told about the package mirror: nothing unless the template asks for it and there is one."""
    if not network.get("mirror"):
        return {}
    variables: dict[str, str] = {}
    if index := settings.PACKAGE_MIRROR_URL:
        variables |= {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
    if registry := settings.NPM_REGISTRY_URL or settings.PACKAGE_MIRROR_URL:
        variables["npm_config_registry"] = registry
    if settings.DEBIAN_MIRROR:
        variables["MOORAGE_DEBIAN_MIRROR"] = settings.DEBIAN_MIRROR
    return variables


def serving(host_name: str) -> list[Berth]:
    """The live berths of a host that may reach out, each with what it may reach now."""
    leases = Lease.objects.filter(host__name=host_name, kind=Lease.Kind.EGRESS, state__in=Lease.LIVE)
    grants = list(EgressGrant.objects.filter(withdrawn_at=None))
    return [Berth(lease.key, lease.owner, _effective(lease.detail, grants)) for lease in leases]


def released(host_name: str, keys: Sequence[str]) -> set[str]:
    """Those of the keys that the ledger knows, and knows as given back."""
    mine = Lease.objects.filter(host__name=host_name, kind=Lease.Kind.EGRESS, key__in=keys)
    live = set(mine.filter(state__in=Lease.LIVE).values_list("key", flat=True))
    return set(mine.values_list("key", flat=True)) - live


def _effective(detail: Mapping[str, Any], grants: Sequence[EgressGrant]) -> tuple[rules.Rule, ...]:
    found = [rules.parse(entry) for entry in detail.get("allow", [])]
    if detail.get("mirror"):
        found += _mirrors()
    for grant in grants:
        theirs = grant.template and grant.template == detail.get("template")
        if theirs or (grant.project_id and str(grant.project_id) == detail.get("project_id")):
            found.append(rules.Rule(grant.host, grant.port or None))
    return tuple(dict.fromkeys(found))


def _mirrors() -> list[rules.Rule]:
    found = []
    debian = next((word for word in settings.DEBIAN_MIRROR.split() if "://" in word), "")
    for url in (settings.PACKAGE_MIRROR_URL, settings.NPM_REGISTRY_URL, debian):
        if url:
            parts = urlsplit(url)
            found.append(rules.parse(f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"))
    return found


def _checked(key: str) -> str:
    if not KEY.fullmatch(key) or os.sep in key:
        raise ValueError("a berth's key is its agent's id and generation")
    return key
