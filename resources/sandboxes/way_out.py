"""How a berth reaches the egress proxy: what is mounted, and what a command is started through.

A berth has no network of its own. With ``Profile.egress`` the directory of the proxy's socket is mounted read-only,
and each command starts through the bridge, which offers it on the berth's own loopback.
"""

from __future__ import annotations

import stat
from pathlib import Path

from events.faults import FaultClass
from resources.sandboxes.protocol import IsolationUnavailable, Profile, SandboxFailed, Tier

BRIDGE = Path(__file__).with_name("bridge.py")
SOCKET = "proxy.sock"
_BRIDGE_INSIDE = "/run/moorage/bridge.py"
_DIRECTORY_INSIDE = "/run/moorage/egress"
_TIERS = frozenset({Tier.CONTAINER, Tier.PROCESS})


class EgressUnavailable(IsolationUnavailable):
    """The tier has no network namespace of its own: an allow-list could not be held there."""

    fault_class = FaultClass.CONFIGURATION
    code = "egress.unavailable"
    remedy = "Use a host with the process or container tier, or a template whose `network` asks for nothing."


def check(profile: Profile, tier: Tier) -> None:
    """Raises :class:`EgressUnavailable` where the profile asks for a way out that ``tier`` cannot guard."""
    if profile.egress is None or tier in _TIERS:
        return
    why = {
        Tier.LANDLOCK: "its rules know ports and no addresses, so the proxy's port would be open on every machine",
        Tier.BARE: "it has no network of its own, so nothing would hold a program to the proxy",
    }[tier]
    raise EgressUnavailable(f"The {tier.value} tier cannot guard egress: {why}.", tier=tier.value)


def mounts(profile: Profile) -> tuple[tuple[Path, str], ...]:
    """(host path, path inside), all read-only; a connect to a socket on a read-only mount is no write.

    Raises :class:`SandboxFailed` for a directory that holds anything but the proxy's socket: whatever a caller asks,
    this shows nothing else of the host.
    """
    if profile.egress is None:
        return ()
    try:
        ours = stat.S_ISDIR(profile.egress.lstat().st_mode) and all(map(_is_socket, profile.egress.iterdir()))
    except OSError as error:
        raise SandboxFailed(f"The egress directory cannot be looked at: {error.strerror}.") from error
    if not ours:
        raise SandboxFailed("The egress directory is not one of the proxy's.")
    return ((BRIDGE, _BRIDGE_INSIDE), (profile.egress, _DIRECTORY_INSIDE))


def _is_socket(path: Path) -> bool:
    try:
        return path.name.startswith(SOCKET) and stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return True  # renamed in this moment: the proxy puts a new one in place


def through(profile: Profile, argv: tuple[str, ...], *, interpreter: str) -> tuple[str, ...]:
    """The argv that starts ``argv`` with a proxy at hand; ``argv`` itself without egress."""
    if profile.egress is None:
        return argv
    return (interpreter, "-I", "-S", "-B", _BRIDGE_INSIDE, f"{_DIRECTORY_INSIDE}/{SOCKET}", *argv)
