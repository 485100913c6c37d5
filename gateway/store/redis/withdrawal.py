"""Removes the presence entries of a killed process from every session.

No index says where they are: it would cost every follower something, and only the demo kills
processes. So all keys are scanned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.ids import SessionId

if TYPE_CHECKING:
    from midstream.store.cluster.commands import Commands
    from midstream.store.keys import Keys
    from midstream.store.redis.client import RedisClient
    from midstream.store.scripts.catalog import Scripts

PAGE: Final = 1_000
"""Keys that Redis looks at in a step: less than a millisecond."""


class Withdrawal:
    """Removes presence entries.

    Args:
        lifetime_ms: the lifetime of the other processes' entries.
    """

    def __init__(self, client: Commands, keys: Keys, scripts: Scripts, lifetime_ms: int) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._lifetime_ms = lifetime_ms

    async def of(self, processes: str) -> None:
        """Remove the entries of processes whose names begin with `processes`; publish the change.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        for server in await self._client.servers():
            await self._at(server, processes)

    async def _at(self, server: RedisClient, processes: str) -> None:
        cursor = b"0"
        while True:
            cursor, names = await server.run(
                ("SCAN", cursor, "MATCH", self._keys.any_here, "COUNT", PAGE)
            )
            calls = [
                self._scripts.presence.call(
                    self._keys.presence(SessionId(self._keys.session_of(name))),
                    process=processes,
                    lifetime_ms=self._lifetime_ms,
                    user="",
                    tabs=0,
                    dead=processes,
                )
                for name in names
            ]
            if calls:
                await self._client.run_all(calls)
            if cursor == b"0":
                return
