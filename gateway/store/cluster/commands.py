"""Commands to Redis, as the parts of the store send them: to one server, or to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from midstream.store.redis.client import RedisClient, Reply
    from midstream.store.scripts.catalog import Scripts
    from midstream.store.scripts.script import Command


class Commands(Protocol):
    """Implemented by `RedisClient` for one server, by `cluster/client.py` for a cluster."""

    scripts: Scripts

    async def run(self, command: Command) -> Reply:
        """Run one command; see `run_all`."""
        ...

    async def run_all(self, commands: Sequence[Command]) -> list[Reply]:
        """Run independent commands; those of one server in one round trip, in order.

        Raises:
            StoreUnavailableError: the outcome of all is unknown.
            StoreError: Redis refused one.
        """
        ...

    async def run_each(self, commands: Sequence[Command]) -> list[Reply]:
        """As `run_all`; the reply to a refused command is its StoreError.

        In a cluster also that of one whose outcome is unknown: others' outcomes are known.

        Raises:
            StoreUnavailableError: the outcome of all is unknown.
        """
        ...

    async def run_now(self, commands: Sequence[Command]) -> list[Reply]:
        """As `run_each`; no command waits for long until another one's slot has moved, say."""
        ...

    def serving(self, keys: Iterable[bytes]) -> RedisClient | None:
        """Return the one server that has all these keys, as far as is known; else None."""
        ...

    def place(self, key: bytes) -> Hashable:
        """Return which server has a key, to compare: what is sent there goes one way."""
        ...

    def is_away(self, key: bytes) -> bool:
        """Whether there is no use in asking for a key together with others: its server is away."""
        ...

    def served_since(self, key: bytes) -> float | None:
        """Return since when the server that has a key works; see `SessionStore.served_since`."""
        ...

    async def check(self, probes: Iterable[Command]) -> frozenset[Hashable]:
        """Ask each server; return the places of those that do not answer, if others do.

        Args:
            probes: writes; each server is sent one that is on a key of its own. None: a ping.

        Raises:
            StoreUnavailableError: none answers as it should.
        """
        ...

    async def servers(self) -> Sequence[RedisClient]:
        """Return each server that has keys."""
        ...

    @property
    def healthy_since(self) -> float | None:
        """Since when all servers work; None while one does not."""
        ...


class OnlyServer:
    """The part of `Commands` that is about several servers, where there is one."""

    @property
    def healthy_since(self) -> float | None:
        """See Commands."""
        raise NotImplementedError

    async def run_now(self: RedisClient, commands: Sequence[Command]) -> list[Reply]:  # type: ignore[misc]
        """See Commands."""
        return await self.run_each(commands)

    def serving(self: RedisClient, keys: Iterable[bytes]) -> RedisClient | None:  # type: ignore[misc]
        """See Commands."""
        return self

    def place(self, key: bytes) -> Hashable:
        """See Commands."""
        return None

    def is_away(self, key: bytes) -> bool:
        """See Commands. There is no other to ask."""
        return False

    def served_since(self, key: bytes) -> float | None:
        """See Commands."""
        return self.healthy_since

    async def check(self: RedisClient, probes: Iterable[Command]) -> frozenset[Hashable]:  # type: ignore[misc]
        """See Commands."""
        await self.run(next(iter(probes), ("PING",)))
        return frozenset()

    async def servers(self: RedisClient) -> Sequence[RedisClient]:  # type: ignore[misc]
        """See Commands."""
        return (self,)
