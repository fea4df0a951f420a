"""Which addresses the proxy may connect to, and the pinned ones of a name. Decided on addresses, at connect time."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

import psutil

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]  # (host, port) → addresses; OSError when there are none
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Never, whatever an operator lists: nobody's service, this very machine by another name, or keys of the cloud account.
_NEVER: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "address.unspecified"),
    ("::/128", "address.unspecified"),
    ("169.254.0.0/16", "address.link_local"),
    ("fe80::/10", "address.link_local"),
    ("100.100.100.200/32", "address.metadata"),  # Alibaba Cloud
    ("168.63.129.16/32", "address.metadata"),  # Azure
    ("192.0.0.192/32", "address.metadata"),  # Oracle Cloud
    ("fd00:ec2::/32", "address.metadata"),  # AWS
    ("fd20:ce::254/128", "address.metadata"),  # Google Cloud
    ("224.0.0.0/4", "address.multicast"),
    ("ff00::/8", "address.multicast"),
    ("240.0.0.0/4", "address.reserved"),
    # An IPv4 address in another dress would be judged by the dress.
    ("::ffff:0:0/96", "address.embedded_ipv4"),
    ("::ffff:0:0:0/96", "address.embedded_ipv4"),
    ("64:ff9b::/96", "address.embedded_ipv4"),
    ("64:ff9b:1::/48", "address.embedded_ipv4"),
    ("2002::/16", "address.embedded_ipv4"),
    ("2001::/32", "address.embedded_ipv4"),
)
_TABLE: tuple[tuple[_Network, str], ...] = tuple((ipaddress.ip_network(net), why) for net, why in _NEVER)
_COMPATIBLE = ipaddress.ip_network("::/96")
# What releases of Python 3.11 judge differently; said here so that nothing rests on that.
_PRIVATE_TOO = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "fec0::/10")))


class AddressRefused(Exception):
    """A name leads where the proxy does not go; ``reason`` is for machines."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def against(address: str, *, private_ok: bool, own: frozenset[str] = frozenset()) -> str:
    """Why the proxy must not connect to an address; empty when it may. ``own`` are addresses of this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address.malformed"
    for network, why in _TABLE:
        if parsed.version == network.version and parsed in network:
            return why
    if parsed in _COMPATIBLE and not parsed.is_loopback:
        return "address.embedded_ipv4"
    listed = any(parsed.version == network.version and parsed in network for network in _PRIVATE_TOO)
    private = listed or not parsed.is_global or str(parsed) in own
    return "address.private" if private and not private_ok else ""


async def pinned(host: str, port: int, *, resolve: Resolve, private_ok: bool, own: frozenset[str]) -> list[str]:
    """The addresses to connect to, and to nothing else. OSError when the name has none.

    One refused address refuses the name: an honest public service does not also point into private ranges.
    """
    found = list(dict.fromkeys(await resolve(host, port)))[:8]
    if not found:
        raise OSError("the name has no address")
    for address in found:
        if why := against(address, private_ok=private_ok, own=own):
            raise AddressRefused(why)
    return found


async def by_system(host: str, port: int) -> Sequence[str]:
    """The host's own resolver."""
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(address[0]) for _, _, _, _, address in answers]


def own_addresses() -> frozenset[str]:
    """Addresses of this machine's interfaces: a public one of them is still this machine."""
    return frozenset(entry.address for entries in psutil.net_if_addrs().values() for entry in entries)
