"""What is kept of a run for the process that goes on with it. The contract is in `store.py`."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from midstream.store.clock import RedisClock
from midstream.store.codec import decode_kept_run
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.reader import SessionReader
from midstream.store.records import Recalled, RunKey, TakenOver

if TYPE_CHECKING:
    from midstream.ids import RunId, SessionId
    from midstream.store.client import RedisClient, StoreSettings
    from midstream.store.keys import Keys

logger = logging.getLogger(__name__)

JUMPED: Final = b"jumped"
"""What take_over.lua answers that was run at another time than expected."""


class RunHandover(SessionReader):
    """The part of `RedisStore` by which one producer hands a run to the next."""

    def __init__(self, client: RedisClient, keys: Keys, settings: StoreSettings) -> None:
        super().__init__(client, keys, settings)
        self._clock = RedisClock()

    async def expired_leases(
        self, limit: int, *, longest_ms: int | None = None
    ) -> list[tuple[SessionId, RunId]]:
        """See SessionStore."""
        sent_at = time.monotonic()
        now_ms, due = await self._hints.due_leases(limit, longest_ms)
        if self._clock.observe(now_ms, sent_at, time.monotonic()):
            self._wait_for_renewals()
        return due

    async def take_over(
        self, session_id: SessionId, run_id: RunId, lease_ms: int, *, force: bool = False
    ) -> TakenOver | None:
        """See SessionStore."""
        expected = self._clock.expected(time.monotonic()) or ("", "")
        reply = await self._client.run(
            self._scripts.take_over.call(
                self._keys.session(session_id), run_id, lease_ms, self._ttl_s, int(force), *expected
            )
        )
        if reply == NEWER:
            raise upgrade_needed(session_id)
        if reply == JUMPED:
            self._clock.forget()
            self._wait_for_renewals()
            return None
        hinted = [(session_id, run_id)]
        if reply is None:
            await self._client.run_each([self._hints.forget_lease(hinted)])
            return None
        if isinstance(reply, int):
            # Renewed since: its hint comes back with the time that is left.
            await self._client.run_each([self._hints.lease(hinted, reply)])
            return None
        kept = decode_kept_run(reply[0])
        # Refused or not, the run is ours now: it is hinted again by renewals.
        await self._client.run_each([self._hints.lease(hinted, lease_ms)])
        return TakenOver(
            key=RunKey(session_id=session_id, run_id=run_id, fence=reply[1]),
            run=kept.run,
            next=reply[2],
            opened=kept.opened,
            stopped_by=kept.run.stopped_by,
        )

    def _wait_for_renewals(self) -> None:
        """Begin to count anew for how long Redis has worked: its clock says other times now."""
        logger.warning("clock_jumped: nothing is taken over for a lease, until living runs renew")
        if self._client.healthy_since is not None:
            self._client.healthy_since = time.monotonic()

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
