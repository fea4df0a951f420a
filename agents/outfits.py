"""What a template gives an agent: the resolved specification, read where agents need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents import sizes
from agents.models import Agent
from resources.admission import Size
from resources.sandboxes.protocol import Tier
from templates_app import active
from templates_app.faults import TemplateAbstract
from templates_app.resolve import Resolved


@dataclass(frozen=True, slots=True)
class Outfit:
    """A resolved template with the digests of what it was made of."""

    name: str
    version: str
    digest: str
    layers: tuple[tuple[str, str, str], ...]
    spec: Mapping[str, Any]  # secrets masked: this is what rows and screens show
    least: Mapping[str, int]  # of the sizes that are ranges: what will do
    adapts: bool  # what it asks of a host depends on the host
    clear: Mapping[str, Any] = field(repr=False)  # secrets in clear: for the sandbox alone
    chosen: Mapping[str, int] = field(default_factory=dict)  # of its size: what was asked for instead of the template's
    volumes_by: Mapping[str, str] = field(default_factory=dict)  # which layer asks for each volume, by target

    def as_dict(self) -> dict[str, Any]:
        """The snapshot kept on the agent's row."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "layers": [list(layer) for layer in self.layers],
            "spec": dict(self.spec),
            "least": dict(self.least),
            "adapts": self.adapts,
            "chosen": dict(self.chosen),
        }

    def sized(self, chosen: Mapping[str, int]) -> Outfit:
        """The same in a size that was asked for: exactly that, no less where less is free. It is checked elsewhere."""
        if not chosen:
            return self
        least = {name: value for name, value in self.least.items() if name not in chosen}
        return replace(
            self, spec=_sized(self.spec, chosen), clear=_sized(self.clear, chosen), least=least, chosen=dict(chosen)
        )

    @property
    def size(self) -> Size:
        """What a berth of this template needs."""
        return sizes.size_of(self.spec)

    @property
    def is_open(self) -> bool:
        """Whether what a berth of it needs still refers to something that is not known yet."""
        return _is_open(self.spec)

    @property
    def minimum(self) -> Tier:
        """The least isolation that this template accepts."""
        return sizes.least_tier_of(self.spec)

    @property
    def highest(self) -> Tier | None:
        """The strongest isolation to be used: what the template or the operator names; None for the strongest found."""
        return sizes.highest_tier_of(self.spec)


def _sized(spec: Mapping[str, Any], chosen: Mapping[str, int]) -> dict[str, Any]:
    size = {**spec["size"], **chosen}
    if "lighter" in size:
        size["lighter"] = {name: value for name, value in size["lighter"].items() if name not in chosen}
    return {**spec, "size": size}


def _is_open(spec: Mapping[str, Any]) -> bool:
    """Whether what has to be reserved still refers to something that is not known yet."""
    return any("${" in json.dumps(spec.get(name)) for name in ("size", "isolation", "ports", "volumes"))


def outfit(
    template: str, *, variables: Mapping[str, object] | None = None, host: Mapping[str, object] | None = None
) -> Outfit:
    """Resolve a template now; without run-time ``variables`` its references to them stay as written.

    With the facts of a ``host`` instead, its rules are those that hold there. Raises the template's faults; an
    abstract template is refused.
    """
    resolved = active.resolved(template, variables=variables, host=host)
    if resolved.abstract:
        raise TemplateAbstract(f"The template {template!r} is abstract.", name=template)
    layers = tuple((layer.name, layer.version, layer.digest) for layer in resolved.layers)
    least = {grant.field: grant.least for grant in resolved.sizes}
    return Outfit(
        resolved.name, resolved.version, resolved.digest, layers, resolved.preview, least,
        adapts=bool(resolved.adapted) or _is_open(resolved.preview), clear=resolved.spec,
        volumes_by=_volumes_by(resolved),
    )  # fmt: skip


def _volumes_by(resolved: Resolved) -> dict[str, str]:
    targets = [one for one in resolved.provenance if one.path[0] == "volumes" and one.path[-1] == "target"]
    return {str(entry.value): f"{entry.template} {entry.version}, line {entry.line}" for entry in targets}


def variables_of(agent: Agent, *, workspace: str, ports: Mapping[str, int]) -> dict[str, object]:
    """The flat run-time variables that a template may use once the agent has a host."""
    host = agent.host
    if host is None:
        raise ValueError("run-time variables need a placed agent")
    return {
        "agent.id": str(agent.pk),
        "agent.name": agent.name,
        "workspace.dir": workspace,
        **sizes.standing_of(host),
        **{f"host.{name}": value for name, value in agent.resolved.get("facts", {}).items()},
        **{f"port.{name}": number for name, number in ports.items()},
    }
