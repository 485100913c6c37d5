"""Alternates storms of faults with calms, in which everything must recover."""

from __future__ import annotations

import asyncio
import random
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.chaos.ledger import LIMIT_S
from tests.chaos.people import Person
from tests.chaos.world import World

if TYPE_CHECKING:
    from tests.chaos.breaker import Breaker
    from tests.chaos.ledger import Ledger

W = TypeVar("W", bound=World)

STORM_S: Final = 25.0
CALM_LIMIT_S: Final = 90.0
"""Limit for the turns of a storm to end; each fails by itself long before."""

PROGRESS_S: Final = 10.0
HELD: Final = 20
"""Clients that never read their answer, or never complete their request."""


async def drive(
    world: W,
    ledger: Ledger,
    breaking: type[Breaker[W]],
    *,
    seconds: float,
    seed: int,
    people: int = 12,
    longest: int = 120,
    scale: float = 1.0,
    least: int = 0,
    every_kind: bool = False,
) -> None:
    """Do faults for `seconds`, then check that everything recovers.

    Args:
        breaking: does the faults of this world.
        longest: the largest number of tokens of an answer.
        scale: the length of outages, relative to `make chaos`.
        least: continue until this many faults were done.
        every_kind: do one fault of each kind, in sequence, instead of storms for `seconds`.
    """
    choose = random.Random(seed)  # noqa: S311 - no secret
    breaker = breaking(world, ledger, choose, scale=scale)
    crowd = [
        Person(f"p{seed}-{i}", world, ledger, random.Random(f"{seed} {i}"), longest=longest)  # noqa: S311
        for i in range(people)
    ]
    async with asyncio.TaskGroup() as tasks:
        talking = [tasks.create_task(person.talk(), name="person") for person in crowd]
        beside = [
            tasks.create_task(_nuisance(world, ledger, random.Random(seed)), name="nuisance"),  # noqa: S311
            tasks.create_task(_tell(ledger), name="progress"),
        ]
        if every_kind:
            await breaker.each_once()
        until = time.monotonic() + (0 if every_kind else seconds)
        while time.monotonic() < until or ledger.faults.total() < least:
            left_s = max(until - time.monotonic(), 1.0)
            await _storm(breaker, choose, STORM_S if least else min(STORM_S, left_s))
            await _calm(crowd)
        for person in crowd:
            person.leave()
        await asyncio.wait(talking, timeout=CALM_LIMIT_S)
        for task in talking:
            if not task.done():
                ledger.wrong("somebody's turn does not end")
        for task in [*talking, *beside]:
            task.cancel()
    await _all_is_well(world, ledger)


async def _storm(breaker: Breaker[W], choose: random.Random, seconds: float) -> None:
    """Do faults, mostly one at a time, sometimes two."""
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as faults:
        while time.monotonic() < until:
            fault = faults.create_task(breaker.do_one())
            if choose.random() < 0.75:
                await asyncio.wait({fault})
            await asyncio.sleep(choose.uniform(0.05, 1.0))


async def _calm(crowd: list[Person]) -> None:
    """Wait until every person has completed a turn, and begun one without faults."""
    before = [person.turns for person in crowd]
    with suppress(TimeoutError):
        async with asyncio.timeout(CALM_LIMIT_S):
            for person, turns in zip(crowd, before, strict=True):
                await person.until_turn(turns + 1)


async def _tell(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        ledger.tell()


async def _nuisance(world: World, ledger: Ledger, choose: random.Random) -> None:
    """Connect and never read, or never complete a request."""
    held: list[asyncio.StreamWriter] = []
    try:
        while True:
            await asyncio.sleep(choose.uniform(0.5, 2))
            with suppress(OSError):
                port = world.endpoint(choose).port
                _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
                held.append(writer)
                if choose.random() < 0.5:
                    writer.write(b"GET /api/chat/deaf/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                    ledger.fault("client that never reads")
                else:
                    writer.write(
                        b"POST /api/chat HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99\r\n\r\n{"
                    )
                    ledger.fault("client that never finishes asking")
            if len(held) > HELD:
                held.pop(0).transport.abort()
    finally:
        for writer in held:
            writer.transport.abort()


# -- the end --------------------------------------------------------------------------------


async def _all_is_well(world: World, ledger: Ledger) -> None:
    """Check that nothing is left: no run, no reader, no key without TTL, no failed process."""
    deadline = time.monotonic() + LIMIT_S
    left = await _left(world)
    while left and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        left = await _left(world)
    for what in left:
        ledger.wrong(what)
    for gateway in world.gateways:
        for what in gateway.look_at_log():
            ledger.wrong(what, gateway=gateway.process.folder.name)


async def _left(world: World) -> list[str]:
    """Return the runs and readers that are left after all people have gone."""
    left = []
    for gateway in world.gateways:
        name = gateway.process.folder.name
        async with gateway.process.at.request("GET", "/metrics") as response:
            metrics = (await response.body()).decode()
        for gauge in ("midstream_runs_active", "midstream_readers"):
            count = sum(float(n) for n in re.findall(rf"^{gauge}(?:{{.*}})? (\S+)$", metrics, re.M))
            if count:
                left.append(f"{gauge} is {count:.0f} in {name}, and nobody is there")
    for client in world.primaries():
        left += await asyncio.to_thread(_left_in_redis, client)
    return left


def _left_in_redis(client: Any) -> list[str]:
    left = []
    for key in client.scan_iter(match="ms:*", count=1_000):
        if client.ttl(key) == -1:
            left.append(f"{key!r} is there for ever")
        elif key.endswith(b":meta") and client.hget(key, "state") != b"ended":
            left.append(f"the run of {key!r} is {client.hget(key, 'state')!r}")
    return left
