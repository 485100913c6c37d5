"""Limits that all connections of a process share: their number, and deadlines of requests.

Most requests arrive whole in one packet, and need no deadline. One timer checks the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, Protocol

from midstream.client_address import parse_address, site_of

if TYPE_CHECKING:
    from midstream.settings.connections import ConnectionSettings

logger = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""Interval of the timer: the longest delay of a deadline."""

MAX_LINGERING: Final = 256
"""Most refused connections kept open for a moment, so that their client reads the error. More are
closed at once: they take open files, too."""


class Unfinished(Protocol):
    """A connection with a deadline."""

    def look(self, now: float, elapsed_s: float) -> None:
        """End it if its deadline has passed.

        Args:
            now: the event loop's time.
            elapsed_s: since the last check.
        """
        ...


class Guard:
    """The guard of one process. All methods are for the event loop's thread.

    Args:
        max_connections: of the machine, if lower than the limit.
        tick_s: see `TICK_S`.

    """

    def __init__(
        self,
        limits: ConnectionSettings,
        max_connections: int | None = None,
        *,
        tick_s: float = TICK_S,
    ) -> None:
        self.limits = limits
        self._tick_s = tick_s
        self._max = min(limits.max_connections, max_connections or limits.max_connections)
        self._trusted = tuple(map(ip_network, limits.trusted_proxies))
        self._place = lru_cache(maxsize=4096)(self._find_place)
        self._open = 0
        self._lingering = 0
        self._by_place: Counter[str] = Counter()
        self._unfinished: set[Unfinished] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._has_warned = False

    # -- connections --------------------------------------------------------------------------

    def admit(self, address: str | None) -> bool:
        """Count a new connection; return False, and count nothing, over a limit.

        Args:
            address: of the client; None for a socket that has none.
        """
        place = self._place(address) if address else ""
        if self._open >= self._max:
            self._warn(f"max_connections={self._max}")
            return False
        if place and self._by_place[place] >= self.limits.max_connections_per_address:
            self._warn(f"max_connections_per_address={self.limits.max_connections_per_address}")
            return False
        self._open += 1
        if place:
            self._by_place[place] += 1
        return True

    def release(self, address: str | None) -> None:
        """Release an admitted connection."""
        self._open -= 1
        if place := self._place(address) if address else "":
            self._by_place[place] -= 1
            if not self._by_place[place]:
                del self._by_place[place]

    def linger(self) -> bool:
        """Count a refused connection that is kept for a moment; False if there are too many."""
        if self._lingering >= MAX_LINGERING:
            return False
        self._lingering += 1
        return True

    def end_lingering(self) -> None:
        """Release a refused connection that was kept."""
        self._lingering -= 1

    def _find_place(self, address: str) -> str:
        """Return the key that an address is counted under; empty for a trusted proxy."""
        found = parse_address(address)
        if found is None:
            return address
        if any(found in network for network in self._trusted):
            return ""
        return site_of(found)

    def _warn(self, limit: str) -> None:
        """Log once that clients are refused; `midstream_errors_total` counts them."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "connections_refused limit=connections.%s hint=name the reverse proxies before "
                "the gateway in connections.trusted_proxies, or raise the limit",
                limit,
            )

    # -- deadlines ----------------------------------------------------------------------------

    def watch(self, connection: Unfinished) -> None:
        """Check a connection's deadline from now on, until `forget`."""
        self._unfinished.add(connection)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._looked_at = loop.time()
            self._timer = loop.call_later(self._tick_s, self._look, loop)

    def forget(self, connection: Unfinished) -> None:
        """Stop checking a connection."""
        self._unfinished.discard(connection)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        elapsed_s, self._looked_at = now - self._looked_at, now
        for connection in list(self._unfinished):
            connection.look(now, elapsed_s)
        self._timer = loop.call_later(self._tick_s, self._look, loop) if self._unfinished else None


def next_deadline(deadline: float, now: float, received: int, limits: ConnectionSettings) -> float:
    """Return the deadline of a body, or of a message, after more of it has arrived.

    Each byte extends it by its share of a second, up to the limit on silence from now on.
    """
    return min(deadline + received / limits.min_body_rate, now + limits.body_deadline_s)
