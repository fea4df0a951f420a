"""What may leave an agent's berth: what its template allows, and the gateway for an agent program that calls models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.engines.external import assignment
from agents.gateway.ways import BERTH_HOST


def network_of(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ``network`` of a resolved specification; with an agent program, the gateway is on its list."""
    network: Mapping[str, Any] = spec.get("network", {})
    if not assignment.named(spec) or BERTH_HOST in network.get("allow", ()):
        return network
    return {**network, "allow": [*network.get("allow", ()), BERTH_HOST]}
