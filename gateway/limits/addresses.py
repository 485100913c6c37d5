"""Finds a caller's address: the peer's, or the one that a reverse proxy reports.

Any client can send `x-forwarded-for`. Each proxy appends the address of its own caller. So the
entries are read from the end, and believed as long as a proxy named by the operator wrote them.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from midstream.client_address import parse_address, site_of
from midstream.settings.connections import ConnectionSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

NO_ADDRESS: Final = "local"
"""The address of all callers over a Unix socket."""


class Addresses:
    """Finds the addresses by which callers are limited.

    Args:
        named_proxies: networks whose `x-forwarded-for` is believed.
    """

    def __init__(self, named_proxies: Iterable[str] = ()) -> None:
        self._named = tuple(ip_network(each, strict=False) for each in named_proxies)
        self._of = lru_cache(maxsize=4096)(self._find)
        self._has_warned = False

    def of(self, peer: str | None, forwarded_for: str | None) -> str:
        """Return the caller's address; for IPv6 its /64.

        Args:
            peer: the connection's address; None over a Unix socket.
            forwarded_for: the header `x-forwarded-for`, several joined by commas.
        """
        if forwarded_for and not self._named and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "forwarded_for_unused peer=%s hint=if that is a reverse proxy, name it in "
                "connections.trusted_proxies; its callers share their limits otherwise",
                peer,
            )
        return self._of(peer, forwarded_for if self._named else None)

    def _find(self, peer: str | None, forwarded_for: str | None) -> str:
        address = peer or NO_ADDRESS
        said = [] if forwarded_for is None else forwarded_for.split(",")
        while said and (not peer or self._is_named(address)):
            before = _address_in(said.pop().strip())
            if before is None:
                break
            address = peer = before
        parsed = parse_address(address)
        return address if parsed is None else site_of(parsed)

    def _is_named(self, address: str) -> bool:
        found = parse_address(address)
        return found is not None and any(found in network for network in self._named)


def named_proxies(settings: ConnectionSettings) -> Iterable[str]:
    """Return the proxies that an operator has named; the default setting names none."""
    named = settings.trusted_proxies
    return () if named == ConnectionSettings().trusted_proxies else named


def _address_in(entry: str) -> str | None:
    """Return the address in an entry, which may have a port; None if it has no address."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    return None if parse_address(entry) is None else entry
