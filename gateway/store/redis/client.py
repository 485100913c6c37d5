"""Round trips: pipelines, a time limit for each, one translation of errors, and health.

Connections are redis-py's; lending them out and running a pipeline are here, because its pool
and its `Pipeline` cost three times what the round trip does: 14 µs a command with them, 4 µs
without, at four commands a pipeline.

redis-py's own retries are off. They would re-send through an outage silently, and whoever
waits could not know of it; here a failure is told at once and its outcome is
unknown, and whoever asked sends the same again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hiredis import pack_command
from msgspec import Struct
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from midstream.errors import SettingsError, StoreUnavailableError
from midstream.store.errors import map_redis_errors, refusal_of, translated
from midstream.store.scripts.catalog import Scripts
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from midstream.errors import StoreError
    from midstream.store.scripts.script import Command

logger = logging.getLogger(__name__)

Reply: TypeAlias = Any
"""Answer of Redis: bytes, int, None, or lists of these."""

MAX_CONNECTIONS: Final = 32
"""A process's connections for commands. Calls are short and wait for one; more would only
queue inside Redis."""

COMPLAIN_EVERY_S: Final = 10.0
"""Shortest time between two log lines about a Redis that is away."""


class StoreSettings(Struct, frozen=True, kw_only=True):
    """Settings of the store's use of Redis.

    Attributes:
        key_prefix: of every key and channel, so that two deployments can share a Redis.
        session_ttl_s: a session that was not written for so long expires.
        reconnect_window_s: an ended run's chunks can be read again for so long.
        command_timeout_s: a round trip that takes longer has an unknown outcome.
        sharded: publish by SPUBLISH, for a cluster.
    """

    key_prefix: str = "ms"
    session_ttl_s: float = 7 * 24 * 3_600.0
    reconnect_window_s: float = 3_600.0
    command_timeout_s: float = 5.0
    sharded: bool = False


class _PackedInC:
    """Packs pipelines by hiredis; mixed into the pool's kind of connection.

    redis-py's asyncio connections pack in Python, which was half of what an append costs
    here: 8.6 µs with it, 4.3 µs without, at 100 appends a pipeline.
    """

    def pack_commands(self, commands: Iterable[Command]) -> list[bytes]:
        """Return the commands as they go over the wire."""
        return [b"".join(pack_command(command) for command in commands)]  # type: ignore[arg-type]


class RedisClient:
    """Commands to one Redis. `healthy_since` is as in SessionStore."""

    def __init__(self, url: str, settings: StoreSettings) -> None:
        self.scripts = Scripts(sharded=settings.sharded)
        self.healthy_since: float | None = None
        self._timeout_s = settings.command_timeout_s
        self._complain_at = 0.0
        self._answered_at = 0.0  # when the latest round trip that was answered had been sent
        try:
            # socket_timeout: redis-py 8 defaults to 5 s a read, which costs a timer for each
            # reply and would cut the channel's idle wait. RESP 2 and no driver_info save two
            # round trips a connection.
            self._factory: ConnectionPool = ConnectionPool.from_url(
                url,
                socket_timeout=None,
                socket_connect_timeout=settings.command_timeout_s,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,
            )
        except ValueError:
            raise SettingsError(
                "unable to use the Redis URL; it must begin with redis://, rediss:// or unix://"
            ) from None
        kind = self._factory.connection_class
        self._factory.connection_class = type(kind.__name__, (_PackedInC, kind), {})
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[AbstractConnection] = []
        self._closed = False

    async def aclose(self) -> None:
        """Close the connections; one that is lent out is closed when it comes back."""
        self._closed = True
        await self._close_idle()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect()

    def new_connection(self) -> AbstractConnection:
        """Return a connection that is not lent out; the caller connects and closes it."""
        connection: AbstractConnection = self._factory.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def run(self, command: Command) -> Reply:
        """Run one command; see `run_all`."""
        return (await self.run_all((command,)))[0]

    async def run_all(self, commands: Sequence[Command]) -> list[Reply]:
        """Run independent commands in one round trip, in order.

        Raises:
            StoreUnavailableError: the outcome of all is unknown.
            StoreError: Redis refused one.
        """
        async with self._judging_health():
            return await self._run_loaded(commands)

    async def run_each(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands in one round trip, in order; the reply to a refused one is its StoreError.

        Raises:
            StoreUnavailableError: the outcome of all is unknown.
        """
        async with self._judging_health():
            replies = await self._load_and_send(commands)
            await self._look_elsewhere(replies)
        replies = [translated(r) or r if isinstance(r, Exception) else r for r in replies]
        away = next((r for r in replies if isinstance(r, StoreUnavailableError)), None)
        if away is not None:
            self.healthy_since = None
            self.complain(away)
        return replies

    async def ask(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands that may be refused; return replies as Redis gives them, errors among them.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        try:
            with map_redis_errors():
                async with asyncio.timeout(self._timeout_s):
                    return await self._send(commands)
        except StoreUnavailableError as error:
            self.complain(error)
            raise

    @asynccontextmanager
    async def _judging_health(self) -> AsyncIterator[None]:
        """Bound a round trip, and take from it whether Redis works.

        One that is not answered, though a later one was, tells of its connection alone: a network
        that came back has forgotten those of before. The idle ones are of that time, too.
        """
        sent_at = time.monotonic()
        try:
            with map_redis_errors():
                async with asyncio.timeout(self._timeout_s):
                    yield
        except StoreUnavailableError as error:
            unanswered = isinstance(error.__cause__, TimeoutError)
            if unanswered:
                await self._close_idle()
            if not (unanswered and sent_at < self._answered_at):
                self.healthy_since = None
            self.complain(error)
            raise
        self._answered_at = max(self._answered_at, sent_at)
        if self.healthy_since is None:
            self.healthy_since = time.monotonic()

    def complain(self, error: StoreError) -> None:
        """Log why Redis cannot be used, now and then: callers wait, and log no each attempt."""
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_EVERY_S
            logger.warning("redis_away %s", error.note or quoted(reason=error.message))

    async def _run_loaded(self, commands: Sequence[Command]) -> list[Reply]:
        replies = await self._load_and_send(commands)
        await self._raise_refused(replies)
        return replies

    async def _load_and_send(self, commands: Sequence[Command]) -> list[Reply]:
        replies = await self._send(commands)
        unknown = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            # Nothing of these was applied: a restarted server has forgotten the scripts.
            again = [commands[i] for i in unknown]
            sources = self.scripts.sources(again)
            loaded = await self._send([("SCRIPT", "LOAD", source) for source in sources])
            await self._raise_refused(loaded)
            for i, reply in zip(unknown, await self._send(again), strict=True):
                replies[i] = reply
        return replies

    async def _raise_refused(self, replies: Sequence[Reply]) -> None:
        """Raise what was refused, if anything: that Redis is away, if it is; else the first."""
        refused = [reply for reply in replies if isinstance(reply, Exception)]
        if not refused:
            return
        await self._look_elsewhere(replies)
        refusals = [refusal_of(error) for error in refused]
        away = [i for i, refusal in enumerate(refusals) if refusal is None or refusal.is_away]
        raise refused[away[0] if away else 0]

    async def _look_elsewhere(self, replies: Sequence[Reply]) -> None:
        """Let go of the connections to a server that is not the right one any more.

        A demoted primary keeps them: its name is to be looked up again.
        """
        refusals = [refusal_of(reply) for reply in replies if isinstance(reply, Exception)]
        if any(refusal is not None and refusal.elsewhere for refusal in refusals):
            await self._close_idle()

    async def _send(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands as they are; return replies as Redis gives them, errors among them."""
        async with self._free:
            connection = self._idle.pop() if self._idle else self.new_connection()
            try:
                if connection.is_connected and await connection.can_read():
                    # The other side has closed it, or a reply in it is nobody's.
                    await connection.disconnect(nowait=True)
                await connection.send_packed_command(connection.pack_commands(commands))
                return [await _reply(connection) for _ in commands]
            except BaseException:
                # Also when cancelled: nobody else may read this call's replies.
                await connection.disconnect(nowait=True)
                raise
            finally:
                if self._closed:
                    await connection.disconnect(nowait=True)
                else:
                    self._idle.append(connection)


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal
