"""What is kept of a run for the process that goes on with it. The contract is in `store.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.store.format import NEWER, upgrade_needed
from gateway.store.reader import SessionReader
from gateway.store.records import Recalled

if TYPE_CHECKING:
    from gateway.store.records import RunKey


class RunHandover(SessionReader):
    """The part of `RedisStore` by which one producer hands a run to the next."""

    async def remember(self, key: RunKey, point: bytes) -> bool:
        """See SessionStore."""
        meta = self._keys.session(key.session_id)[:1]
        kept = await self._client.run(
            self._scripts.remember.call(meta, key.run_id, key.fence, point)
        )
        if kept == NEWER:
            raise upgrade_needed(key.session_id)
        return bool(kept)

    async def recall(self, key: RunKey) -> Recalled | None:
        """See SessionStore."""
        meta = self._keys.session(key.session_id)[:1]
        reply = await self._client.run(self._scripts.recall.call(meta, key.run_id, key.fence))
        return None if reply is None else Recalled(facts=reply[0], point=reply[1])

    async def release(self, key: RunKey) -> bool:
        """See SessionStore."""
        meta = self._keys.session(key.session_id)[:1]
        released = await self._client.run(self._scripts.release.call(meta, key.run_id, key.fence))
        if released == NEWER:
            raise upgrade_needed(key.session_id)
        if released:
            await self._client.run(self._hints.lease([(key.session_id, key.run_id)], 0))
        return bool(released)
