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
from urllib.parse import urlsplit
from weakref import WeakSet

from hiredis import ReplyError
from redis.exceptions import ConnectionError, NoScriptError, RedisError, ResponseError

from midstream.errors import StoreUnavailableError
from midstream.store.cluster.commands import OnlyServer
from midstream.store.errors import (
    map_redis_errors,
    refusal_of,
    translated,
    unavailable,
    word_of,
)
from midstream.store.scripts.catalog import Scripts
from midstream.store.sentinel.dial import OneServer
from midstream.store.wire import RedisWire, Replies
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from midstream.errors import StoreError
    from midstream.store.scripts.script import Command
    from midstream.store.sentinel.dial import Dial
    from midstream.store.server.settings import StoreSettings

logger = logging.getLogger(__name__)

Reply: TypeAlias = Any
"""Answer of Redis: bytes, int, None, or lists of these."""

MAX_CONNECTIONS: Final = 32
"""A process's connections for commands. Calls are short and wait for one; more would only
queue inside Redis."""

OF_A_WORKING_NODE: Final = frozenset({"MOVED", "ASK", "TRYAGAIN", "NOSCRIPT"})
"""Refusals of a node that works: another one has the key, or it has forgotten a script."""

COMPLAIN_EVERY_S: Final = 10.0
"""Shortest time between two log lines about a Redis that is away."""


class RedisClient(OnlyServer):
    """Commands to one Redis. Implements `Commands`.

    Args:
        url: of the server; or what makes connections to it.
        scripts: those that commands call; None: the client's own.
        name: of a cluster's node, in the log.

    Attributes:
        dial: makes its connections. failed: whether the latest command of all failed.

    Raises:
        SettingsError: it is no URL of one server.
    """

    def __init__(
        self,
        url: str | Dial,
        settings: StoreSettings,
        *,
        scripts: Scripts | None = None,
        name: str = "",
    ) -> None:
        self.scripts = scripts or Scripts(sharded=settings.sharded)
        self.name = name
        self.failed = False
        self._timeout_s = settings.command_timeout_s
        self._complain_at = 0.0
        self._answered_at = 0.0  # when the latest round trip that was answered had been sent
        self._healthy_since: float | None = None
        self.dial = OneServer(url, self._timeout_s) if isinstance(url, str) else url
        self.dial.on_move(self.move)
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[AbstractConnection] = []
        self._apart: WeakSet[AbstractConnection] = WeakSet()
        self._limits: set[asyncio.Timeout] = set()
        self._wire: RedisWire | None = None
        self._on_replies: Callable[[list[Reply] | None], None] | None = None
        self._forgotten = False  # whether the idle ones are of before a network's loss
        self._moves = 0
        self._closed = False

    @property
    def at(self) -> str:
        """URL of the server, without user and database; empty if that is unknown."""
        return self.dial.at

    @property
    def address(self) -> str:
        """Host and port; empty for a socket, or if it is unknown."""
        return urlsplit(self.dial.at).netloc

    @property
    def healthy_since(self) -> float | None:
        """See SessionStore."""
        return self._healthy_since if self.dial.is_sure else None

    async def move(self) -> None:
        """Drop every connection: another server keeps the sessions from now on.

        The outcome of calls under way is unknown, also of one whose reply has come. A connection
        that stayed would have the old server acknowledge what the new one lacks.
        """
        self._healthy_since = None
        self._moves += 1
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)
        if self._wire is not None:
            self._wire.close()
        await self._close_idle()
        for connection in list(self._apart):
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close the connections; one that is lent out is closed when it comes back."""
        self._closed = True
        await self._close_idle()
        if self._wire is not None:
            self._wire.close()

    async def _close_idle(self) -> None:
        self._forgotten = False
        if self._wire is not None and not self._wire.busy:
            self._wire.close()
        idle, self._idle = self._idle, []  # while one is closed, nobody may take the next
        for connection in idle:
            await connection.disconnect()

    def new_connection(self) -> AbstractConnection:
        """Return a connection of the caller's own, which opens and closes it.

        It is closed, too, when another server becomes the right one.

        Raises:
            redis.ConnectionError: nobody knows where the server is.
        """
        connection = self.dial.connection()
        self._apart.add(connection)
        return connection

    @asynccontextmanager
    async def within_limit(self) -> AsyncIterator[None]:
        """Bound a wait for the server: it ends, too, when another one becomes the right one."""
        async with asyncio.timeout(self._timeout_s) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

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
        self._note_refusals(replies)
        return replies

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands at a node of a cluster; replies are as Redis gives them, errors among them.

        Raises:
            StoreUnavailableError: the outcome of all is unknown.
        """
        async with self._judging_health():
            replies = await self._send(commands)
        refused = [
            reply
            for reply in replies
            if isinstance(reply, Exception) and word_of(reply) not in OF_A_WORKING_NODE
        ]
        self._note_refusals([translated(refusal) for refusal in refused])
        return replies

    def _note_refusals(self, replies: Iterable[Reply]) -> None:
        away = next((r for r in replies if isinstance(r, StoreUnavailableError)), None)
        if away is not None:
            self._healthy_since, self.failed = None, True
            self.complain(away)

    async def ask(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands that may be refused; return replies as Redis gives them, errors among them.

        Raises:
            StoreUnavailableError: Redis cannot be reached.
        """
        try:
            with map_redis_errors():
                async with self.within_limit():
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
        if self._forgotten:
            await self._close_idle()
        sent_at = time.monotonic()
        try:
            with map_redis_errors():
                async with self.within_limit():
                    yield
        except StoreUnavailableError as error:
            unanswered = isinstance(error.__cause__, TimeoutError)
            if unanswered:
                await self._close_idle()
            self._note_failure(error, sent_at, unanswered=unanswered)
            raise
        self._note_answer(sent_at)

    def _note_answer(self, sent_at: float) -> None:
        self._answered_at = max(self._answered_at, sent_at)
        self.failed = False
        if self._healthy_since is None:
            self._healthy_since = time.monotonic()

    def _note_failure(self, error: StoreError, sent_at: float, *, unanswered: bool) -> None:
        if not (unanswered and sent_at < self._answered_at):
            self._healthy_since, self.failed = None, True
        self.dial.look_again()
        self.complain(error)

    # -- by call --------------------------------------------------------------------------------

    def call(self, count: int, commands: bytes, done: Callable[[list[Reply] | None], None]) -> bool:
        """Send so many packed commands in one round trip, without a task.

        For when all is as it should be. If it is not, send the same by `run_all`: the outcome is
        unknown, and what is to be made of it is decided there.

        Args:
            done: called with the replies; with None if one was refused, or if there are none.

        Returns:
            False if there is no connection for it: nothing is sent, and `done` not called.
        """
        wire = self._wire
        if wire is None or wire.busy or wire.closed:
            return False
        self._on_replies = done
        wire.call(count, commands, self._timeout_s)
        return True

    async def prepare_calls(self) -> None:
        """Let `call` have one of the idle connections, if it has none."""
        if self._closed or not self._idle or not (self._wire is None or self._wire.closed):
            return
        moves, self._wire, connection = self._moves, None, self._idle.pop()
        try:
            if not await connection.can_read() and moves == self._moves:
                self._wire = RedisWire.of(connection, self._take_replies)
        except RedisError:
            return  # it was lost meanwhile
        finally:
            if self._wire is None:
                await self._put_back(connection, moves)

    async def _put_back(self, connection: AbstractConnection, moves: int) -> None:
        """Keep a connection for the next call, if it is to the right server."""
        if self._closed or moves != self._moves:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)

    def _take_replies(self, wire: RedisWire, replies: Replies | None) -> None:
        if replies is None:
            self._forgotten |= wire.timed_out
            self._note_failure(unavailable(), wire.sent_at, unanswered=wire.timed_out)
        elif any(isinstance(reply, ReplyError) for reply in replies):
            replies = None
        else:
            self._note_answer(wire.sent_at)
        done, self._on_replies = self._on_replies, None
        if done is not None:
            done(replies)

    def complain(self, error: StoreError) -> None:
        """Log why Redis cannot be used, now and then: callers wait, and log no each attempt."""
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + COMPLAIN_EVERY_S
            said = error.note or quoted(reason=error.message)
            logger.warning("redis_away %s%s", f"node={self.name} " if self.name else "", said)

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
            self.dial.look_again()

    async def _send(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands as they are; return replies as Redis gives them, errors among them."""
        async with self._free:
            moves, connection = self._moves, self._idle.pop() if self._idle else None
            if connection is None or not connection.is_connected:
                connection = self.dial.connection()  # where the server is by now
            try:
                if connection.is_connected and await connection.can_read():
                    # The other side has closed it, or a reply in it is nobody's.
                    await connection.disconnect(nowait=True)
                await connection.send_packed_command(connection.pack_commands(commands))
                replies = [await _reply(connection) for _ in commands]
                if moves != self._moves:
                    raise ConnectionError("another server has become the primary")
                return replies
            except BaseException:
                # Also when cancelled: nobody else may read this call's replies.
                await connection.disconnect(nowait=True)
                raise
            finally:
                await self._put_back(connection, moves)


async def _reply(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as refusal:
        return refusal
