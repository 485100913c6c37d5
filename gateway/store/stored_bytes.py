"""How many bytes of sessions are stored for whom, as Redis itself measures them.

A session's bytes are counted in the scopes of whoever wrote to it first, which are kept beside
it. Two entries of a scope belong to a session: one for what stays as long as it does, and one for
its log, which is trimmed after the reconnect window. Each expires with what it counts, so that
nobody needs to be told when Redis forgets a session. A count is the whole of what there is now,
never a difference: counted twice, or by two gateways, it is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.ids import SessionId

if TYPE_CHECKING:
    from midstream.store.client import RedisClient, Reply, StoreSettings
    from midstream.store.keys import Keys
    from midstream.store.scripts import Command

LOG: Final = " log"
"""Behind a session's id, which has no blank: the entry of its log."""

MAX_SCOPES: Final = 4
"""Of one session."""

_scopes: Final = msgspec.json.Decoder(list[str])


class Stored(Struct, frozen=True):
    """A session's bytes as of now; `scopes` may be of another caller than who asked."""

    session_id: SessionId
    scopes: Sequence[str]
    lasting: int
    log: int


class StoredBytes:
    """The bytes of all sessions."""

    def __init__(self, client: RedisClient, keys: Keys, settings: StoreSettings) -> None:
        self._client = client
        self._keys = keys
        self._ttl_ms = max(1, int(settings.session_ttl_s * 1000))
        self._window_ms = min(max(1, int(settings.reconnect_window_s * 1000)), self._ttl_ms)

    async def count(self, session_id: SessionId, scopes: Sequence[str] = ()) -> None:
        """Count a session's bytes anew; of one that is gone, give them back.

        Args:
            scopes: in whose limits, if nobody's have them yet; none: only where they have been.

        Raises:
            StoreError: what was counted is unknown; count again.
        """
        stored = await self._measure(session_id, scopes)
        if not stored.scopes:
            return
        await self._write(stored)
        if stored.lasting and not await self._client.run(
            ("EXISTS", self._keys.session(session_id).meta)
        ):
            # It was erased between the two: whoever did that may have found nothing to give back.
            await self._write(Stored(session_id, stored.scopes, 0, 0))
        if not stored.lasting:
            await self._client.run(("DEL", self._keys.paid(session_id)))

    async def _measure(self, session_id: SessionId, scopes: Sequence[str]) -> Stored:
        """Ask Redis what a session takes, and who pays for it."""
        keys, paid = self._keys.session(session_id), self._keys.paid(session_id)
        lasting = (keys.meta, keys.runs, keys.messages, keys.requests)
        commands: list[Command] = [("MEMORY", "USAGE", key, "SAMPLES", 0) for key in lasting]
        # Nodes of a stream are all about as long: a few tell of all.
        commands.append(("MEMORY", "USAGE", keys.log))
        commands.append(("GET", paid))
        if scopes:
            encoded = msgspec.json.encode(list(scopes[:MAX_SCOPES]))
            commands.insert(0, ("SET", paid, encoded, "NX", "PX", self._ttl_ms))
            commands.append(("PEXPIRE", paid, self._ttl_ms))
        replies: list[Reply] = await self._client.run_all(commands)
        measured = replies[1:] if scopes else replies
        payers = measured[5]
        return Stored(
            session_id,
            () if payers is None else _scopes.decode(payers),
            sum(size or 0 for size in measured[:4]),
            measured[4] or 0,
        )

    async def _write(self, stored: Stored) -> None:
        call, limit = self._client.scripts.limit_store.call, self._keys.limit
        await self._client.run_all(
            [
                call(
                    (limit(scope, "stored"), limit(scope, "sizes")),
                    self._ttl_ms,
                    *(stored.session_id, stored.lasting, self._ttl_ms),
                    *(stored.session_id + LOG, stored.log, self._window_ms),
                )
                for scope in stored.scopes
            ]
        )
