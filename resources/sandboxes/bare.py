"""The bare tier: an ordinary subprocess. No isolation at all; only where the operator allowed it by name."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from resources.sandboxes import local, sealing
from resources.sandboxes.launch import Plan
from resources.sandboxes.protocol import Availability, Command, Profile, Tier
from resources.sandboxes.surroundings import environment

NOTE = "No isolation: what runs here can do all that the service's user can do. Only its time and output are bounded."


class BareProvider(local.LocalProvider):
    """Opens sandboxes that are none. Permission is the caller's to check: see ``selection``."""

    tier: ClassVar[Tier] = Tier.BARE

    def probe(self) -> Availability:
        """Always possible."""
        return Availability(self.tier, available=True, reason=NOTE, remedy="")

    def sandbox(self, profile: Profile) -> local.LocalSandbox:
        """The tier's sandbox of this profile."""
        return local.LocalSandbox(tier=Tier.BARE, profile=profile, note=NOTE, build=_plan, limited=False)


def _plan(profile: Profile, name: str, command: Command, groups: tuple[Path, ...]) -> Plan:
    return Plan(
        tier=Tier.BARE,
        name=name,
        argv=command.argv,
        cwd=command.cwd or profile.workspace,
        environment=environment(profile, command),
        seal=sealing.seal(profile, uid=None, network=None, held=frozenset()),
        cgroups=groups,
    )
