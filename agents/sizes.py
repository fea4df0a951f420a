"""How much a template asks for, how much less will do, and how much was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from agents import ways_out
from resources import admission
from resources.admission import Size
from resources.egress import berths as egress
from resources.models import Host
from resources.sandboxes.protocol import Tier
from resources.volumes.wanted import needs_mounts

AMOUNTS = ("memory_mb", "cpu_millis", "disk_mb")


def size_of(spec: Mapping[str, Any]) -> Size:
    """The size that a resolved specification asks for."""
    return _size(spec, _asked(spec))


def least_of(resolved: Mapping[str, Any]) -> Size | None:
    """The least of a resolved template's ranges; None where it declares none."""
    least = resolved.get("least", {})
    return _size(resolved["spec"], {**_asked(resolved["spec"]), **least}) if least else None


def lighter_of(resolved: Mapping[str, Any]) -> Size | None:
    """What will do where not even the least is free; None where the template declares nothing lighter."""
    spec = resolved["spec"]
    lighter = {name: value for name, value in spec["size"].get("lighter", {}).items() if name in AMOUNTS}
    if not lighter:
        return None
    return _size(spec, {**_asked(spec), **resolved.get("least", {}), **lighter})


def taken(spec: Mapping[str, Any], size: Size, *, warm: bool) -> dict[str, Any]:
    """What admission gave, as it is kept on the agent's row and in its events."""
    lighter = size != size_of(spec)
    amounts = {name: getattr(size, name) for name in AMOUNTS}
    return {**amounts, "lighter": lighter, "warm": warm}


def facts_of(host: Host, size: Size | None = None) -> dict[str, Any]:
    """What is so of the host now: what rules and ranges go by. The share that a berth has of it counts as free."""
    free = admission.free_on(host)
    return {
        **{f"free_{name}": free[name] + (getattr(size, name) if size else 0) for name in AMOUNTS},
        "tiers": [entry["tier"] for entry in host.facts.get("tiers", []) if entry["available"]],
    }


def with_own(facts: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """Facts that a berth was chosen by; a host that had room made meanwhile had at least what the berth took."""
    return {**facts, **{f"free_{name}": max(facts[f"free_{name}"], getattr(size, name)) for name in AMOUNTS}}


def standing_of(host: Host) -> dict[str, Any]:
    """What never changes of a host while it serves, by the names that templates use."""
    return {"host.name": host.name, "host.cpus": host.facts.get("cores") or 1, "host.memory_mb": host.memory_mb}


def size_taken(resolved: Mapping[str, Any]) -> Size:
    """What admission reserved: the full size, or less where only that was free."""
    spec, taken = resolved["spec"], resolved.get("taken")
    return _size(spec, {name: taken[name] for name in AMOUNTS}) if taken else size_of(spec)


def minimum_of(spec: Mapping[str, Any]) -> Tier:
    """The least isolation that will do: the template's own, and one that can guard a way out and mount volumes where
    it asks for them.
    """
    least = least_tier_of(spec)
    namespaces = egress.wanted(ways_out.network_of(spec)) or needs_mounts(spec)
    return Tier.PROCESS if namespaces and least.strength < Tier.PROCESS.strength else least


def least_tier_of(spec: Mapping[str, Any]) -> Tier:
    """The weakest tier that the template accepts, which is its ``tier`` where it names one."""
    isolation = spec["isolation"]
    return Tier(isolation.get("tier") or isolation["min"])


def named_tier_of(spec: Mapping[str, Any]) -> Tier | None:
    """The tier that the template names, to be used and no other; None for the strongest there is."""
    name = spec["isolation"].get("tier")
    return Tier(name) if name else None


def highest_tier_of(spec: Mapping[str, Any]) -> Tier | None:
    """The strongest tier that may be used: what the template names and what the operator names; None for any."""
    named = [tier for tier in (named_tier_of(spec), Tier(settings.ISOLATION) if settings.ISOLATION else None) if tier]
    return min(named, key=lambda tier: tier.strength, default=None)


def _size(spec: Mapping[str, Any], amounts: Mapping[str, int]) -> Size:
    return Size(**amounts, ports=tuple(port["name"] for port in spec.get("ports", [])))


def _asked(spec: Mapping[str, Any]) -> dict[str, int]:
    return {name: spec["size"][name] for name in AMOUNTS}
