"""How much a template asks for, how much less will do, and how much was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resources.admission import Size
from resources.egress import berths as egress
from resources.sandboxes.protocol import Tier

_AMOUNTS = ("memory_mb", "cpu_millis", "disk_mb")


def size_of(spec: Mapping[str, Any]) -> Size:
    """The size that a resolved specification asks for."""
    return _size(spec, {name: _most(spec["size"][name]) for name in _AMOUNTS})


def lighter_of(spec: Mapping[str, Any]) -> Size | None:
    """What will do where the full size does not fit; None where the template declares nothing less."""
    size = spec["size"]
    least = {name: _least(size[name]) for name in _AMOUNTS}
    lighter = {**least, **{name: value for name, value in size.get("lighter", {}).items() if name in _AMOUNTS}}
    found = _size(spec, lighter)
    return None if found == size_of(spec) else found


def taken(spec: Mapping[str, Any], size: Size, *, warm: bool) -> dict[str, Any]:
    """What admission gave, as it is kept on the agent's row and in its events."""
    lighter = size != size_of(spec)
    amounts = {name: getattr(size, name) for name in _AMOUNTS}
    return {**amounts, "lighter": lighter, "warm": warm}


def size_taken(resolved: Mapping[str, Any]) -> Size:
    """What admission reserved: the full size, or less where only that was free."""
    spec, taken = resolved["spec"], resolved.get("taken")
    return _size(spec, {name: taken[name] for name in _AMOUNTS}) if taken else size_of(spec)


def minimum_of(spec: Mapping[str, Any]) -> Tier:
    """The least isolation that will do: the template's own, and one that can guard a way out where it asks for one."""
    least = Tier(spec["isolation"]["min"])
    guarded = egress.wanted(spec.get("network", {})) and least.strength < Tier.PROCESS.strength
    return Tier.PROCESS if guarded else least


def _size(spec: Mapping[str, Any], amounts: Mapping[str, int]) -> Size:
    return Size(**amounts, ports=tuple(port["name"] for port in spec.get("ports", [])))


def _most(amount: int | Mapping[str, int]) -> int:
    return amount if isinstance(amount, int) else amount["request"]


def _least(amount: int | Mapping[str, int]) -> int:
    return amount if isinstance(amount, int) else amount.get("min", amount["request"])
