"""What a template gives to the commands of an agent's work: side services, secrets, the packages that were got.

Not to every command in the berth: git's own errands there need neither, and a person's terminal gets neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.models import Agent
from resources import operator_secrets
from resources.operator_secrets import Mask
from resources.sandboxes import packages, side_services
from resources.sandboxes.entrusted import Entrusted
from resources.sandboxes.protocol import Sandbox


@dataclass(frozen=True, slots=True)
class Equipped:
    """The sandbox to work in, and what keeps its secrets out of all that is shown."""

    sandbox: Sandbox
    mask: Mask


def equip(agent: Agent, sandbox: Sandbox, *, say: Callable[[str], None]) -> Equipped:
    """The sandbox with all that the agent's template promises. Raises SecretUnavailable."""
    spec = agent.resolved["spec"]
    secrets = operator_secrets.read(spec.get("secrets", {}))
    mask = Mask(secrets)
    sandbox = packages.furnished(sandbox)
    if secrets:
        sandbox = Entrusted(sandbox, secrets=secrets)
    return Equipped(serve(agent, sandbox, say=say, clean=mask.text), mask)


def serve(agent: Agent, sandbox: Sandbox, *, say: Callable[[str], None], clean: Callable[[str], str] = str) -> Sandbox:
    """The sandbox with the template's side services beside its commands, and with none of its secrets."""
    services = side_services.read(agent.resolved["spec"], ports=sandbox.reference()["profile"].get("ports", {}))
    return side_services.Served(sandbox, services=services, say=say, clean=clean) if services else sandbox


def mask_of(spec: Mapping[str, Any]) -> Mask:
    """What keeps the secrets of a resolved template out of all that is shown."""
    return Mask(operator_secrets.read(spec.get("secrets", {})))


def check(spec: Mapping[str, Any]) -> None:
    """Before a berth is given away: that the secrets of a resolved template can be had on this host."""
    operator_secrets.read(spec.get("secrets", {}))
