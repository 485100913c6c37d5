"""A replica that lacks acknowledged words is promoted, and nobody is left who could append them.

The gateway that wrote the answer is cut off for good; another one, where people read it, ends it.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from midstream.ids import SessionId
from midstream.sessions import open_sessions
from midstream.store.redis.store import RedisStore
from tests.integration.topologies.test_sentinel_failover import stored_text
from tests.support.played import ALICE, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually
from tests.support.proxy import faulty_proxy
from tests.support.redis_kinds import default_kind
from tests.support.redis_sentinels import Replicated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from midstream.sessions.service import Sessions
    from tests.support.played import Played
    from tests.support.proxy import FaultyProxy

pytestmark = [pytest.mark.anyio, pytest.mark.release, pytest.mark.timeout(120)]

CHAT = SessionId("chat")


class Pair:
    """A primary and its replica."""

    def __init__(self, folder: Path) -> None:
        self.primary = Replicated(folder / "primary", default_kind())
        self.replica = Replicated(folder / "replica", default_kind(), self.primary)

    async def start(self) -> None:
        self.primary.start()
        self.replica.start()
        await eventually(lambda: self.replica.is_up_to_date, "the replica follows", 30)

    async def part(self) -> None:
        """From now on the replica gets nothing more, and all before."""
        at = self.primary.client.info("replication")["master_repl_offset"]
        await eventually(
            lambda: self.replica.client.info("replication")["slave_repl_offset"] >= at,
            "the replica has all",
            30,
        )
        self.replica.client.replicaof("NO", "ONE")

    def end(self) -> None:
        self.primary.end()
        self.replica.end()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Both, not started."""
    made = Pair(tmp_path)
    yield made
    made.end()


@asynccontextmanager
async def gateway(way: FaultyProxy, script: Script) -> AsyncIterator[Sessions]:
    url = f"redis://127.0.0.1:{way.port}/0"
    async with (
        RedisStore.connect(url) as store,
        open_sessions(store, script, FAST) as sessions,
    ):
        yield sessions


async def say(run: Played, word: str, *readings: Reading) -> None:
    """Say a word, and wait until all have it."""
    run.tell(word)
    for reading in readings:
        await eventually(lambda r=reading: word in r.text, "the word is read", 30)  # type: ignore[misc]


async def test_readers_are_told_of_words_that_are_lost_with_their_producer(pair: Pair) -> None:
    """Those who have had them get an error, and who comes later gets the answer without them."""
    script = Script()
    await pair.start()
    async with AsyncExitStack() as stack:
        theirs, ours = [
            await stack.enter_async_context(faulty_proxy(pair.primary.port)) for _ in range(2)
        ]
        one = await stack.enter_async_context(gateway(theirs, script))
        other = await stack.enter_async_context(gateway(ours, script))
        sent = Reading(await one.start(ALICE, send(CHAT, user_message("u", "hello"))))
        run = await script.next()
        run.open()
        reader = await other.resume(ALICE, CHAT)
        assert reader is not None
        reading = Reading(reader)
        await say(run, "kept ", sent, reading)
        await pair.part()
        for number in range(5):
            await say(run, f"lost-{number} ", sent, reading)

        theirs.refusing = True
        theirs.cut_all()
        pair.primary.kill()
        ours.move_to(pair.replica.port)
        ours.cut_all()
        chunks = await asyncio.wait_for(reading.end(), 60)
        late = await other.snapshot(ALICE, CHAT)

        assert "lost-4" in reading.text
        assert types(chunks)[-2:] == ["error", "finish"]
        assert stored_text(late) == "kept "
        theirs.move_to(pair.replica.port)
        theirs.refusing = False
