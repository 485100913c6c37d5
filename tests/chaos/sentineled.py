"""Three gateways over a primary and two replicas, which three Sentinels watch."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.chaos.breaker import Fault
from tests.chaos.many_servers import SERVER_FAULTS, ManyServers, ServersBreaker, no_more_writes
from tests.chaos.world import GATEWAYS
from tests.support.redis_sentinels import NAME, REPLICAS, Sentinels

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import redis

    from tests.support.gateway import Settings
    from tests.support.redis_kinds import Kind
    from tests.support.redis_sentinels import Replicated
    from tests.support.redis_server import RedisServer
    from tests.support.simulator import Simulator


class Sentineled(ManyServers):
    """The gateways, and what they follow."""

    def __init__(
        self, folder: Path, kind: Kind, simulator: Simulator, lease: Settings | None
    ) -> None:
        super().__init__(folder, simulator, lease)
        self.sentinels = Sentinels(folder, kind)
        self.is_valkey = "valkey" in Path(kind.program).name

    @property
    def servers(self) -> Sequence[RedisServer]:
        """See ManyServers."""
        return self.sentinels.servers

    def the_primaries(self) -> Sequence[Replicated]:
        """See ManyServers."""
        return [self.sentinels.primary]

    def replicas_of(self, primary: RedisServer) -> Sequence[Replicated]:
        """See ManyServers."""
        return [each for each in self.sentinels.servers if each is not primary and each.answers()]

    def client_of(self, session: str) -> redis.Redis:
        """See World."""
        return self.sentinels.primary.client

    def replace(self, primary: RedisServer) -> None:
        """See ManyServers."""
        primary.kill()
        self.sentinels.wait_replaced(self._named(primary))

    def change_places(self, primary: RedisServer) -> None:
        """See ManyServers."""
        with no_more_writes(self, primary):
            self.sentinels.failover()

    def change_places_coordinated(self) -> None:
        """Do the same as Valkey 9 does by itself: it loses nothing."""
        before = self.sentinels.primary
        self.sentinels.sentinels[0].do("SENTINEL", "FAILOVER", NAME, "COORDINATED")
        self.sentinels.wait_replaced(before)

    def _named(self, server: RedisServer) -> Replicated:
        return next(each for each in self.sentinels.servers if each is server)

    def is_whole(self) -> bool:
        """See ManyServers."""
        servers, sentinels = self.sentinels.servers, self.sentinels.sentinels
        return (
            all(server.answers() for server in servers)
            and sum(server.is_up_to_date for server in servers) == REPLICAS
            and len({sentinel.primary_port() for sentinel in sentinels}) == 1
            and all(sentinel.knows_all() for sentinel in sentinels)
        )


class SentinelBreaker(ServersBreaker[Sentineled]):
    """Does the faults of servers behind Sentinels."""

    def faults(self) -> Sequence[Fault]:
        """See Breaker."""
        return (*SENTINEL_FAULTS, COORDINATED) if self._world.is_valkey else SENTINEL_FAULTS

    async def freeze_sentinel(self) -> None:
        """Freeze one Sentinel; the others are enough."""
        async with self._one_primary():
            sentinel = self._choose.choice(self._world.sentinels.sentinels)
            sentinel.process.freeze()
            try:
                await self._last(0.5, 2, 5)
            finally:
                sentinel.process.thaw()

    async def fail_over_coordinated(self) -> None:
        """Have Valkey 9 fail over without a loss."""
        async with self._one_primary():
            await asyncio.to_thread(self._world.change_places_coordinated)


COORDINATED: Final = Fault("coordinated failover", SentinelBreaker.fail_over_coordinated, 5)

SENTINEL_FAULTS: Final = (
    *SERVER_FAULTS,
    Fault("Sentinel frozen", SentinelBreaker.freeze_sentinel, 4),
)


@asynccontextmanager
async def sentinel_world(
    folder: Path, kind: Kind, simulator: Simulator, lease: Settings | None = None
) -> AsyncIterator[Sentineled]:
    """Run all of it for the length of a block."""
    made = Sentineled(folder, kind, simulator, lease)
    try:
        for server in made.servers:
            made.admit(server)
        for number in range(GATEWAYS):
            made.add(made.user_in(made.sentinels.url, number))
        for gateway in made.gateways:
            await made.revive(gateway)
        yield made
    finally:
        made.sentinels.end()
        made.end()
