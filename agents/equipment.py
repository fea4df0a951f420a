"""What a template gives to the commands of an agent's work: side services, secrets, the packages that were got.

Not to every command in the berth: git's own errands there need neither, and a person's terminal gets neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

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
    secrets = operator_secrets.read(agent.resolved["spec"].get("secrets", {}))
    furnished = packages.furnished(sandbox)
    entrusted = Entrusted(furnished, secrets=secrets) if secrets else furnished
    environment = {**packages.environment(furnished), **secrets}
    mask = Mask(secrets)
    return Equipped(_served(agent, entrusted, environment=environment, say=say, clean=mask.text), mask)


def equip_without_secrets(agent: Agent, sandbox: Sandbox, *, say: Callable[[str], None]) -> Sandbox:
    """The same for commands that are not trusted with secrets: their services have theirs, they themselves none."""
    secrets = operator_secrets.read(agent.resolved["spec"].get("secrets", {}))
    furnished = packages.furnished(sandbox)
    environment = {**packages.environment(furnished), **secrets}
    return _served(agent, furnished, environment=environment, say=say, clean=Mask(secrets).text)


def _served(
    agent: Agent,
    sandbox: Sandbox,
    *,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    clean: Callable[[str], str],
) -> Sandbox:
    spec, profile = agent.resolved["spec"], sandbox.reference()["profile"]
    services = side_services.read(spec, ports=profile.get("ports", {}))
    if not services:
        return sandbox
    locks = settings.DATA / "run" / "services"
    return side_services.Served(sandbox, services=services, locks=locks, say=say, environment=environment, clean=clean)


def mask_of(spec: Mapping[str, Any]) -> Mask:
    """What keeps the secrets of a resolved template out of all that is shown."""
    return Mask(operator_secrets.read(spec.get("secrets", {})))


def check(spec: Mapping[str, Any]) -> None:
    """Before a berth is given away: that the secrets of a resolved template can be had on this host."""
    operator_secrets.read(spec.get("secrets", {}))
