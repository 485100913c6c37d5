"""One process's subscription: one connection, any number of sessions.

The connection is outside the pool, because a subscribed one can do nothing else. Reading
and subscribing are separate tasks' business: whoever iterates reads, `join` and `leave`
only write and wait for what the reader sees. A lost connection is made again by the
reader, with every session that was joined. Records wake no task where somebody has them handed
over by call.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from midstream.aio.cancellation import raise_if_cancelled
from midstream.errors import StoreError
from midstream.store.errors import map_redis_errors, refusal_of, translated, unavailable
from midstream.store.record_codec import decode_published
from midstream.store.records import Arrived, Reconnected, Resubscribed
from midstream.store.wire import RedisPushes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from redis.asyncio.connection import AbstractConnection

    from midstream.ids import SessionId
    from midstream.store.keys import Keys
    from midstream.store.records import ChannelEvent, Receive
    from midstream.store.redis.client import RedisClient, Reply
    from midstream.store.server.settings import StoreSettings

FIRST_BACKOFF_S: Final = 0.05
LAST_BACKOFF_S: Final = 1.0
"""Between attempts to reconnect: an orphaned run must be closed within 15 s of Redis being
back, so waiting must not take a good part of that. They grow until a connection has lasted: each
one costs a subscription to every session, and a look at its log."""
SUBSCRIBE_AT_ONCE: Final = 500
"""Channels in one command, so that ten thousand of them do not stall Redis."""
PING_INTERVAL_S: Final = 10.0
"""A silent connection is asked; one that does not answer until the next time is dropped.
A peer that vanished without a word would look like a quiet one for ever."""


class RedisChannel:
    """`Channel`, on Redis pub/sub. An async context manager; iterate it in one task."""

    def __init__(
        self, client: RedisClient, keys: Keys, settings: StoreSettings, receive: Receive | None
    ) -> None:
        self._client = client
        self._keys = keys
        self._timeout_s = settings.command_timeout_s
        # A command with channels of two slots is refused.
        self._at_once = 1 if settings.sharded else SUBSCRIBE_AT_ONCE
        self._subscribe = "SSUBSCRIBE" if settings.sharded else "SUBSCRIBE"
        self._unsubscribe = "SUNSUBSCRIBE" if settings.sharded else "UNSUBSCRIBE"
        self._message = b"smessage" if settings.sharded else b"message"
        self._connection: AbstractConnection | None = None
        self._pushes: RedisPushes | None = None
        self._receive = receive
        self._down = False
        self._heard = True
        # By channel: whom we want, whom Redis confirmed, and whose confirmation is awaited,
        # by joiners, by ourselves, or of a leave.
        self._wanted: dict[bytes, SessionId] = {}
        self._confirmed: set[bytes] = set()
        self._joining: dict[bytes, asyncio.Future[None]] = {}
        self._rejoining: set[bytes] = set()
        self._leaving: Counter[bytes] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._drop()

    async def join(self, session_id: SessionId) -> None:
        """See Channel. Somebody must be iterating: the reader sees the confirmation."""
        feed = self._keys.session(session_id).feed
        self._wanted[feed] = session_id
        if feed in self._confirmed:
            return
        joined = self._joining.get(feed)
        if joined is None:
            if self._down:
                raise unavailable()
            joined = asyncio.get_running_loop().create_future()
            joined.add_done_callback(_look_at_exception)
            self._joining[feed] = joined
            await self._send(self._subscribe, feed)
        with map_redis_errors():
            async with asyncio.timeout(self._timeout_s):
                await asyncio.shield(joined)

    async def leave(self, session_id: SessionId) -> None:
        """See Channel."""
        feed = self._keys.session(session_id).feed
        if self._wanted.pop(feed, None) is None:
            return
        self._confirmed.discard(feed)
        self._rejoining.discard(feed)
        if self._connection is not None:
            self._leaving[feed] += 1
            await self._send(self._unsubscribe, feed)

    async def __aiter__(self) -> AsyncIterator[ChannelEvent]:
        """See Channel."""
        backoff_s, lost = FIRST_BACKOFF_S, False
        while True:
            since = time.monotonic()
            try:
                async with self._connected() as connection:
                    if lost and not self._rejoining:
                        yield Reconnected()
                        lost = False
                    while True:
                        reply = await self._read(connection)
                        if reply is not None and self._take(reply):
                            continue
                        if reply is not None and reply[0] == self._message:
                            session_id = self._wanted.get(reply[1])
                            if session_id is not None:
                                yield Arrived(session_id, decode_published(reply[2]))
                            continue
                        rejoined = reply and await self._acknowledge(connection, reply)
                        if lost and not self._rejoining:
                            yield Reconnected()
                            lost = False
                        elif rejoined is not None and not lost:
                            yield Resubscribed(rejoined)
            except Exception as error:
                failure = translated(error)
                if failure is None:
                    raise
                lost = True
                self._client.complain(failure)
            if time.monotonic() - since >= LAST_BACKOFF_S:
                backoff_s = FIRST_BACKOFF_S
            await _pause(backoff_s)
            backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)

    def _take(self, reply: Reply) -> bool:
        """Hand a record on; False for any other reply."""
        if self._receive is None or type(reply) is not list or reply[0] != self._message:
            return False
        self._heard = True
        session_id = self._wanted.get(reply[1])
        if session_id is not None:
            self._receive(session_id, decode_published(reply[2]))
        return True

    async def _read(self, connection: AbstractConnection) -> Reply | None:
        """Return Redis's next reply; None for a refusal that is only a sign of life.

        Redis refuses PING while it loads its data, or cannot write to its disk, and continues
        to publish to its subscribers.
        """
        try:
            if self._pushes is not None:
                reply = await self._pushes.read()
            else:
                reply = await connection.read_response(disconnect_on_error=False)
        except Exception as error:
            refusal = refusal_of(error)
            is_of_ping = not (self._joining or self._rejoining or any(self._leaving.values()))
            if refusal is None or not refusal.is_away or refusal.elsewhere or not is_of_ping:
                raise
            reply = None
        self._heard = True
        return reply

    async def _acknowledge(self, connection: AbstractConnection, reply: Reply) -> SessionId | None:
        """Take a confirmation; return the session whose lost subscription was made again."""
        kind, feed = reply[0], reply[1]
        if kind in {b"subscribe", b"ssubscribe"}:
            if feed not in self._wanted:
                return None
            self._confirmed.add(feed)
            joined = self._joining.pop(feed, None)
            if joined is not None and not joined.done():
                joined.set_result(None)
            if feed in self._rejoining:
                self._rejoining.discard(feed)
                return self._wanted[feed]
        elif kind in {b"unsubscribe", b"sunsubscribe"}:
            if self._leaving[feed] > 1:
                self._leaving[feed] -= 1
            elif self._leaving.pop(feed, 0) == 0 and feed in self._wanted:
                # Nobody asked for it: the slot moved. Redis says no more than this.
                self._confirmed.discard(feed)
                self._rejoining.add(feed)
                await connection.send_command(self._subscribe, feed)
        return None

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AbstractConnection]:
        """Connect, subscribe to all that is wanted, and watch; fail who waits at the end."""
        connection = self._client.new_connection()
        watch: asyncio.Task[None] | None = None
        try:
            async with self._client.within_limit():
                await connection.connect()  # type: ignore[no-untyped-call]
            raise_if_cancelled()  # redis-py 8.1 may lose it while it connects
            self._pushes = None
            if self._receive is not None:
                self._pushes = RedisPushes.of(connection, self._take)
            self._connection, self._down = connection, False
            self._rejoining = self._wanted.keys() - self._joining.keys()
            wanted = list(self._wanted)
            for i in range(0, len(wanted), self._at_once):
                await connection.send_command(self._subscribe, *wanted[i : i + self._at_once])
            self._heard = True
            watch = asyncio.create_task(self._watch(connection), name="channel watch")
            yield connection
        finally:
            if watch is not None:
                watch.cancel()
            self._connection = connection
            await self._drop()

    async def _watch(self, connection: AbstractConnection) -> None:
        """Close a connection that no longer answers; the reader then makes a new one."""
        with suppress(StoreError), map_redis_errors():
            while self._heard and connection.is_connected:
                self._heard = False
                await connection.send_command("PING")
                await asyncio.sleep(PING_INTERVAL_S)
            await connection.disconnect(nowait=True)

    async def _send(self, command: str, feed: bytes) -> None:
        """Write a command, if connected; on reconnect all that is wanted is sent anyway."""
        connection = self._connection
        # One that was just lost would connect for this once more, with nobody to close it.
        if connection is not None and connection.is_connected:
            with map_redis_errors():
                await connection.send_command(command, feed)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._down = True
        self._confirmed.clear()
        self._leaving.clear()
        joining, self._joining = self._joining, {}
        for joined in joining.values():
            if not joined.done():
                joined.set_exception(unavailable())
        if connection is not None:
            await connection.disconnect(nowait=True)


async def _pause(longest_s: float) -> None:
    await asyncio.sleep(longest_s * random.uniform(0.5, 1))  # noqa: S311 - no secret


def _look_at_exception(joined: asyncio.Future[None]) -> None:
    """Without this a joiner that was cancelled would leave a warning behind."""
    if not joined.cancelled():
        joined.exception()
