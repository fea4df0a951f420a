"""Picks the strongest tier that this host has, never one below what a template demands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from resources.sandboxes import local, mounts, way_out
from resources.sandboxes.bare import BareProvider
from resources.sandboxes.bubblewrap import BubblewrapProvider
from resources.sandboxes.container import ContainerProvider
from resources.sandboxes.engine import EngineUnreachable
from resources.sandboxes.landlock import LandlockProvider
from resources.sandboxes.protocol import (
    Availability,
    IsolationUnavailable,
    Profile,
    Provider,
    Ready,
    Reference,
    Sandbox,
    SandboxGone,
    Tier,
    there_already,
)

PROVIDERS: dict[Tier, Callable[[], Provider]] = {
    Tier.CONTAINER: ContainerProvider,
    Tier.PROCESS: BubblewrapProvider,
    Tier.LANDLOCK: LandlockProvider,
    Tier.BARE: BareProvider,
}
CACHE_S = 60.0

_lock = threading.Lock()
_known: tuple[float, tuple[Availability, ...]] | None = None


def availabilities(*, fresh: bool = False) -> tuple[Availability, ...]:
    """Every tier's answer, strongest first; asked at most once a minute unless ``fresh``."""
    global _known
    with _lock:
        now = time.monotonic()
        if fresh or _known is None or now - _known[0] > CACHE_S:
            _known = (now, tuple(make().probe() for make in PROVIDERS.values()))
        return _known[1]


def choose(*, minimum: Tier, allow_bare: bool, prefer: Tier | None = None) -> Provider:
    """The provider of the strongest available tier of at least ``minimum``; ``prefer`` caps it from above.

    Raises IsolationUnavailable naming why each tier that would do is missing.
    """
    refusals: list[str] = []
    remedies: list[str] = []
    for answer in availabilities():
        if answer.tier.strength < minimum.strength:
            continue
        if prefer is not None and answer.tier.strength > prefer.strength:
            refusals.append(f"{answer.tier.value}: above the tier {prefer.value} that the operator prefers")
        elif answer.tier is Tier.BARE and not allow_bare:
            refusals.append("bare: the operator has not allowed it")
        elif not answer.available:
            refusals.append(f"{answer.tier.value}: {answer.reason}")
            remedies.append(f"For {answer.tier.value}: {answer.remedy}.")
        else:
            return PROVIDERS[answer.tier]()
    raise IsolationUnavailable(
        f"No tier of at least {minimum.value} can be had here. " + "; ".join(refusals) + ".",
        remedy=" ".join(remedies) or None,
        minimum=minimum.value,
    )


def open_sandbox(
    profile: Profile,
    *,
    minimum: Tier,
    allow_bare: bool,
    prefer: Tier | None = None,
    workspace_ready: Ready = there_already,
) -> Sandbox:
    """A sandbox of the tier that :func:`choose` picks. No weaker tier is tried when opening fails.

    ``workspace_ready``: for a workspace that is still being made, see :func:`workspaces.being_created`.
    """
    provider = choose(minimum=minimum, allow_bare=allow_bare, prefer=prefer)
    way_out.check(profile, provider.tier)
    mounts.check_tier(profile, provider.tier)
    return provider.open(profile, workspace_ready=workspace_ready)


def adopt(reference: Reference) -> Sandbox:
    """The sandbox that a reference points at; SandboxGone when it is not there any more.

    EngineUnreachable when that cannot be said now.
    """
    return _provider(reference).adopt(reference)


def close(reference: Reference) -> None:
    """End the sandbox that a reference points at, without starting it first; one that is gone is fine.

    SandboxGone for a reference that cannot be read, EngineUnreachable when nothing can be ended now.
    """
    _provider(reference).at(reference).close()


def _provider(reference: Reference) -> Provider:
    try:
        return PROVIDERS[Tier(reference["tier"])]()
    except (KeyError, ValueError) as error:
        raise SandboxGone("The reference names no tier that we know.") from error


def name_of(profile: Profile) -> str:
    """What its sandbox is called, known before there is one: the ledger writes it down first."""
    return local.name_of(profile)


def end_leftovers(profile: Profile, *, contained: bool = False) -> None:
    """End whatever still stands under the profile's name, in whichever tier; nothing there is fine. Starts nothing.

    Raises SandboxFailed when something there cannot be ended. An engine that does not answer keeps nobody waiting:
    most hosts without one never had one. But for what the ledger says to be ``contained``: then EngineUnreachable.
    """
    local.end(profile)
    try:
        ContainerProvider().at({"profile": local.profile_as_json(profile)}).remove()
    except EngineUnreachable:
        if contained:
            raise
