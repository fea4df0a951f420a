"""Traces: everything on this machine that is called like something of a berth of ours. The orphan sweep judges them.

A trace's ``key`` is the berth it is called after: ``<uuid>-<generation>``. A room above may register a source of its
own (:func:`register`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import docker.errors
import psutil
from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from resources import workspaces
from resources.egress import berths as egress
from resources.sandboxes import cgroups, local, policy, selection, strays
from resources.sandboxes.engine import UNREACHABLE, EngineUnreachable, engine, is_silence, words
from resources.sandboxes.protocol import Profile, SandboxFailed
from resources.volumes import berths as volumes

_KEY = re.compile(r"(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<generation>[0-9]{1,9})")
_NAME = re.compile(r"moorage-[a-z]+-(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-g(?P<generation>[0-9]{1,9})-")


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing on this machine: its kind, its own name, the berth it is called after, its owner if it says."""

    kind: str
    name: str
    key: str
    owner: str
    changed_at: datetime  # by a clock that no inhabitant can set
    over: str = ""  # where a room above has a ledger of its own: why nobody owns it any more


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of trace: how its traces are found, and how one is taken away. Removing twice is fine."""

    find: Callable[[], Sequence[Trace]]
    remove: Callable[[Trace], None]


def register(kind: str, source: Source) -> None:
    """Have the sweep look for another kind. Called from an app's ``ready``."""
    SOURCES[kind] = source


# --- workspaces: directory, image, mount or loop device ---------------------------------------------------------------


def _workspaces() -> list[Trace]:
    return [
        Trace("workspace", name, name, f"agent:{name.rpartition('-')[0]}", _dated(workspaces.changed_at(name)))
        for name in workspaces.names()
        if _KEY.fullmatch(name)
    ]


def _dated(seconds: float | None) -> datetime:
    # A loop device of a file that was unlinked is all that is left: nothing in it has a date.
    return timezone.now() if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def _remove_workspace(trace: Trace) -> None:
    """What runs in it first, then the workspace."""
    for owner in dict.fromkeys((trace.owner, f"warm:{trace.key.rpartition('-')[0]}")):
        selection.end_leftovers(_leftover(trace, owner))
    workspaces.remove(workspaces.place_of(trace.name))


def _leftover(trace: Trace, owner: str) -> Profile:
    return Profile(
        owner=owner, generation=int(trace.key.rpartition("-")[2]), workspace=workspaces.place_of(trace.key),
        install=settings.INSTALL_ID,
    )  # fmt: skip


# --- volumes of berths: mounts, images, directories; never what is kept ---------------------------------------


def _volumes() -> list[Trace]:
    return [
        Trace("volumes", name, name, f"agent:{name.rpartition('-')[0]}", _dated(volumes.changed_at(name)))
        for name in volumes.names()
        if _KEY.fullmatch(name)
    ]


# --- what the engine has with our label -------------------------------------------------------------------------------


def _label() -> dict[str, Any]:
    return {"label": f"{policy.INSTALL_LABEL}={settings.INSTALL_ID}"}


def _of_engine(kind: str) -> list[Trace]:
    """Containers, networks or volumes with this install's label; none where no engine answers."""
    try:
        with engine() as client:
            match kind:
                case "container":
                    things: list[Any] = client.containers.list(all=True, filters=_label(), ignore_removed=True)
                case "network":
                    things = client.networks.list(filters=_label())
                case _:
                    things = client.volumes.list(filters=_label())
            return list(_labelled(kind, things))
    except UNREACHABLE as error:
        if is_silence(error):
            return []  # what it has is found when it is back
        raise SandboxFailed(f"The engine does not list its {kind}s: {words(error)}") from error


def _labelled(kind: str, things: Sequence[Any]) -> Iterator[Trace]:
    for thing in things:
        said = thing.labels if kind == "container" else thing.attrs.get("Labels") or {}
        owner, generation = said.get(policy.OWNER_LABEL, ""), said.get(policy.GENERATION_LABEL, "")
        created = parse_datetime(str(thing.attrs.get("Created") or thing.attrs.get("CreatedAt") or ""))
        key = f"{owner.partition(':')[2]}-{generation}"
        yield Trace(kind, thing.name, key if _KEY.fullmatch(key) else thing.name, owner, created or timezone.now())


def _remove_of_engine(trace: Trace) -> None:
    try:
        with engine() as client:
            match trace.kind:
                case "container":
                    client.containers.get(trace.name).remove(force=True, v=True)
                case "network":
                    client.networks.get(trace.name).remove()
                case _:
                    client.volumes.get(trace.name).remove(force=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.status_code != 409 or "already in progress" not in words(error):
            raise SandboxFailed(f"The {trace.kind} cannot be removed: {words(error)}") from error
    except UNREACHABLE as error:
        fault = EngineUnreachable if is_silence(error) else SandboxFailed
        raise fault(f"The {trace.kind} cannot be removed: {words(error)}") from error


# --- launchers and control groups of the tiers without an engine ------------------------------------------------------


def _processes() -> list[Trace]:
    found = {}
    for process in psutil.process_iter(["cmdline", "create_time"]):
        argv = process.info["cmdline"] or []
        if len(argv) == 9 and argv[4].endswith("launcher.py") and argv[5] == "supervise":
            since = datetime.fromtimestamp(process.info["create_time"], tz=UTC)
            found[argv[6]] = _of_name("process", argv[6], since)
    return [trace for trace in found.values() if trace]


def _groups() -> list[Trace]:
    found = {}
    for root in set(cgroups.hierarchies().roots.values()):
        for entry in root.iterdir():
            if entry.is_dir():
                found[entry.name] = _of_name("group", entry.name, datetime.fromtimestamp(entry.stat().st_ctime, tz=UTC))
    return [trace for trace in found.values() if trace]


def _of_name(kind: str, name: str, since: datetime) -> Trace | None:
    """A sandbox's name as a trace, if it is the name of a workspace of this very install: others share the machine."""
    said = _NAME.match(name)
    if said is None:
        return None
    key = f"{said['uuid']}-{said['generation']}"
    for owner in (f"agent:{said['uuid']}", f"warm:{said['uuid']}"):
        profile = Profile(owner=owner, generation=int(said["generation"]), workspace=workspaces.place_of(key))
        if local.name_of(profile) == name:
            return Trace(kind, name, key, owner, since)
    return None


def _remove_process(trace: Trace) -> None:
    local.end_launchers(trace.name)


def _remove_group(trace: Trace) -> None:
    cgroups.remove(trace.name)


# --- processes that outlived their launcher ---------------------------------------------------------------------------


def _strays() -> list[Trace]:
    """One trace for each user id, whatever its processes are called. Its key is the user id, as in the ledger."""
    first, last = settings.UID_RANGE
    return [
        Trace(
            "stray", f"processes of uid {uid}", str(uid), "",
            datetime.fromtimestamp(min(process.create_time() for process in processes), tz=UTC),
        )
        for uid, processes in strays.by_uid(range(first, last + 1)).items()
    ]  # fmt: skip


# --- ways out ---------------------------------------------------------------------------------------------------------


def _ways_out() -> list[Trace]:
    root = egress.root()
    if not root.is_dir():
        return []
    return [
        Trace(
            "way out", entry.name, entry.name, f"agent:{entry.name.rpartition('-')[0]}",
            datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_ctime, tz=UTC),
        )
        for entry in root.iterdir()
        if egress.KEY.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink()
    ]  # fmt: skip


# What runs goes before the place it runs in.
SOURCES: dict[str, Source] = {
    "container": Source(lambda: _of_engine("container"), _remove_of_engine),
    "process": Source(_processes, _remove_process),
    "group": Source(_groups, _remove_group),
    "stray": Source(_strays, lambda trace: strays.end(int(trace.key))),
    "volumes": Source(_volumes, lambda trace: volumes.remove(trace.key)),
    "workspace": Source(_workspaces, _remove_workspace),
    "way out": Source(_ways_out, lambda trace: egress.clear(trace.key)),
    "network": Source(lambda: _of_engine("network"), _remove_of_engine),
    "volume": Source(lambda: _of_engine("volume"), _remove_of_engine),
}
