"""What a process that was killed has said of its followers is forgotten, in every session.

No index says where that was: keeping one would cost every follower something, and only the demo
kills. So all keys are looked through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.ids import SessionId

if TYPE_CHECKING:
    from midstream.store.client import RedisClient
    from midstream.store.keys import Keys
    from midstream.store.scripts import Scripts

PAGE: Final = 1_000
"""Keys that Redis looks at in a step: less than a millisecond."""


class Withdrawal:
    """Forgets.

    Args:
        lifetime_ms: of what the others have said.
    """

    def __init__(self, client: RedisClient, keys: Keys, scripts: Scripts, lifetime_ms: int) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._lifetime_ms = lifetime_ms

    async def of(self, processes: str) -> None:
        """Forget those whose names begin so; publishes what that changes.

        Raises:
            StoreUnavailableError.
        """
        cursor = b"0"
        while True:
            cursor, names = await self._client.run(
                ("SCAN", cursor, "MATCH", self._keys.any_here, "COUNT", PAGE)
            )
            calls = [
                self._scripts.presence.call(
                    self._keys.here(SessionId(self._keys.session_of(name))),
                    *(processes, self._lifetime_ms, "", 0, processes),
                )
                for name in names
            ]
            if calls:
                await self._client.run_all(calls)
            if cursor == b"0":
                return
