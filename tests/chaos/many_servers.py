"""Faults that a cluster and servers behind Sentinels have in common.

No fault makes a server lose what it has acknowledged: before a primary is killed or replaced, its
writes are held back, and its replicas get what it has. So nothing may be missing or doubled then.
"""

from __future__ import annotations

import asyncio
import secrets
from abc import abstractmethod
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import redis

from tests.chaos.breaker import GATEWAY_FAULTS, Breaker, Fault
from tests.chaos.world import World
from tests.support.processes import wait_until

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tests.chaos.ledger import Ledger
    from tests.support.redis_server import RedisServer

CURRENT_LIMIT_S: Final = 20.0
WHOLE_LIMIT_S: Final = 90.0
"""Sentinels take ten seconds to make a replica of a primary that has come back."""

PAUSE_MS: Final = 60_000


class ManyServers(World):
    """Gateways over several servers, each gateway by a user of its own, which they can refuse."""

    password: Final = secrets.token_hex(8)

    @property
    @abstractmethod
    def servers(self) -> Sequence[RedisServer]:
        """All of them, up or not."""

    @abstractmethod
    def the_primaries(self) -> Sequence[RedisServer]:
        """Return those that take writes now."""

    @abstractmethod
    def replicas_of(self, primary: RedisServer) -> Sequence[RedisServer]:
        """Return those that follow a primary."""

    @abstractmethod
    def replace(self, primary: RedisServer) -> None:
        """Kill a primary; return when another one is in its place."""

    @abstractmethod
    def change_places(self, primary: RedisServer) -> None:
        """Have a replica take a living primary's place, as for planned work."""

    @abstractmethod
    def is_whole(self) -> bool:
        """Whether all servers are up, and every replica has its primary's data."""

    def wait_whole(self) -> None:
        """Wait until it is whole."""
        wait_until(self._is_whole_now, "all servers are up, and replicas follow", WHOLE_LIMIT_S)

    def _is_whole_now(self) -> bool:
        with suppress(redis.RedisError):
            return self.is_whole()
        return False

    def primaries(self) -> list[redis.Redis]:
        """See World."""
        return [server.client for server in self.the_primaries()]

    def users(self) -> list[str]:
        """The gateways' users, one each."""
        return [f"gateway-{number}" for number in range(len(self.gateways))]

    def user_in(self, url: str, number: int) -> str:
        """Return a URL with the user of a gateway."""
        scheme, _, rest = url.partition("://")
        return f"{scheme}://gateway-{number}:{self.password}@{rest}"

    def admit(self, server: RedisServer, *users: str) -> None:
        """Have a server know the gateways' users, and write all it acknowledges to its file."""
        for user in users or [f"gateway-{number}" for number in range(3)]:
            rights = ("on", f">{self.password}", "~*", "&*", "+@all")
            server.client.execute_command("ACL", "SETUSER", user, *rights)  # type: ignore[no-untyped-call]
        server.write_through()

    def start_again(self, server: RedisServer) -> None:
        """Start a server that was killed."""
        server.start()
        self.admit(server)

    def end(self) -> None:
        """See World."""
        super().end()
        for server in self.servers:
            server.end()


M = TypeVar("M", bound=ManyServers)


def _offset(server: RedisServer) -> int:
    said: Any = server.client.info("replication")
    return int(said["master_repl_offset" if said["role"] == "master" else "slave_repl_offset"])


@contextmanager
def no_more_writes(world: ManyServers, primary: RedisServer) -> Iterator[None]:
    """Hold back writes, with all that was acknowledged at the replicas as well."""
    primary.pause_writes(PAUSE_MS)
    try:
        # The offset also grows by the primary's own pings.
        at = _offset(primary)
        wait_until(
            lambda: all(_offset(each) >= at for each in world.replicas_of(primary)),
            "replicas have what was acknowledged",
            CURRENT_LIMIT_S,
        )
        yield
    finally:
        if primary.answers():
            primary.resume_writes()


class ServersBreaker(Breaker[M]):
    """Does the faults; of the servers, one at a time."""

    def __init__(
        self, world: M, ledger: Ledger, choose: random.Random, *, scale: float = 1.0
    ) -> None:
        super().__init__(world, ledger, choose, scale=scale)
        self._at_servers = asyncio.Lock()

    def faults(self) -> Sequence[Fault]:
        """See Breaker."""
        return SERVER_FAULTS

    @asynccontextmanager
    async def _one_primary(self) -> AsyncIterator[RedisServer]:
        """Take a primary, with all servers up; no other server is broken meanwhile."""
        async with self._at_servers:
            await asyncio.to_thread(self._world.wait_whole)
            with self._ledger.unwell():
                primaries = await asyncio.to_thread(self._world.the_primaries)
                yield self._choose.choice(primaries)
                await asyncio.to_thread(self._world.wait_whole)

    def _kill(self, primary: RedisServer) -> None:
        with no_more_writes(self._world, primary):
            self._world.replace(primary)

    async def kill_primary(self) -> None:
        """Kill a primary; its replica takes its place, and it comes back as a replica."""
        async with self._one_primary() as primary:
            await asyncio.to_thread(self._kill, primary)
            await self._last(0, 1)
            await asyncio.to_thread(self._world.start_again, primary)

    async def fail_over(self) -> None:
        """Have a replica take a living primary's place."""
        async with self._one_primary() as primary:
            await asyncio.to_thread(self._world.change_places, primary)

    async def kill_replica(self) -> None:
        """Kill a replica, and start it again."""
        async with self._one_primary() as primary:
            replica = self._choose.choice(await asyncio.to_thread(self._world.replicas_of, primary))
            await asyncio.to_thread(replica.kill)
            await self._last(0, 2)
            await asyncio.to_thread(self._world.start_again, replica)

    async def restart_primary(self) -> None:
        """Kill a primary, and start it at once: it has forgotten the scripts."""
        async with self._one_primary() as primary:
            await asyncio.to_thread(primary.kill)
            await asyncio.to_thread(self._world.start_again, primary)

    async def freeze_primary(self) -> None:
        """Freeze a primary for less time than another one needs to take its place."""
        async with self._one_primary() as primary:
            primary.freeze()
            try:
                await self._last(0.3, 1, 1.5)
            finally:
                primary.thaw()

    async def refuse_for_replicas(self) -> None:
        """Refuse writes for lack of replicas, for at most ten seconds."""
        async with self._one_primary() as primary:
            await self._with(primary, "min-replicas-to-write", 5, 0, 0.5, 2, 5, 10)

    async def _with(
        self, server: RedisServer, name: str, value: int, normal: int, *choices_s: float
    ) -> None:
        await asyncio.to_thread(server.client.config_set, name, value)
        try:
            await self._last(*choices_s)
        finally:
            await asyncio.to_thread(server.client.config_set, name, normal)

    async def shut_out_gateway(self) -> None:
        """Cut one gateway off from one primary, which all the others reach."""
        async with self._one_primary() as primary:
            user = self._choose.choice(self._world.users())
            await asyncio.to_thread(_shut_out, primary, user)
            try:
                await self._last(0.3, 1, 3, 6)
            finally:
                await asyncio.to_thread(self._world.admit, primary, user)

    async def forget_scripts(self) -> None:
        """Remove the scripts from a primary."""
        async with self._one_primary() as primary:
            await asyncio.to_thread(primary.client.script_flush)

    async def drop_clients(self) -> None:
        """Close all connections of clients to a primary, or those of subscribers."""
        async with self._one_primary() as primary:
            kind = self._choose.choice(["normal", "pubsub"])
            await asyncio.to_thread(_drop, primary, "TYPE", kind)


def _shut_out(server: RedisServer, user: str) -> None:
    server.client.execute_command("ACL", "SETUSER", user, "off")  # type: ignore[no-untyped-call]
    _drop(server, "USER", user)


def _drop(server: RedisServer, by: str, value: str) -> None:
    server.client.execute_command("CLIENT", "KILL", by, value, "SKIPME", "yes")  # type: ignore[no-untyped-call]
    server.client.close()  # its other connections are closed as well


SERVER_FAULTS: Final = (
    *GATEWAY_FAULTS,
    Fault("primary killed", ServersBreaker.kill_primary, 6),
    Fault("planned failover", ServersBreaker.fail_over, 6),
    Fault("replica killed", ServersBreaker.kill_replica, 4),
    Fault("primary restarted", ServersBreaker.restart_primary, 5),
    Fault("primary frozen", ServersBreaker.freeze_primary, 5),
    Fault("primary refuses: NOREPLICAS", ServersBreaker.refuse_for_replicas, 5),
    Fault("gateway cut off from a primary", ServersBreaker.shut_out_gateway, 6),
    Fault("primary forgets scripts", ServersBreaker.forget_scripts, 6),
    Fault("primary drops clients", ServersBreaker.drop_clients, 10),
)
