"""Readers of a log that holds records of kinds that they do not know."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st

from midstream.errors import DrainingError
from midstream.protocol.position import Position
from midstream.sessions.draining import Draining
from midstream.sessions.log.feed import Feed
from midstream.sessions.log.followers import FeedFollower
from midstream.sessions.log.readers import ReaderLimits
from midstream.sessions.log.stored_run import all_chunks
from midstream.sessions.types import FeedEvent
from midstream.store.records import ChunksRecord, ErasedRecord, LogEntry, UnknownRecord
from tests.unit.gateway.sessions.log.test_feed import (
    RUN,
    SESSION,
    Log,
    no_snapshot,
    nobody_here,
    read_all,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.ids import SessionId
    from midstream.store.contract import SessionStore
    from midstream.store.records import SessionState


class MixedLog(Log):
    """A run of `len(before) - 1` chunks; before each, and at the end, so many unknown records."""

    def __init__(self, before: Sequence[int]) -> None:
        super().__init__(len(before) - 1)
        opening, *chunks = (entry.record for entry in self.entries)
        records = [opening]
        for index, count in enumerate(before):
            records += [UnknownRecord(kind="q")] * count + chunks[index : index + 1]
        self.entries = [
            LogEntry(offset=f"{i + 1}-0", previous=f"{i}-0", record=record)
            for i, record in enumerate(records)
        ]
        self.kept = self.entries
        self.visible = len(records)

    async def load(self, session_id: SessionId) -> SessionState:
        state = await super().load(session_id)
        visible = self.entries[: self.visible]
        written = sum(isinstance(entry.record, ChunksRecord) for entry in visible)
        return type(state)(meta=state.meta, path=(), run=RUN, run_next=written, run_opened="1-0")


async def events_after(log: Log, heard: Sequence[LogEntry]) -> list[tuple[str, bytes]]:
    """Return what a follower gets that was there from the run's opening on."""
    store = cast("SessionStore", log)
    feed = Feed(store, SESSION)
    log.visible = 1
    await feed.load()
    draining = Draining()
    reader = FeedFollower(
        feed,
        store,
        position=Position("e", "1-0"),
        snapshot=no_snapshot,
        announce=nobody_here,
        draining=draining,
        limits=ReaderLimits(),
        resources=AsyncExitStack(),
    )
    log.visible = len(log.entries)
    for entry in heard:
        feed.receive(entry)
    feed.check()
    await settle(feed)
    assert feed.head == Position("e", log.entries[-1].offset)
    draining.started = True  # which ends a reader that has all
    seen: list[tuple[str, bytes]] = []
    with suppress(DrainingError):
        async with reader:
            async for event in reader:
                assert isinstance(event, FeedEvent)
                seen.append((event.event, event.data))
    return seen


@given(
    before=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    met=st.integers(1, 20),
    data=st.data(),
)
def test_readers_see_exactly_what_they_would_without_unknown_records(
    before: list[int], met: int, data: st.DataObject
) -> None:
    """From any position, with any order on the channel.

    For the run's readers, the session's followers, and the processes that resume or end the run.
    """
    log = MixedLog(before)
    heard = data.draw(st.lists(st.sampled_from(log.entries), max_size=8))
    plain = Log(len(before) - 1)

    async def texts() -> list[str]:
        log.visible = min(met, len(log.entries))
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        log.visible = len(log.entries)
        for entry in heard:
            feed.receive(entry)
        feed.check()
        await settle(feed)
        return await read_all(feed)

    async def stored(log: Log) -> list[object]:
        store = cast("SessionStore", log)
        return [*await all_chunks(store, SESSION, RUN.id, opened="1-0", until=len(before) - 1)]

    assert asyncio.run(texts()) == [str(i) for i in range(len(before) - 1)]
    assert asyncio.run(events_after(log, heard)) == asyncio.run(events_after(plain, []))
    assert asyncio.run(stored(log)) == asyncio.run(stored(plain))


def test_pages_full_of_unknown_records_do_not_end_a_reader() -> None:
    """More of them in a row than a page of the log holds."""
    log = MixedLog([450, 0, 450])

    async def scenario() -> list[str]:
        log.visible = 1
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        log.visible = len(log.entries)
        run = feed.runs[RUN.id]
        run.skip_to(2)
        return await read_all(feed)

    assert asyncio.run(scenario()) == ["0", "1"]


def test_followers_are_told_of_a_deletion_and_of_nothing_else_as_one() -> None:
    """`erased`, then the snapshot of nothing; only to those who have seen the session."""

    async def followed(position: Position | None) -> list[str]:
        log = MixedLog([2])
        store = cast("SessionStore", log)
        feed = Feed(store, SESSION)
        await feed.load()
        seen: list[str] = []

        async def snapshot() -> FeedEvent:
            return FeedEvent("snapshot", b"{}", None)

        reader = FeedFollower(
            feed,
            store,
            position=position,
            snapshot=snapshot,
            announce=nobody_here,
            draining=Draining(),
            limits=ReaderLimits(),
            resources=AsyncExitStack(),
        )
        feed.receive(LogEntry(offset="9-0", previous="3-0", record=ErasedRecord()))
        async with reader:
            async for event in reader:
                assert isinstance(event, FeedEvent)
                seen.append(event.event)
                if event.event == "snapshot":
                    return seen
        return seen

    assert asyncio.run(followed(Position("e", "3-0"))) == ["erased", "snapshot"]
    assert asyncio.run(followed(None)) == ["snapshot"]
