"""The state kept of a run for the next process that produces it. See `store/contract.py`."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace

from midstream.errors import FencedError, StoreUnavailableError
from midstream.ids import MessageId
from midstream.store.calls import Recalled, RunKey, SayStatus, TakenOver, WaitStatus
from midstream.store.clock import RedisClock
from midstream.store.format import NEWER, upgrade_needed
from midstream.store.leases import Lease, LeaseWatch
from midstream.store.record_codec import decode_kept_run, encode_info
from midstream.store.records import RunState
from midstream.store.redis.hints import WATCHED

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from midstream.ids import RunId, SessionId
    from midstream.store.calls import Say
    from midstream.store.redis.access import RedisAccess
    from midstream.store.redis.client import Reply
    from midstream.store.redis.hints import Due
    from midstream.store.scripts.script import Command

logger = logging.getLogger(__name__)

# Answers of take_over.lua: HELD has the lease, WAITING the ms left of the wait.
TAKEN: Final = b"taken"
HELD: Final = b"held"
WAITING: Final = b"waiting"
GONE: Final = b"gone"
FENCED: Final = b"fenced"

NO_LEASE: Final = Lease(b"none", 0, 0)


class RunHandover:
    """The part of the store by which one producer hands a run to the next."""

    def __init__(self, redis: RedisAccess) -> None:
        self._client = redis.client
        self._scripts = redis.client.scripts
        self._keys = redis.keys
        self._hints = redis.hints
        self._ttl_s = redis.ttl_s
        self._clocks: dict[Hashable, RedisClock] = {}
        self._leases = LeaseWatch()

    async def expired_leases(
        self, limit: int, *, longest_ms: int | None = None
    ) -> list[tuple[SessionId, RunId]]:
        """See SessionStore."""
        for due in await self._hints.due_leases(limit, longest_ms):
            self._observe(due.place, due.now_ms, due.sent_at)
            if due.members:
                await self._look(due, (longest_ms or 0) / 1000)
        return self._leases.ended(time.monotonic(), limit)

    async def _look(self, due: Due, longest_s: float) -> None:
        """See the leases of these runs, and put right the hints of those that are not due."""
        watched_s = longest_s * WATCHED
        sent_at = time.monotonic()
        replies = await self._client.run_each([self._take(run, "look") for run in due.runs])
        stale: list[Command] = []
        for run, reply in zip(due.runs, replies, strict=True):
            if isinstance(reply, StoreUnavailableError):
                continue
            answer = reply[0] if isinstance(reply, list) else None
            if answer == WAITING:
                self._leases.forget(run)
                stale += self._moved_to_waits(run, reply[1])
            elif answer == HELD:
                self._see(run, reply[1:], sent_at)
                if self._left_s(run) > watched_s:
                    stale += self._hint(run, longest_s)
            else:
                # Gone, a newer gateway's, or nothing that can be read: `take_over` says which.
                self._leases.see(run, NO_LEASE, due.now_ms, sent_at, self._clock_of(run[0]))
        if stale:
            await self._client.run_each(stale)

    async def take_over(
        self,
        session_id: SessionId,
        run_id: RunId,
        lease_ms: int,
        *,
        force: bool = False,
        attempt: int | None = None,
        patience_ms: int | None = None,
    ) -> TakenOver | None:
        """See SessionStore."""
        run = session_id, run_id
        watched = self._leases.sight(run)
        how: Literal["take", "force"] = "force" if force else "take"
        answer, *found = await self._attempt(run, how, lease_ms, attempt, patience_ms)
        if answer == FENCED:
            raise FencedError.by_later_attempt()
        if answer == HELD and self._left_s(run) <= 0:
            # Another lease than was seen, or none was; it has ended, too.
            answer, *found = await self._attempt(run, "take", lease_ms)
        if answer == HELD:
            # Its hint comes back with the time that is left.
            await self._client.run_each(self._hint(run, lease_ms / 1000))
            if watched is not None and watched != self._leases.sight(run):
                self._leases.forget(run)  # it was renewed
            return None
        self._leases.forget(run)
        if answer == GONE:
            await self._client.run_each(
                [*self._hints.forget_lease([run]), self._hints.forget_wait(*run)]
            )
            return None
        if answer == WAITING:
            await self._client.run_each(self._moved_to_waits(run, found[0]))
            return None
        taken = _taken_over(session_id, run_id, found)
        # Refused or not, the run is ours now: it is hinted again by renewals.
        if taken.run.state is RunState.WAITING:
            await self._client.run_each(self._moved_to_waits(run, lease_ms))
        else:
            await self._client.run_each(self._hints.lease([run], lease_ms))
        return taken

    async def _attempt(
        self,
        run: tuple[SessionId, RunId],
        how: Literal["take", "force"],
        lease_ms: int,
        attempt: int | None = None,
        patience_ms: int | None = None,
    ) -> Sequence[Reply]:
        """Take a run whose lease is still the one that was seen to end; look at it otherwise."""
        sent_at = time.monotonic()
        sight = self._leases.sight(run)
        ended = None if sight is None or sight.ends_at > sent_at else sight.lease
        answer, *found = await self._client.run(
            self._take(run, how, ended, lease_ms, attempt, patience_ms)
        )
        if answer == NEWER:
            raise upgrade_needed(run[0])
        if answer == HELD:
            self._see(run, found, sent_at)
        return [answer, *found]

    def _take(
        self,
        run: tuple[SessionId, RunId],
        how: Literal["look", "take", "force"],
        ended: Lease | None = None,
        lease_ms: int = 0,
        attempt: int | None = None,
        patience_ms: int | None = None,
    ) -> Command:
        """Take a run if its lease is the one that has ended, or its wait has."""
        session_id, run_id = run
        return self._scripts.take_over.call(
            self._keys.session(session_id),
            run=run_id,
            lease_ms=lease_ms,
            ttl_s=self._ttl_s,
            how=how,
            ended_mark=b"" if ended is None else ended.mark,
            attempt="" if attempt is None else attempt,
            patience_ms="" if patience_ms is None else patience_ms,
        )

    def _see(self, run: tuple[SessionId, RunId], found: Sequence[Reply], sent_at: float) -> None:
        """Take a lease as take_over.lua has told it."""
        mark, ends_ms, term_ms, now_ms = found
        self._observe(self._place(run[0]), now_ms, sent_at)
        lease = Lease(mark, int(ends_ms or 0), int(term_ms or 0))
        self._leases.see(run, lease, now_ms, time.monotonic(), self._clock_of(run[0]))

    def _left_s(self, run: tuple[SessionId, RunId]) -> float:
        """Return how long a lease that was seen still runs."""
        sight = self._leases.sight(run)
        return 0.0 if sight is None else sight.ends_at - time.monotonic()

    def _hint(self, run: tuple[SessionId, RunId], longest_s: float) -> list[Command]:
        """Note when a lease that was seen ends; a longer one is looked at before."""
        left_s = min(self._left_s(run), longest_s)
        return self._hints.lease([run], max(0, int(left_s * 1000)))

    def _moved_to_waits(self, run: tuple[SessionId, RunId], left_ms: int) -> list[Command]:
        """Note a run that waits where its end is looked for; it has no lease."""
        return [self._hints.wait(*run, left_ms), *self._hints.forget_lease([run])]

    def _place(self, session_id: SessionId) -> Hashable:
        return self._client.place(self._keys.session(session_id).meta)

    def _clock_of(self, session_id: SessionId) -> RedisClock:
        """Return what is known of the clock of a session's server."""
        return self._clocks.setdefault(self._place(session_id), RedisClock())

    def _observe(self, place: Hashable, now_ms: int, sent_at: float) -> None:
        clock = self._clocks.setdefault(place, RedisClock())
        if clock.observe(now_ms, sent_at, time.monotonic()):
            logger.warning("clock_jumped: leases that were not watched yet count from now")

    async def wait(self, key: RunKey, wait_ms: int) -> WaitStatus:
        """See SessionStore."""
        session_id, run_id = key.session_id, key.run_id
        waiting = self._scripts.wait.call(
            self._keys.session(session_id),
            run=run_id,
            fence=key.fence,
            wait_ms=wait_ms,
            ttl_s=self._ttl_s,
        )
        # The hint first: a run that waits and is in none would wait for ever.
        await self._client.run(self._hints.wait(session_id, run_id, wait_ms))
        answer = await self._client.run(waiting)
        if answer == NEWER:
            raise upgrade_needed(session_id)
        status = WaitStatus(answer.decode())
        if status is WaitStatus.WAITING:
            self._leases.forget((session_id, run_id))
            await self._client.run_each(self._hints.forget_lease([(session_id, run_id)]))
        return status

    async def claim(
        self, session_id: SessionId, run_id: RunId, claimant: str, lease_ms: int
    ) -> TakenOver | None:
        """See SessionStore."""
        claiming = self._scripts.claim.call(
            self._keys.session(session_id),
            run=run_id,
            claimant=claimant,
            lease_ms=lease_ms,
            ttl_s=self._ttl_s,
        )
        await self._client.run_all(self._hints.lease([(session_id, run_id)], lease_ms))
        answer, *found = await self._client.run(claiming)
        if answer == NEWER:
            raise upgrade_needed(session_id)
        if answer == GONE:
            return None
        await self._client.run_each([self._hints.forget_wait(session_id, run_id)])
        return _taken_over(session_id, run_id, found)

    async def say(self, request: Say) -> SayStatus:
        """See SessionStore."""
        message = request.message
        answer = await self._client.run(
            self._scripts.say.call(
                self._keys.session(request.session_id),
                expected_owner=request.expected_owner,
                expected_tenant=request.expected_tenant,
                run=request.run.id,
                info=encode_info(replace(request.run, user_message_id=message.id)),
                request_key=request.request_key or "",
                message=message.id,
                message_parent=message.parent_id or MessageId(""),
                message_hash=message.content_hash,
                message_json=bytes(message.message),
                ttl_s=self._ttl_s,
            )
        )
        if answer == NEWER:
            raise upgrade_needed(request.session_id)
        return SayStatus(answer.decode())

    async def expired_waits(self, limit: int) -> list[tuple[SessionId, RunId]]:
        """See SessionStore."""
        return await self._hints.due_waits(limit)

    async def remember(self, key: RunKey, point: bytes) -> bool:
        """See SessionStore."""
        names = self._keys.session(key.session_id)
        kept = await self._client.run(
            self._scripts.remember.call(names, run=key.run_id, fence=key.fence, point=point)
        )
        if kept == NEWER:
            raise upgrade_needed(key.session_id)
        return bool(kept)

    async def recall(self, key: RunKey) -> Recalled | None:
        """See SessionStore."""
        names = self._keys.session(key.session_id)
        reply = await self._client.run(
            self._scripts.recall.call(names, run=key.run_id, fence=key.fence)
        )
        return None if reply is None else Recalled(facts=reply[0], point=reply[1])

    async def release(self, key: RunKey) -> bool:
        """See SessionStore."""
        names = self._keys.session(key.session_id)
        released = await self._client.run(
            self._scripts.release.call(names, run=key.run_id, fence=key.fence)
        )
        if released == NEWER:
            raise upgrade_needed(key.session_id)
        if released:
            await self._client.run_all(self._hints.lease([(key.session_id, key.run_id)], 0))
        return bool(released)


def _taken_over(session_id: SessionId, run_id: RunId, found: list[Reply]) -> TakenOver:
    kept, fence, after = decode_kept_run(found[0]), found[1], found[2]
    return TakenOver(
        key=RunKey(session_id=session_id, run_id=run_id, fence=fence),
        run=kept.run,
        next=after,
        opened=kept.opened,
        stopped_by=kept.run.stopped_by,
    )
