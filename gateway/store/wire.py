"""Connections to Redis whose replies are taken by call: no task has to wake for them.

redis-py opens one (address, TLS, AUTH, SELECT); then its transport gets a protocol that is here.
What this takes of redis-py's connection is not public. A connection of another shape is left as it
is, and a test of this module fails when redis-py's takes another one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from hiredis import ProtocolError, Reader
from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

Replies: TypeAlias = "list[Any]"
"""One a command, errors of Redis among them."""

Done: TypeAlias = "Callable[[RedisWire, Replies | None], None]"
"""Called once for each call: with its replies, or with None if there are none."""

_MORE: Final = object()

enabled: bool = True
"""Tests clear it to have everything done by tasks, as with a redis-py of another shape."""


class RedisWire(asyncio.Protocol):
    """One connection, and one call on it at a time.

    Attributes:
        sent_at: `time.monotonic()` of the latest call.
        timed_out: whether it was closed because a call was not answered in time.
        closed: whether no call can be made any more.
    """

    def __init__(
        self, connection: AbstractConnection, transport: asyncio.Transport, done: Done
    ) -> None:
        self.sent_at = 0.0
        self.timed_out = False
        self.closed = False
        self._done = done
        self._connection = connection
        self._transport = transport
        self._opened_with = transport.get_protocol()
        self._reader = Reader(notEnoughData=_MORE)
        self._replies: Replies = []
        self._awaited = 0
        self._limit_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @classmethod
    def of(cls, connection: AbstractConnection, done: Done) -> RedisWire | None:
        """Take over a connection that nobody uses; None if it has another shape, or is lost."""
        transport = _transport_of(connection)
        if transport is None or not hasattr(connection, "_close"):
            return None
        return cls(connection, transport, done)

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._awaited > 0

    def call(self, count: int, commands: bytes, limit_s: float) -> None:
        """Send so many packed commands. `done` is called later, within `limit_s`.

        The wire must be neither busy nor closed.
        """
        self._transport.write(commands)
        self.sent_at = time.monotonic()
        self._awaited, self._limit_s = count, limit_s
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(limit_s, self._look_at_time)

    def close(self) -> None:
        """Close the connection, at once; a call under way has no replies."""
        self.closed = True
        self._transport.abort()
        self._connection._close()  # type: ignore[no-untyped-call]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_call(None)

    def _end_call(self, replies: Replies | None) -> None:
        if self._awaited:
            self._awaited, self._replies = 0, []
            self._done(self, replies)

    def _look_at_time(self) -> None:
        """Close the wire if its call takes too long: one timer, however many calls there are."""
        self._timer = None
        if not self._awaited:
            return
        left_s = self.sent_at + self._limit_s - time.monotonic()
        if left_s <= 0:
            self.timed_out = True
            self.close()
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look_at_time)

    # -- what the transport calls ---------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what has come; replies that nobody awaits close the wire."""
        reader, replies = self._reader, self._replies
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not _MORE:
                replies.append(reply)
        except ProtocolError:
            self.close()
            return
        if len(replies) == self._awaited:
            self._end_call(replies)
        elif len(replies) > self._awaited:
            self.close()

    def eof_received(self) -> None:
        """Make no more calls: Redis has closed the connection."""
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the call, and let redis-py's connection know."""
        self._opened_with.connection_lost(exc)
        self.close()


class RedisPushes(asyncio.Protocol):
    """One connection that Redis publishes to. redis-py goes on to write to it, and closes it.

    Args:
        take: called with each reply; those that it refuses, by returning False, are for `read`.
    """

    def __init__(
        self, transport: asyncio.Transport, reader: Reader, take: Callable[[Any], bool]
    ) -> None:
        self._take = take
        self._reader = reader
        self._refused: deque[Any] = deque()  # no more than what was sent: they answer that
        self._waiter: asyncio.Future[None] | None = None
        self._lost: Exception | None = None
        self._opened_with = transport.get_protocol()
        transport.set_protocol(self)

    @classmethod
    def of(cls, connection: AbstractConnection, take: Callable[[Any], bool]) -> RedisPushes | None:
        """Take over a connection that was just opened; None if it has another shape, or is lost."""
        transport = _transport_of(connection)
        to_error = getattr(getattr(connection, "_parser", None), "parse_error", None)
        if transport is None or to_error is None:
            return None
        return cls(transport, Reader(replyError=to_error, notEnoughData=_MORE), take)

    async def read(self) -> Any:
        """Return the next reply that was refused; one task may call it.

        Raises:
            RedisError: the reply is an error, or the connection was lost.
        """
        while not self._refused:
            if self._lost is not None:
                raise self._lost
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        reply = self._refused.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- what the transport calls ---------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        reader, take = self._reader, self._take
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _MORE:
                if not take(reply):
                    self._refused.append(reply)
                    self._wake()
        except Exception as error:
            self._refused.append(error)  # whoever reads meets it, and makes another connection
            self._wake()

    def eof_received(self) -> None:
        """Have the transport closed: Redis has closed the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever reads, and redis-py's connection."""
        self._lost = RedisConnectionError(str(exc or "closed by the server"))
        self._opened_with.connection_lost(exc)
        self._wake()

    def pause_writing(self) -> None:
        """Pass it on to who writes."""
        self._opened_with.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on to who writes."""
        self._opened_with.resume_writing()


def _transport_of(connection: AbstractConnection) -> asyncio.Transport | None:
    """Return the transport of a connection, if it can have a protocol of ours."""
    transport: Any = getattr(getattr(connection, "_writer", None), "transport", None)
    if not (enabled and hasattr(transport, "set_protocol")) or transport.is_closing():
        return None
    return cast("asyncio.Transport", transport)
