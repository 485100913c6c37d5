"""Addresses of clients, and what stands for one where clients are counted by address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

IPV6_SITE_BITS: Final = 64
"""An IPv6 client has a whole /64 of addresses, so all of them count as one."""


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone, an IPv4 one also where it is mapped into IPv6.

    None: it is no address.
    """
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def site_of(address: IPv4Address | IPv6Address) -> str:
    """Return what an address is counted as: an IPv4 address itself, an IPv6 one's site."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), IPV6_SITE_BITS), strict=False))
