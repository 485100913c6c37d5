"""Faults of one Redis, and of the connections between gateways and it."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import redis

from tests.chaos.breaker import GATEWAY_FAULTS, Breaker, Fault
from tests.chaos.world import OneServer

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Sequence

    from tests.chaos.ledger import Ledger
    from tests.support.proxy import FaultyProxy


CLUSTER_SAYS: Final = (
    "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 7 127.0.0.1:1",
    "ASK 7 127.0.0.1:1",
)
"""Errors that a single server cannot be made to send; the proxy sends them in its place."""


class ServerBreaker(Breaker[OneServer]):
    """Does faults of gateways, of their one Redis, and of the network between them."""

    def __init__(
        self, world: OneServer, ledger: Ledger, choose: random.Random, *, scale: float = 1.0
    ) -> None:
        super().__init__(world, ledger, choose, scale=scale)
        self._at_redis = asyncio.Lock()
        self._by_clock = asyncio.Lock()

    def faults(self) -> Sequence[Fault]:
        """See Breaker."""
        return FAULTS if self._world.clock is None else (*FAULTS, SET_CLOCK)

    # -- Redis --------------------------------------------------------------------------------

    async def _ask(self, *command: object) -> Any:
        client = self._world.redis.client
        return await asyncio.to_thread(client.execute_command, *command)

    async def _insist(self, *command: object) -> None:
        """Repeat a command until it succeeds, so that no fault stays."""
        while True:
            try:
                await self._ask(*command)
            except redis.RedisError:
                await asyncio.sleep(0.1)
            else:
                return

    async def kill_redis(self) -> None:
        """Kill Redis; it returns with all acknowledged writes."""
        async with self._at_redis:
            with self._ledger.unwell():
                await asyncio.to_thread(self._world.redis.kill)
                await self._last(0, 0.3, 2, 5)
                await asyncio.to_thread(self._world.redis.start)

    async def freeze_redis(self) -> None:
        """Freeze Redis: every connection stays open, without answers."""
        async with self._at_redis:
            with self._ledger.unwell():
                self._world.redis.freeze()
                try:
                    await self._last(0.3, 2, 7)
                finally:
                    self._world.redis.thaw()

    async def pause_redis(self) -> None:
        """Pause only writes, or all commands."""
        kind = self._choose.choice(["WRITE", "ALL"])
        async with self._at_redis, self._by_clock:  # set back, its clock would prolong the pause
            with self._ledger.unwell():
                for_s = self._choose.choice([0.1, 0.7, 2.5, 6.0]) * self._scale
                try:
                    await self._ask("CLIENT PAUSE", int(for_s * 1000), kind)
                finally:
                    await asyncio.sleep(for_s)  # it may have been taken, too, if no answer came

    async def drop_clients(self) -> None:
        """Kill all connections for commands, or all subscriptions."""
        async with self._at_redis:
            await self._ask(
                "CLIENT KILL", "TYPE", self._choose.choice(["normal", "pubsub"]), "SKIPME", "yes"
            )
            self._ledger.shaken()

    async def forget_scripts(self) -> None:
        """Flush the scripts, as after a failover."""
        async with self._at_redis:
            await self._ask("SCRIPT FLUSH")

    async def rewrite_file(self) -> None:
        """Rewrite the append-only file, in a fork."""
        async with self._at_redis:
            with suppress(redis.ResponseError):  # one is under way
                await self._ask("BGREWRITEAOF")

    async def _configured(self, name: str, value: object, well: object, *lasts: float) -> None:
        with self._ledger.unwell():
            await self._ask("CONFIG SET", name, value)
            try:
                await self._last(*lasts)
            finally:
                await self._insist("CONFIG SET", name, well)

    async def refuse_for_replicas(self) -> None:
        """NOREPLICAS: a required replica is away."""
        async with self._at_redis:
            await self._configured("min-replicas-to-write", 1, 0, 0.5, 3, 6)

    async def refuse_for_memory(self) -> None:
        """OOM: memory is full, at any point of its work."""
        async with self._at_redis:
            memory = await asyncio.to_thread(self._world.redis.client.info, "memory")
            full = int(memory["used_memory"]) + self._choose.choice([0, 2_000, 20_000])
            await self._configured("maxmemory", full, 0, 0.5, 3, 6)

    async def refuse_clients(self) -> None:
        """Answer new connections with "max number of clients reached"."""
        async with self._at_redis:
            await self._configured("maxclients", 1, 10_000, 0.5, 3)

    async def refuse_as_replica(self) -> None:
        """READONLY: Redis is demoted, and then promoted again."""
        async with self._at_redis:
            with self._ledger.unwell():
                await self._ask("REPLICAOF", "127.0.0.1", 1)
                try:
                    await self._last(0.3, 2, 5)
                finally:
                    await self._insist("REPLICAOF", "NO", "ONE")

    async def refuse_as_lost_replica(self) -> None:
        """MASTERDOWN: Redis is demoted, its primary is away, and it serves no stale data."""
        async with self._at_redis:
            await self._ask("CONFIG SET", "replica-serve-stale-data", "no")
            with self._ledger.unwell():
                await self._ask("REPLICAOF", "127.0.0.1", 1)
                try:
                    await self._last(0.3, 2, 5)
                finally:
                    await self._insist("REPLICAOF", "NO", "ONE")
            await self._insist("CONFIG SET", "replica-serve-stale-data", "yes")

    async def refuse_for_disk(self) -> None:
        """MISCONF: Redis could not write a snapshot."""
        async with self._at_redis:
            await asyncio.to_thread(self._world.redis.fail_to_save)
            await self._configured("save", "3600 1000000", "", 0.5, 3, 6)

    async def refuse_without_password(self) -> None:
        """NOAUTH: an operator sets a password, and removes it."""
        async with self._at_redis:
            port = self._world.redis.port
            with redis.Redis(port=port, single_connection_client=True) as client:

                def ask(*command: str) -> Awaitable[Any]:
                    return asyncio.to_thread(client.execute_command, *command)

                with self._ledger.unwell():
                    await ask("CONFIG SET", "requirepass", "secret")
                    for kind in ("normal", "pubsub"):
                        await ask("CLIENT KILL", "TYPE", kind, "SKIPME", "yes")
                    await self._last(0.3, 2, 5)
                    await ask("CONFIG SET", "requirepass", "")

    async def refuse_permission(self) -> None:
        """NOPERM: an operator removes a permission, and restores it."""
        async with self._at_redis:
            with self._ledger.unwell():
                right = self._choose.choice(
                    ["evalsha", "hget", "hset", "xadd", "xrange", "publish"]
                )
                await self._ask("ACL SETUSER", "default", f"-{right}")
                await self._last(0.3, 2, 5)
                await self._insist("ACL SETUSER", "default", "+@all")

    async def refuse_while_loading(self) -> None:
        """LOADING: Redis reads its file again, as after a restart."""
        async with self._at_redis:
            with self._ledger.unwell():
                await self._ask("CONFIG SET", "key-load-delay", self._choose.choice([20, 200]))
                loading = asyncio.create_task(asyncio.to_thread(self._world.redis.load_again))
                await self._last(0.3, 2, 5)
                await self._insist("CONFIG SET", "key-load-delay", 0)
                await loading

    async def refuse_while_busy(self) -> None:
        """BUSY: a foreign script does not end."""
        async with self._at_redis:
            with self._ledger.unwell():
                await self._ask("CONFIG SET", "lua-time-limit", 50)
                slow = threading.Thread(target=self._run_slow_script)
                slow.start()
                await self._last(0.5, 2)
                while slow.is_alive():
                    with suppress(redis.RedisError):  # it has not begun, or is just killed
                        await self._ask("SCRIPT KILL")
                    await asyncio.sleep(0.05)

    def _run_slow_script(self) -> None:
        endless = redis.Redis(port=self._world.redis.port, socket_timeout=None)
        with endless as client, suppress(redis.RedisError):
            client.eval("while true do end", 0)

    async def slow_disk(self) -> None:
        """Block Redis at every write, as with `appendfsync always` on a slow disk."""
        async with self._at_redis:
            with self._ledger.unwell():
                for _ in range(self._choose.choice([3, 10, 20])):
                    self._world.redis.freeze()
                    try:
                        await self._last(0.05, 0.2, 0.6)
                    finally:
                        self._world.redis.thaw()
                    await asyncio.sleep(0.02)

    async def lose_hints(self) -> None:
        """Evict the hints of all leases."""
        async with self._at_redis:
            with suppress(redis.RedisError):
                await self._ask("DEL", "ms:leases")

    async def set_clock(self) -> None:
        """Set Redis's clock forward or back, by minutes."""
        if self._world.clock is not None:
            async with self._by_clock:
                self._world.clock.set(self._choose.choice([-900, -30, 0, 30, 900]))
            self._ledger.shaken()

    # -- between them -------------------------------------------------------------------------

    def _some_ways(self) -> list[FaultyProxy]:
        ways = self._world.ways
        return ways if self._choose.random() < 0.5 else [self._choose.choice(ways)]

    async def cut_network(self) -> None:
        """Cut all connections, and refuse new ones."""
        ways = self._some_ways()
        with self._ledger.unwell():
            for way in ways:
                way.refusing = True
                way.cut_all()
            await self._last(0, 0.5, 3, 7, 11)
            for way in ways:
                way.refusing = False

    async def drop_connections(self) -> None:
        """Cut all connections once."""
        for way in self._some_ways():
            way.cut_all()
        self._ledger.shaken()

    async def half_open(self) -> None:
        """Lose or delay Redis's answers; commands still arrive."""
        ways = self._some_ways()
        with self._ledger.unwell():
            for way in ways:
                way.hold()
            await self._last(0.5, 3, 6, 10)
            cut = self._choose.random() < 0.5
            for way in ways:
                if cut:
                    way.cut_all()
                way.release()

    async def answer_as_cluster(self) -> None:
        """Answer like one node of a cluster, for a while."""
        word = self._choose.choice(CLUSTER_SAYS)
        ways = self._some_ways()
        with self._ledger.unwell():
            for way in ways:
                way.answers = word
                way.cut_all()
            await self._last(0.3, 2, 5)
            for way in ways:
                way.answers = None
                way.cut_all()

    async def slow_network(self) -> None:
        """Delay every answer."""
        ways = self._some_ways()
        with self._ledger.unwell():
            for way in ways:
                way.latency_s = self._choose.choice([0.005, 0.05, 0.3])
            await self._last(1, 4)
            for way in ways:
                way.latency_s = 0


SET_CLOCK: Final = Fault("Redis's clock set", ServerBreaker.set_clock, 8)

FAULTS: Final = (
    *GATEWAY_FAULTS,
    Fault("Redis killed", ServerBreaker.kill_redis, 6),
    Fault("Redis frozen", ServerBreaker.freeze_redis, 4),
    Fault("Redis paused", ServerBreaker.pause_redis, 5),
    Fault("Redis drops clients", ServerBreaker.drop_clients, 8),
    Fault("Redis forgets scripts", ServerBreaker.forget_scripts, 4),
    Fault("Redis rewrites its file", ServerBreaker.rewrite_file, 2),
    Fault("Redis refuses: NOREPLICAS", ServerBreaker.refuse_for_replicas, 4),
    Fault("Redis refuses: OOM", ServerBreaker.refuse_for_memory, 4),
    Fault("Redis refuses: max clients", ServerBreaker.refuse_clients, 3),
    Fault("Redis refuses: READONLY", ServerBreaker.refuse_as_replica, 4),
    Fault("Redis refuses: MASTERDOWN", ServerBreaker.refuse_as_lost_replica, 3),
    Fault("Redis refuses: MISCONF", ServerBreaker.refuse_for_disk, 4),
    Fault("Redis refuses: NOAUTH", ServerBreaker.refuse_without_password, 4),
    Fault("Redis refuses: NOPERM", ServerBreaker.refuse_permission, 3),
    Fault("Redis refuses: LOADING", ServerBreaker.refuse_while_loading, 4),
    Fault("Redis refuses: a cluster's words", ServerBreaker.answer_as_cluster, 4),
    Fault("Redis's disk slow", ServerBreaker.slow_disk, 4),
    Fault("Redis refuses: BUSY", ServerBreaker.refuse_while_busy, 3),
    Fault("hints of leases lost", ServerBreaker.lose_hints, 6),
    Fault("network cut", ServerBreaker.cut_network, 5),
    Fault("network drops connections", ServerBreaker.drop_connections, 8),
    Fault("network half open", ServerBreaker.half_open, 4),
    Fault("network slow", ServerBreaker.slow_network, 4),
)
