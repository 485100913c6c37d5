"""Runs that are written at one gateway, and read there and at another, while nodes fail."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from midstream.ids import SessionId
from midstream.sessions import Limits, ReaderLimits, open_sessions
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import StoreSettings
from tests.support.played import ALICE, Reading, Script, send, user_message
from tests.support.processes import eventually
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from midstream.sessions.service import Sessions
    from tests.support.played import Played
    from tests.support.redis_cluster import ClusterNode, RedisCluster

LIMITS: Final = Limits(readers=ReaderLimits(heartbeat_interval_s=0.3, outage_limit_s=120))
SETTINGS: Final = StoreSettings(command_timeout_s=2.0)
TALKS: Final = 12
PAUSE_S: Final = 0.01
"""Between two words of each talk."""
WAIT_S: Final = 60.0


class Talk:
    """One run: the words that were said, and its two readers."""

    def __init__(self, session: SessionId, run: Played, readings: list[Reading]) -> None:
        self.session = session
        self.run = run
        self.readings = readings
        self.said = 0

    def say(self) -> None:
        """Say the next word."""
        self.run.tell(f"{self.said} ")
        self.said += 1

    @property
    def heard(self) -> int:
        """Chunks that both readers have."""
        return min(len(reading.lines) for reading in self.readings)

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(f"{number} " for number in range(self.said))


class Talks:
    """All runs, half-way."""

    def __init__(self, here: Sessions, there: Sessions) -> None:
        self.here = here
        self.there = there
        self.all: list[Talk] = []

    async def begin(self, session: SessionId, script: Script) -> None:
        """Begin one more."""
        sent = Reading(await self.here.start(ALICE, send(session, user_message("u1", "talk"))))
        run = await script.next()
        run.open()
        talk = Talk(session, run, [sent])
        talk.say()
        reader = await self.there.resume(ALICE, session)
        assert reader is not None
        talk.readings.append(Reading(reader))
        self.all.append(talk)

    async def go_on(self) -> None:
        """Say words until cancelled."""
        while True:
            for talk in self.all:
                talk.say()
            await asyncio.sleep(PAUSE_S)

    def at(self, cluster: RedisCluster, *nodes: ClusterNode) -> list[Talk]:
        """Return those whose sessions these nodes have."""
        return [talk for talk in self.all if cluster.owner(f"{{{talk.session}}}") in nodes]

    async def more(self, talks: Collection[Talk] | None = None, chunks: int = 10) -> None:
        """Wait until both readers of each have so many chunks more."""
        chosen = self.all if talks is None else talks
        assert chosen
        before = {talk.session: talk.heard for talk in chosen}
        await eventually(
            lambda: all(talk.heard >= before[talk.session] + chunks for talk in chosen),
            f"{chunks} chunks more of {sorted(before)}",
            WAIT_S,
        )

    async def end(self) -> None:
        """End all; nothing of what was said is missing, or there twice."""
        for talk in self.all:
            talk.run.end()
        for talk in self.all:
            for reading in talk.readings:
                await asyncio.wait_for(reading.task, WAIT_S)
                assert reading.text == talk.text
            kept = await self.there.snapshot(ALICE, talk.session)
            assert text_of(msgspec.json.decode(kept.messages[-1])) == talk.text


@asynccontextmanager
async def talking(url: str, count: int = TALKS) -> AsyncIterator[Talks]:
    """Talk in so many sessions while the block runs, then see whether all was heard."""
    script = Script()
    async with AsyncExitStack() as stack:
        gateways = []
        for _ in range(2):
            store = await stack.enter_async_context(RedisStore.connect(url, settings=SETTINGS))
            gateways.append(await stack.enter_async_context(open_sessions(store, script, LIMITS)))
        talks = Talks(*gateways)
        for number in range(count):
            await talks.begin(SessionId(f"chat-{number}"), script)
        saying = asyncio.create_task(talks.go_on())
        try:
            await talks.more()
            yield talks
            await talks.more()
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
        await talks.end()
