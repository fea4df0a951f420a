"""The bare tier: an ordinary subprocess. No isolation at all; only where the operator allowed it by name."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from resources.sandboxes import local, sealing
from resources.sandboxes.launch import Plan
from resources.sandboxes.protocol import Availability, Command, Profile, Reference, SandboxGone, Tier
from resources.sandboxes.surroundings import environment

NOTE = "No isolation: what runs here can do all that the service's user can do. Only its time and output are bounded."


class BareProvider:
    """Opens sandboxes that are none. Permission is the caller's to check: see ``selection``."""

    tier: ClassVar[Tier] = Tier.BARE

    def probe(self) -> Availability:
        """Always possible."""
        return Availability(self.tier, available=True, reason=NOTE, remedy="")

    def open(self, profile: Profile) -> local.LocalSandbox:
        """Prepare the workspace and mark the sandbox as open."""
        sandbox = _sandbox(profile)
        sandbox.open()
        return sandbox

    def at(self, reference: Reference) -> local.LocalSandbox:
        """The sandbox of this reference, open or not."""
        return _sandbox(local.profile_from_json(reference.get("profile", {})))

    def adopt(self, reference: Reference) -> local.LocalSandbox:
        """The open sandbox of this reference."""
        sandbox = self.at(reference)
        if not sandbox.alive():
            raise SandboxGone(f"{sandbox.name} is closed.")
        return sandbox


def _sandbox(profile: Profile) -> local.LocalSandbox:
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
