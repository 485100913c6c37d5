"""Makes the connections to the server that keeps sessions, wherever it is."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from hiredis import pack_command
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoPermissionError, ReadOnlyError

from midstream.errors import SettingsError
from midstream.settings.redis_url import REDIS_PORT, Address, SentinelUrl, parse_redis_url
from midstream.store.sentinel.primary import Primary, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from redis.asyncio.connection import AbstractConnection

    from midstream.store.scripts.script import Command

_PRIMARY: Final = b"master"


class Dial(Protocol):
    """Makes connections to one server."""

    @property
    def at(self) -> str:
        """URL of the server, without user and database; empty if that is unknown."""
        ...

    @property
    def is_sure(self) -> bool:
        """Whether the server is known to be the right one."""
        ...

    @property
    def down_after_ms(self) -> int:
        """How long it may be silent before another server takes its place; 0: none does."""
        ...

    def connection(self) -> AbstractConnection:
        """Return a new connection, which is not open yet.

        Raises:
            redis.ConnectionError: nobody knows where the server is.
        """
        ...

    def look_again(self) -> None:
        """Find out whether another server is the right one by now."""
        ...

    def on_move(self, move: Callable[[], Awaitable[None]]) -> None:
        """Have `move` called whenever another server has become the right one."""
        ...


class _PackedInC:
    """Packs pipelines by hiredis; mixed into the pool's kind of connection.

    redis-py's asyncio connections pack in Python, which was half of what an append costs
    here: 8.6 µs with it, 4.3 µs without, at 100 appends a pipeline.
    """

    def pack_commands(self, commands: Iterable[Command]) -> list[bytes]:
        """Return the commands as they go over the wire."""
        return [b"".join(pack_command(command) for command in commands)]  # type: ignore[arg-type]


def _options(connect_limit_s: float) -> dict[str, Any]:
    # socket_timeout: redis-py 8 defaults to 5 s a read, which costs a timer for each
    # reply and would cut the channel's idle wait. RESP 2 and no driver_info save two
    # round trips a connection.
    return {
        "socket_timeout": None,
        "socket_connect_timeout": connect_limit_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


def _made_by(pool: ConnectionPool) -> AbstractConnection:
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
    return connection


class OneServer:
    """`Dial` of the server at a URL.

    Raises:
        SettingsError: it is no URL of one server.
    """

    is_sure: Final = True
    down_after_ms: Final = 0

    def __init__(self, url: str, connect_limit_s: float) -> None:
        try:
            self._pool = ConnectionPool.from_url(url, **_options(connect_limit_s))
        except ValueError:
            raise SettingsError(
                "unable to use the Redis URL; it must begin with redis://, rediss:// or unix://"
            ) from None
        kind = self._pool.connection_class
        self._pool.connection_class = type(kind.__name__, (_PackedInC, kind), {})

    @property
    def at(self) -> str:
        """See Dial."""
        said = self._pool.connection_kwargs
        if "path" in said:
            return f"unix://{said['path']}"
        kind = self._pool.connection_class
        address = Address(said.get("host", "localhost"), said.get("port", REDIS_PORT))
        return address.url(tls=issubclass(kind, SSLConnection))

    def connection(self) -> AbstractConnection:
        """See Dial."""
        return _made_by(self._pool)

    def look_again(self) -> None:
        """See Dial. It is at its URL, whatever it says."""

    def on_move(self, move: Callable[[], Awaitable[None]]) -> None:
        """See Dial. It never moves."""


class NamedPrimary:
    """`Dial` of the primary that Sentinels know by name."""

    def __init__(self, url: SentinelUrl, primary: Primary, connect_limit_s: float) -> None:
        self._primary = primary
        self._tls = url.tls
        who = url.credentials
        kind = SSLConnection if url.tls else Connection
        self._pool = ConnectionPool(
            connection_class=type(kind.__name__, (_PackedInC, kind), {}),
            username=who.user or None,
            password=who.password or None,
            redis_connect_func=self._greet,
            **_options(connect_limit_s),
        )
        if url.ca_certs:
            self._pool.connection_kwargs["ssl_ca_certs"] = url.ca_certs

    @property
    def at(self) -> str:
        """See Dial."""
        address = self._primary.address
        return address.url(tls=self._tls) if address else ""

    @property
    def is_sure(self) -> bool:
        """See Dial."""
        return self._primary.is_sure

    @property
    def down_after_ms(self) -> int:
        """See Dial."""
        return self._primary.down_after_ms

    def connection(self) -> AbstractConnection:
        """See Dial."""
        address = self._primary.address
        if address is None:
            raise ConnectionError(self._primary.unknown)
        self._pool.connection_kwargs.update(host=address.host, port=address.port)
        return _made_by(self._pool)

    def look_again(self) -> None:
        """See Dial."""
        self._primary.look_again()

    def on_move(self, move: Callable[[], Awaitable[None]]) -> None:
        """See Dial."""
        self._primary.moves.append(move)

    async def _greet(self, connection: Any) -> None:
        """Log in at a server, and refuse one that is no primary.

        That it calls itself one is not enough: a demoted one does, too, for ten seconds.
        """
        await connection.on_connect()
        if Address(connection.host, connection.port) != self._primary.address:
            raise ConnectionError("another server has become the primary")
        await connection.send_command("ROLE")
        try:
            role = await connection.read_response()
        except NoPermissionError:
            return  # then its first refusal says it
        if role[0] != _PRIMARY:
            raise ReadOnlyError("READONLY the Sentinels name a server that is a replica")


@asynccontextmanager
async def dialing(url: str, connect_limit_s: float) -> AsyncIterator[Dial]:
    """Make connections to what a URL names, for the length of a block.

    Raises:
        SettingsError: it is no Redis URL.
    """
    named = parse_redis_url(url)
    if isinstance(named, SentinelUrl):
        async with watching(named) as primary:
            yield NamedPrimary(named, primary, connect_limit_s)
    else:
        yield OneServer(url, connect_limit_s)
