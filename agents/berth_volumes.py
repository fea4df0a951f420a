"""The volumes that an agent's template asks for: made with its berth, shown with where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.models import Agent
from agents.outfits import Outfit
from resources.files import WorkspaceFull
from resources.sandboxes.protocol import Tier
from resources.volumes import admitting, berths, wanted
from resources.volumes.berths import Made

_SOURCES = {
    wanted.Kind.SCRATCH: "its own, gone with the berth",
    wanted.Kind.CACHE: "cache {name} of its project",
    wanted.Kind.SHARED: "shared volume {name}",
    wanted.Kind.HOST: "{source} of the host",
}
_BOUNDS = {"image": "{size_mb} MB, bounded", "directory": "{size_mb} MB, counted"}


def make(agent: Agent, fitted: Outfit, *, key: str, uid: int | None, tier: Tier) -> tuple[Made, ...]:
    """On the agent's host, for the sandbox about to be opened. Raises VolumeNotReserved, and as the makers do."""
    volumes = wanted.of(fitted.clear, project_id=agent.project_id)
    admitting.check_reserved(volumes, owner=agent.owner, generation=agent.generation)
    return berths.prepare(key=key, volumes=volumes, uid=uid, tier=tier)


def note(agent: Agent, fitted: Outfit, made: Sequence[Made]) -> None:
    """On its row, for screens and for whoever counts."""
    if made:
        by = fitted.volumes_by
        notes = [{**one.as_dict(), "said_by": by.get(one.wanted.target, "")} for one in made]
        agent.resolved = {**agent.resolved, "volumes": notes}


def overfull(agent: Agent) -> WorkspaceFull | None:
    """What ends the berth where a volume that is only counted holds too much."""
    over = berths.overfull(agent.resolved.get("volumes", ()))
    remedy = "Give the volume a larger size_mb, or see to it that the work leaves less there."
    return WorkspaceFull(f"The berth was ended: {over}.", remedy=remedy) if over else None


def shown(agent: Agent) -> list[dict[str, Any]]:
    """For people: where each stands, where it comes from, how it is mounted, and which layer asks for it."""
    return [
        {
            "target": one["target"],
            "kind": one["kind"],
            "comes_from": _SOURCES[wanted.Kind(one["kind"])].format_map(one),
            "writable": not one["read_only"],
            "bound": _BOUNDS.get(one["bound"], "").format_map(one) if one["size_mb"] else "",
            "said_by": one["said_by"],
        }
        for one in agent.resolved.get("volumes", ())
    ]
