"""Counts the stored bytes of each scope's sessions, as Redis itself measures them.

A session counts in the scopes of its first writer, which are kept beside it. A scope has two
entries for a session: one for its lasting keys, and one for its log, which is trimmed after the
reconnect window. Each entry expires with the keys that it counts, so no code needs to notice when
Redis expires a session. A count is the whole present size, never a difference, so counting twice,
or at two gateways, gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from midstream.ids import SessionId

if TYPE_CHECKING:
    from midstream.store.cluster.commands import Commands
    from midstream.store.keys import Keys
    from midstream.store.redis.client import Reply
    from midstream.store.scripts.script import Command
    from midstream.store.server.settings import StoreSettings

LOG: Final = " log"
"""Suffix of a session's id, which has no blank: the entry of its log."""

MAX_SCOPES: Final = 4
"""Scopes of one session."""

_scopes: Final = msgspec.json.Decoder(list[str])


class Stored(Struct, frozen=True):
    """A session's present bytes; `scopes` may be those of another caller."""

    session_id: SessionId
    scopes: Sequence[str]
    lasting: int
    log: int


class StoredBytes:
    """The bytes of all sessions."""

    def __init__(self, client: Commands, keys: Keys, settings: StoreSettings) -> None:
        self._client = client
        self._keys = keys
        self._ttl_ms = max(1, int(settings.session_ttl_s * 1000))
        self._window_ms = min(max(1, int(settings.reconnect_window_s * 1000)), self._ttl_ms)

    async def count(self, session_id: SessionId, scopes: Sequence[str] = ()) -> None:
        """Count a session's bytes anew; those of a session that is gone are given back.

        Args:
            scopes: the scopes of a session that has none yet; empty: count only in those that it
                has.

        Raises:
            StoreError: the outcome is unknown; count again.
        """
        stored = await self._measure(session_id, scopes)
        if not stored.scopes:
            return
        await self._write(stored)
        if stored.lasting and not await self._client.run(
            ("EXISTS", self._keys.session(session_id).meta)
        ):
            # It was erased between the two: the eraser may have found nothing to give back.
            await self._write(Stored(session_id, stored.scopes, 0, 0))
        if not stored.lasting:
            await self._client.run(("DEL", self._keys.paid(session_id)))

    async def _measure(self, session_id: SessionId, scopes: Sequence[str]) -> Stored:
        """Ask Redis for a session's size, and for the scopes in which it counts."""
        keys, paid = self._keys.session(session_id), self._keys.paid(session_id)
        lasting = (keys.meta, keys.runs, keys.side, keys.messages, keys.requests)
        commands: list[Command] = [("MEMORY", "USAGE", key, "SAMPLES", 0) for key in lasting]
        # Nodes of a stream are all about as long: a few samples are enough.
        commands.append(("MEMORY", "USAGE", keys.log))
        commands.append(("GET", paid))
        if scopes:
            encoded = msgspec.json.encode(list(scopes[:MAX_SCOPES]))
            commands.insert(0, ("SET", paid, encoded, "NX", "PX", self._ttl_ms))
            commands.append(("PEXPIRE", paid, self._ttl_ms))
        replies: list[Reply] = await self._client.run_all(commands)
        measured = replies[1:] if scopes else replies
        payers = measured[6]
        return Stored(
            session_id,
            () if payers is None else _scopes.decode(payers),
            sum(size or 0 for size in measured[:5]),
            measured[5] or 0,
        )

    async def _write(self, stored: Stored) -> None:
        call = self._client.scripts.limit_store.call
        await self._client.run_all(
            [
                call(
                    self._keys.stored(scope),
                    *(stored.session_id, stored.lasting, self._ttl_ms),
                    *(stored.session_id + LOG, stored.log, self._window_ms),
                    longest_ms=self._ttl_ms,
                )
                for scope in stored.scopes
            ]
        )
