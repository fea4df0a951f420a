"""Which addresses the proxy goes to: decided on every address of a name, at connect time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from resources.egress import addresses

PRIVATE = [
    "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "127.0.0.1", "127.8.8.8", "100.64.0.1",
    "100.127.255.255",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "::1", "fc00::1", "fd12:3456::1",
    "2001:db8::1", "fec0::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:1::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.0.223", "2a04:4e42::223", "2606:4700::1111"])
def test_public_addresses_are_fine(address: str) -> None:
    assert addresses.against(address, private_ok=False) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_operator(address: str) -> None:
    assert addresses.against(address, private_ok=False) == "address.private"
    assert addresses.against(address, private_ok=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_refused_whatever_the_operator_lists(address: str) -> None:
    assert addresses.against(address, private_ok=True).startswith("address.")
    assert addresses.against(address, private_ok=False).startswith("address.")


def test_a_public_address_of_this_very_machine_is_private() -> None:
    assert addresses.against("8.8.8.8", private_ok=False, own=frozenset({"8.8.8.8"})) == "address.private"


async def test_one_private_address_refuses_the_whole_name() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "127.0.0.1"]

    with pytest.raises(addresses.AddressRefused, match=r"address\.private"):
        await addresses.pinned("rebind.example", 443, resolve=both, private_ok=False, own=frozenset())


async def test_a_name_without_addresses_is_an_error_of_the_network() -> None:
    async def none(host: str, port: int) -> Sequence[str]:
        return []

    with pytest.raises(OSError, match="no address"):
        await addresses.pinned("gone.example", 443, resolve=none, private_ok=False, own=frozenset())
