"""Whether sessions of healthy shards wait for a dead one.

Before the people come, answers of all shards are read while nothing is broken, and then while one
primary is dead. Their readers, and whoever sends to them, may wait no longer than before.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Final

from tests.chaos.many_servers import no_more_writes
from tests.support.sessions import user_message

if TYPE_CHECKING:
    from tests.chaos.clustered import Cluster
    from tests.chaos.ledger import Ledger
    from tests.support.redis_cluster import ClusterNode

LIMIT_S: Final = 0.25
"""What a dead shard may add to the longest wait of others."""
PERIOD_S: Final = 6.0
READERS: Final = 4
"""Answers of each shard."""
ASKING_S: Final = 0.2


class Waits:
    """The longest wait of each kind, in one period."""

    def __init__(self) -> None:
        self.read_s = 0.0
        self.send_s = 0.0

    def __str__(self) -> str:
        """Both, in words."""
        return f"{self.read_s:.2f} s for a chunk, {self.send_s:.2f} s for the answer to a send"


class Watch:
    """Readers of, and senders to, the sessions of some shards."""

    def __init__(self, world: Cluster, healthy: list[str]) -> None:
        self.waits = Waits()
        self._world = world
        self._healthy = healthy
        self._heard: dict[str, float] = {}

    def begin_period(self) -> None:
        """Count waits anew; what is awaited now counts from now."""
        self.waits = Waits()
        self._heard = dict.fromkeys(self._heard, time.monotonic())

    def end_period(self) -> Waits:
        """Return the longest waits, those that have not ended among them."""
        now = time.monotonic()
        for at in self._heard.values():
            self.waits.read_s = max(self.waits.read_s, now - at)
        return self.waits

    async def read(self, session: str, number: int) -> None:
        """Have an answer, and note how long each chunk takes to come."""
        at = self._world.gateways[number % len(self._world.gateways)].process.at
        body = _body(session, "tell [[tokens=4000 rate=40 first=0]]", number)
        async with at.request("POST", "/api/chat", body) as response:
            async for event in response.events():
                if event.data != "[DONE]" and json.loads(event.data)["type"] == "text-delta":
                    now = time.monotonic()
                    if session in self._heard:
                        waited = now - self._heard[session]
                        self.waits.read_s = max(self.waits.read_s, waited)
                    self._heard[session] = now

    async def send(self) -> None:
        """Send short messages to sessions of the healthy shards."""
        for number in itertools.count():
            session = self._healthy[number % len(self._healthy)]
            at = self._world.gateways[number % len(self._world.gateways)].process.at
            body = _body(session, "say [[tokens=1 rate=100 first=0]]", number)
            began, waits = time.monotonic(), self.waits
            async with at.request("POST", "/api/chat", body) as response:
                events = response.events()
                await anext(events)
                waits.send_s = max(waits.send_s, time.monotonic() - began)
                async for _ in events:
                    pass
            await asyncio.sleep(ASKING_S)


def _body(session: str, text: str, number: int) -> dict[str, object]:
    return {
        "id": session,
        "trigger": "submit-message",
        "messages": [user_message(text, f"u-{number}")],
        "agent": "assistant",
    }


def _at(world: Cluster, node: ClusterNode, prefix: str, count: int) -> list[str]:
    """Return names of sessions that a node has."""
    names = (f"{prefix}-{number}" for number in itertools.count())
    return list(
        itertools.islice((n for n in names if world.cluster.owner(f"{{{n}}}") is node), count)
    )


def _kill(world: Cluster, node: ClusterNode) -> None:
    with no_more_writes(world, node):
        world.cluster.kill(node)


async def measure(world: Cluster, ledger: Ledger) -> str:
    """Kill one primary; return the waits of the others' sessions before and meanwhile, in words."""
    lost, *others = await asyncio.to_thread(world.the_primaries)
    healthy = [
        name
        for node in others
        for name in await asyncio.to_thread(_at, world, node, "watched", READERS)
    ]
    asked = [
        name for node in others for name in await asyncio.to_thread(_at, world, node, "asked", 3)
    ]
    theirs = await asyncio.to_thread(_at, world, lost, "watched", READERS)
    watch, beside = Watch(world, asked), Watch(world, [])
    tasks = [
        *(asyncio.create_task(watch.read(name, i)) for i, name in enumerate(healthy)),
        *(asyncio.create_task(beside.read(name, i)) for i, name in enumerate(theirs)),
        asyncio.create_task(watch.send()),
    ]
    try:
        await asyncio.sleep(PERIOD_S / 2)  # until all have begun
        watch.begin_period()
        await asyncio.sleep(PERIOD_S)
        before = watch.end_period()
        watch.begin_period()
        await asyncio.to_thread(_kill, world, lost)
        meanwhile = watch.end_period()
        for task in tasks:
            if task.done() and (error := task.exception()) is not None:
                ledger.wrong("an answer of a shard breaks off", error=repr(error))
        await asyncio.to_thread(world.start_again, lost)
        await asyncio.to_thread(world.wait_whole)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for session in [*healthy, *asked, *theirs]:
        async with world.gateways[0].process.at.request("DELETE", f"/api/chat/{session}") as answer:
            await answer.body()
    ledger.fault("primary killed, and the others measured")
    for name, was_s, is_s in (
        ("readers", before.read_s, meanwhile.read_s),
        ("senders", before.send_s, meanwhile.send_s),
    ):
        if is_s > was_s + LIMIT_S:
            ledger.wrong(f"{name} of healthy shards wait for a dead one", was_s=was_s, is_s=is_s)
    return f"healthy shards: {before}; while another is dead: {meanwhile}"
