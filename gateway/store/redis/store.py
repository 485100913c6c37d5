"""The session log in Redis: `SessionStore` as commands and scripts (`lua/`).

    RedisStore          puts the parts together: this file
      RunWrites         a run's life: runs.py
      StoredQueue       messages that wait for their runs: queue.py
      StoredSteers      messages for the run under way: queue.py
      RunHandover       what the next producer of a run needs: handover.py
      StoredHandoffs      sessions in the hands of people: ../handoff/stored.py
      SessionReader     what reads: reads.py
      StoredPresence    who has a session open: presence.py
      Housekeeping      what removes: housekeeping.py
    RedisAccess         what each of these works with: access.py
      Hints             the indexes in other slots: hints.py
      RedisClient       round trips, time limit, errors, health: client.py
      RedisWire         a connection for calls without a task: ../wire.py
      Keys, Scripts     names, and what is called on them: keys.py, scripts/catalog.py
    RedisChannel        the subscription: channel.py

Decisions are taken in the scripts, each of which is one atomic step; in the parts arguments are
encoded and answers decoded (`record_codec.py`).
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from msgspec.structs import replace

from midstream.settings.redis_url import ClusterUrl, parse_redis_url
from midstream.store.cluster.channel import ClusterChannel
from midstream.store.cluster.client import ClusterClient
from midstream.store.handoff.stored import StoredHandoffs
from midstream.store.keys import Keys
from midstream.store.redis.access import RedisAccess
from midstream.store.redis.channel import RedisChannel
from midstream.store.redis.client import RedisClient
from midstream.store.redis.handover import RunHandover
from midstream.store.redis.housekeeping import Housekeeping
from midstream.store.redis.limits import LimitCounts
from midstream.store.redis.presence import StoredPresence
from midstream.store.redis.queue import StoredQueue, StoredSteers
from midstream.store.redis.reads import SessionReader
from midstream.store.redis.runs import RunWrites
from midstream.store.redis.stored_bytes import StoredBytes
from midstream.store.sentinel.dial import dialing
from midstream.store.server.facts import ServerFacts, describe, of_cluster, used_memory
from midstream.store.server.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from midstream.ids import SessionId
    from midstream.store.queue.calls import Turn
    from midstream.store.records import Receive

Client: TypeAlias = RedisClient | ClusterClient
"""Both are `Commands`."""

PROBE_TTL_S: Final = 60


class RedisStore:
    """Keeps the contract of `SessionStore`; its docstrings are there.

    Args:
        aside: connections of its own for limits: how long Redis takes is not how long others
            queue.

    Attributes:
        limits: what callers have taken of their limits, in the same Redis.
    """

    def __init__(self, client: Client, aside: Client, settings: StoreSettings) -> None:
        self._client, self._settings = client, settings
        self._keys = Keys(settings.key_prefix, sharded=settings.sharded)
        self.limits = LimitCounts(aside, self._keys, StoredBytes(client, self._keys, settings))
        redis = RedisAccess.of(client, self._keys, settings)
        runs = RunWrites(redis, self._keep_queues(redis))
        self.open_run = runs.open_run
        self.append = runs.append
        self.append_by_call = runs.append_by_call
        self.renew = runs.renew
        self.request_stop = runs.request_stop
        self.close_run = runs.close_run

        handover = RunHandover(redis)
        self.take_over = handover.take_over
        self.wait = handover.wait
        self.claim = handover.claim
        self.say = handover.say
        self.expired_waits = handover.expired_waits
        self.remember = handover.remember
        self.recall = handover.recall
        self.release = handover.release
        self.expired_leases = handover.expired_leases

        reads = SessionReader(redis)
        self.read_log = reads.read_log
        self.read_run = reads.read_run
        self.read_chunks = reads.read_chunks
        self.load = reads.load
        self.read_messages = reads.read_messages
        self.load_meta = reads.load_meta
        self.load_run = reads.load_run
        self.run_of_request = reads.run_of_request
        self.list_sessions = reads.list_sessions

        self._keep_handoffs(StoredHandoffs(redis, reads))
        presence = StoredPresence(redis)
        self.announce = presence.announce
        self.withdraw = presence.withdraw
        self.presence = presence.presence
        self.mark_reading = presence.mark_reading
        self.forget_reading = presence.forget_reading
        self.is_marked_reading = presence.is_marked_reading

        housekeeping = Housekeeping(redis)
        self.delete = housekeeping.delete
        self.select = housekeeping.select
        self.erase = housekeeping.erase
        self.rewrite_file = housekeeping.rewrite_file
        self.trim_due = housekeeping.trim_due

    def _keep_handoffs(self, handoffs: StoredHandoffs) -> None:
        self.hand_over = handoffs.hand_over
        self.note_desk = handoffs.note_desk
        self.desk = handoffs.desk
        self.leave_desk = handoffs.leave_desk

    def _keep_queues(self, redis: RedisAccess) -> Callable[[Turn], None]:
        """Add what concerns queues; return where a close notes the entry that it takes."""
        queue = StoredQueue(redis)
        self.enqueue = queue.enqueue
        self.take_entry = queue.take_entry
        self.change_entry = queue.change_entry
        self.change_queue = queue.change_queue
        self.due_queues = queue.due_queues
        self.next_turn = queue.next_turn
        steers = StoredSteers(redis)
        self.steer = steers.steer
        self.steer_entry = steers.steer_entry
        self.take_steers = steers.take_steers
        self.confirm_steers = steers.confirm_steers
        self.refuse_steer = steers.refuse_steer
        self.note_reader = steers.note_reader
        return queue.note_turn

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, *, settings: StoreSettings | None = None
    ) -> AsyncIterator[Self]:
        """Open a store, and close its connections at the end.

        Redis need not be there yet: `healthy_since` is None until a command succeeds.

        Raises:
            SettingsError: not a Redis URL.
        """
        settings = settings or StoreSettings()
        named = parse_redis_url(url)
        async with AsyncExitStack() as stack:
            client: Client
            aside: Client
            if isinstance(named, ClusterUrl):
                settings = replace(settings, sharded=True)
                client, aside = ClusterClient(named, settings), ClusterClient(named, settings)
            else:
                dial = await stack.enter_async_context(dialing(url, settings.command_timeout_s))
                client, aside = RedisClient(dial, settings), RedisClient(dial, settings)
            stack.push_async_callback(client.aclose)
            stack.push_async_callback(aside.aclose)
            yield cls(client, aside, settings)

    @property
    def healthy_since(self) -> float | None:
        """See SessionStore."""
        return self._client.healthy_since

    @property
    def is_sharded(self) -> bool:
        """See SessionStore."""
        return self._settings.sharded

    def served_since(self, session_id: SessionId) -> float | None:
        """See SessionStore."""
        return self._client.served_since(self._keys.session(session_id).meta)

    def place(self, session_id: SessionId) -> Hashable:
        """See SessionStore."""
        return self._client.place(self._keys.session(session_id).meta)

    async def ping(self) -> frozenset[Hashable]:
        """See SessionStore."""
        return await self._client.check(())

    async def probe(self) -> frozenset[Hashable]:
        """See SessionStore."""
        hint = self._client.scripts.hint
        return await self._client.check(
            hint.call(name, "ready", delay_ms=0, ttl_s=PROBE_TTL_S)
            for name in self._keys.probe.names
        )

    async def describe(self) -> ServerFacts:
        """Return the server's report of itself; `UNKNOWN` if it refuses.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        found = [await describe(server) for server in await self._client.servers()]
        return of_cluster(found) if self._settings.sharded else found[0]

    async def used_memory(self) -> int | None:
        """See SessionStore."""
        found = [await used_memory(server) for server in await self._client.servers()]
        return sum(each or 0 for each in found) if any(found) else None

    def channel(self, receive: Receive | None = None) -> RedisChannel | ClusterChannel:
        """See SessionStore."""
        if isinstance(self._client, RedisClient):
            return RedisChannel(self._client, self._keys, self._settings, receive)
        return ClusterChannel(self._client, self._keys, self._settings, receive)
