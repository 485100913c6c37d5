"""Faults of gateways, in any world, and the choice among all that can be done there.

A fault is one moment, or repairs at its end what it broke. A seeded generator chooses the kinds by
weight.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import redis

from tests.chaos.world import World
from tests.support.processes import eventually

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from tests.chaos.ledger import Ledger
    from tests.chaos.world import Gateway

EXIT_LIMIT_S: Final = 40.0
"""Limit for a gateway to end: it drains for 6 s, and closes for 10."""

W = TypeVar("W", bound=World)


class Fault(NamedTuple):
    """One kind of fault, with its weight. `do` takes the breaker of its world."""

    kind: str
    do: Callable[[Any], Awaitable[None]]
    weight: int = 4


class Breaker(Generic[W]):
    """Does faults.

    Args:
        scale: the length of outages, relative to `make chaos`.
    """

    def __init__(
        self, world: W, ledger: Ledger, choose: random.Random, *, scale: float = 1.0
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._choose = choose
        self._scale = scale

    def faults(self) -> Sequence[Fault]:
        """Return the faults that are possible in this world."""
        return GATEWAY_FAULTS

    async def do_one(self) -> None:
        """Do one fault of any kind."""
        faults = self.faults()
        (fault,) = self._choose.choices(faults, weights=[each.weight for each in faults])
        try:
            await fault.do(self)
        except redis.RedisError:
            self._ledger.saw("a fault that Redis did not take")  # it has not come back from another
        else:
            self._ledger.fault(fault.kind)

    async def each_once(self) -> None:
        """Do one fault of every kind, in an order chosen by the seed."""
        faults = self.faults()
        for fault in self._choose.sample(faults, len(faults)):
            await fault.do(self)
            self._ledger.fault(fault.kind)

    async def _last(self, *choices_s: float) -> None:
        await asyncio.sleep(self._choose.choice(choices_s) * self._scale)

    # -- gateways -----------------------------------------------------------------------------

    @contextmanager
    def _one_gateway(self) -> Iterator[Gateway | None]:
        """Take a gateway that no other fault holds, if another stays up for the people."""
        free = [gateway for gateway in self._world.gateways if not gateway.busy]
        if len(free) < 2:
            yield None
            return
        gateway = self._choose.choice(free)
        gateway.busy = True
        try:
            with self._ledger.unwell():
                yield gateway
        finally:
            gateway.busy = False

    async def kill_gateway(self) -> None:
        """Kill all processes of a gateway at once."""
        with self._one_gateway() as gateway:
            if gateway is not None:
                gateway.process.process.kill()
                await self._last(0, 0.2, 2)
                await self._world.revive(gateway)

    async def kill_worker(self) -> None:
        """Kill the worker process; its parent starts another."""
        with self._one_gateway() as gateway:
            if gateway is not None:
                for pid in gateway.workers:
                    gateway.deaths_caused += 1
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await self._last(0.2)
                await self._world.revive(gateway)

    async def kill_parent(self) -> None:
        """Kill the parent process; its workers must not outlive it."""
        with self._one_gateway() as gateway:
            if gateway is not None:
                gateway.process.process.send_signal(signal.SIGKILL)
                await _exit_of(gateway)
                await self._world.revive(gateway)

    async def terminate_gateway(self) -> None:
        """Stop a gateway as a deployment does: it drains, and a new one replaces it."""
        with self._one_gateway() as gateway:
            if gateway is not None:
                gateway.process.terminate()
                code = await _exit_of(gateway)
                if code != 0:
                    self._ledger.wrong("a gateway that is told to end fails", code=code)
                await self._world.revive(gateway)

    async def freeze_gateway(self) -> None:
        """Freeze a gateway, sometimes for longer than a lease: then it wakes up fenced."""
        with self._one_gateway() as gateway:
            if gateway is not None:
                gateway.process.process.freeze()
                try:
                    await self._last(0.3, 1, 3, 9, 12)
                finally:
                    gateway.process.process.thaw()


async def _exit_of(gateway: Gateway) -> int:
    """Wait until a gateway has ended; return its exit code."""
    process = gateway.process.process
    await eventually(lambda: process.exit_code is not None, f"{process.name} ends", EXIT_LIMIT_S)
    return process.wait_exit(0)


GATEWAY_FAULTS: Final = (
    Fault("gateway killed", Breaker.kill_gateway, 4),
    Fault("gateway's worker killed", Breaker.kill_worker, 6),
    Fault("gateway's parent killed", Breaker.kill_parent, 3),
    Fault("gateway told to end", Breaker.terminate_gateway, 4),
    Fault("gateway frozen", Breaker.freeze_gateway, 6),
)
