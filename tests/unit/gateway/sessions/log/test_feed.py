"""A feed over a channel that loses, repeats and reorders what it brings."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from midstream.ids import NO_TENANT, MessageId, RunId, SessionId, UserId
from midstream.protocol.chunks import TextDeltaChunk
from midstream.protocol.codec import decode_lines, encode_lines
from midstream.protocol.position import Position
from midstream.sessions.draining import Draining
from midstream.sessions.log.feed import Feed
from midstream.sessions.log.followers import FeedFollower
from midstream.sessions.log.readers import ReaderLimits
from midstream.sessions.types import FeedEvent
from midstream.store.records import (
    ChunksRecord,
    LogEntry,
    LogPage,
    PresenceRecord,
    RunInfo,
    RunRecord,
    RunState,
    SessionMeta,
    SessionState,
    Trigger,
)
from tests.support.chunk_pages import page_of

if TYPE_CHECKING:
    from midstream.store.contract import SessionStore
    from midstream.store.records import ChunkPage

SESSION = SessionId("s")
RUN = RunInfo(
    id=RunId("r"),
    state=RunState.OPEN,
    message_id=MessageId("a"),
    user_message_id=MessageId("u"),
    trigger=Trigger.SUBMIT,
)


class Log:
    """A log with a run of `count` records, and the store's answers about it."""

    def __init__(self, count: int, trimmed: int = 0) -> None:
        self.entries = [
            LogEntry(offset="1-0", previous="0-0", record=RunRecord(run=RUN)),
            *(
                LogEntry(
                    offset=f"{i + 2}-0",
                    previous=f"{i + 1}-0",
                    record=ChunksRecord(
                        run_id=RUN.id,
                        first=i,
                        count=1,
                        level=5,
                        payload=encode_lines([TextDeltaChunk(id="t", delta=str(i))]),
                    ),
                )
                for i in range(count)
            ),
        ]
        self.kept = self.entries[trimmed:]
        self.visible = len(self.entries)

    async def read_log(self, session_id: SessionId, after: Position, *, count: int) -> LogPage:
        await asyncio.sleep(0)
        seen = [e for e in self.kept if e in self.entries[: self.visible]]
        later = [e for e in seen if int(e.offset[:-2]) > int(after.offset[:-2])]
        head = Position("e", self.entries[self.visible - 1].offset)
        whole = later[0].previous == after.offset if later else after == head
        return LogPage(recovered=whole, head=head, entries=tuple(later[:count]) if whole else ())

    async def read_chunks(
        self, session_id: SessionId, run_id: RunId, offset: str, *, count: int
    ) -> ChunkPage:
        await asyncio.sleep(0)
        start = int(offset[:-2])
        return page_of([e for e in self.kept if int(e.offset[:-2]) >= start], run_id, count)

    async def load(self, session_id: SessionId) -> SessionState:
        await asyncio.sleep(0)
        return SessionState(
            meta=SessionMeta(
                id=SESSION,
                owner=UserId(""),
                tenant=NO_TENANT,
                position=Position("e", self.entries[self.visible - 1].offset),
                title="",
                created_at_ms=0,
                updated_at_ms=0,
                head_message_id=None,
                active_run_id=RUN.id,
                last_run_id=RUN.id,
            ),
            path=(),
            run=RUN,
            run_next=self.visible - 1,
            run_opened="1-0",
        )


async def settle(feed: Feed) -> None:
    """Let the catch-up end."""
    for _ in range(200):
        await asyncio.sleep(0)
    await feed.close()


async def read_all(feed: Feed) -> list[str]:
    """Read the run as a client does that was there from the beginning."""
    log = feed.runs[RUN.id]
    texts: list[str] = []
    cursor = 0
    while cursor < log.next:
        if cursor < log.base:
            batches = [batch async for _, batch in log.read_back(cursor, log.opened)]
        else:
            batches = [log.after(cursor)[1]]
        for batch in batches:
            assert batch.first == cursor
            texts += [cast("TextDeltaChunk", c).delta for c in decode_lines(batch.payload)]
            cursor = batch.last + 1
    return texts


@given(
    count=st.integers(1, 6),
    met=st.integers(1, 7),
    data=st.data(),
)
def test_feed_delivers_each_record_once_in_order_whatever_the_channel_does(
    count: int, met: int, data: st.DataObject
) -> None:
    """Any subset, repetition and order of published records, met at any point of the log,
    ends, after one comparison with the log, in the whole run, once and in order."""
    published = data.draw(st.lists(st.integers(0, count), max_size=12))

    async def scenario() -> list[str]:
        log = Log(count)
        log.visible = min(met, len(log.entries))
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        log.visible = len(log.entries)
        for index in published:
            feed.receive(log.entries[index])
            if data.draw(st.booleans()):
                await asyncio.sleep(0)
        feed.check()
        await settle(feed)
        return await read_all(feed)

    assert asyncio.run(scenario()) == [str(i) for i in range(count)]


def test_records_that_follow_are_delivered_while_the_log_is_read() -> None:
    """Each once, and the log is not read again for them: under load it would never end."""

    async def scenario() -> tuple[int, int, list[str]]:
        log = Log(6)
        log.visible = 3
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        reads, read_log = 0, log.read_log

        async def slow(session_id: SessionId, after: Position, *, count: int) -> LogPage:
            nonlocal reads
            reads += 1
            log.visible = len(log.entries) - 2
            page = await read_log(session_id, after, count=count)
            log.visible = len(log.entries)
            for entry in log.entries[3:]:
                feed.receive(entry)
            return page

        log.read_log = slow  # type: ignore[method-assign]
        feed.check()
        await settle(feed)
        log.visible = len(log.entries)
        return reads, feed.runs[RUN.id].next, await read_all(feed)

    assert asyncio.run(scenario()) == (1, 6, [str(i) for i in range(6)])


def test_feed_starts_again_when_its_position_was_trimmed() -> None:
    """A head that the log cannot continue from is a reset: a new generation, at the state."""

    async def scenario() -> tuple[int, Position | None, int]:
        log = Log(8)
        log.visible = 2
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        before = feed.generation
        log.visible = len(log.entries)
        log.kept = log.entries[5:]
        feed.check()
        await settle(feed)
        return feed.generation - before, feed.head, feed.runs[RUN.id].next

    assert asyncio.run(scenario()) == (1, Position("e", "9-0"), 8)


def test_feed_hears_of_an_end_that_came_while_it_was_away() -> None:
    """A run that the state does not name any more is marked for its readers to look up."""

    async def scenario() -> bool:
        log = Log(2)
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        run = feed.runs[RUN.id]

        async def gone(session_id: SessionId) -> None:
            return None

        log.load = gone  # type: ignore[method-assign, assignment]
        log.kept = []
        log.visible = 1
        feed.check()
        await settle(feed)
        return run.lost and feed.head is None

    assert asyncio.run(scenario())


def test_run_whose_session_was_lost_before_it_was_seen_is_looked_up_again() -> None:
    """A failover lost it between the run's opening and its feed's beginning."""

    async def scenario() -> bool:
        log = Log(2)

        async def gone(session_id: SessionId) -> None:
            return None

        log.load = gone  # type: ignore[method-assign, assignment]
        feed = Feed(cast("SessionStore", log), SESSION)
        await feed.load()
        run = feed.adopt(RUN, "1-0")
        feed.check()
        await settle(feed)
        return run.lost

    assert asyncio.run(scenario())


def test_record_that_comes_while_presence_is_sent_waits_for_no_other() -> None:
    """Its pulse has woken nobody, and the next one may be seconds away."""

    async def scenario() -> list[str]:
        log = Log(2)
        log.visible = 2
        store = cast("SessionStore", log)
        feed = Feed(store, SESSION)
        state = await feed.load()
        assert state is not None
        reader = FeedFollower(
            feed,
            store,
            position=state.meta.position,
            snapshot=no_snapshot,
            announce=nobody_here,
            draining=Draining(),
            limits=ReaderLimits(),
            resources=AsyncExitStack(),
        )
        told = PresenceRecord(here=Raw(b"[]"))
        feed.receive(LogEntry(offset="", previous="", record=told))
        async with reader:
            events = aiter(reader)
            seen = [await anext(events)]
            log.visible = 3
            feed.receive(log.entries[2])
            seen.append(await asyncio.wait_for(anext(events), 30))
        return [event.event for event in seen if isinstance(event, FeedEvent)]

    assert asyncio.run(scenario()) == ["presence", "chunks"]


async def no_snapshot() -> FeedEvent:
    """Return no snapshot: a reader with a position needs none."""
    raise AssertionError


def nobody_here() -> nullcontext[None]:
    """Count no follower."""
    return nullcontext()


class Gone(Log):
    """The log of a session that Redis has lost."""

    async def load(self, session_id: SessionId) -> None:  # type: ignore[override]
        await asyncio.sleep(0)


def test_open_run_is_lost_with_a_session_of_which_nothing_was_read() -> None:
    """Redis lost it between the opening and the first look: its readers must not wait for ever."""

    async def scenario() -> bool:
        feed = Feed(cast("SessionStore", Gone(0)), SESSION)
        view = feed.adopt(RUN, "1-0")
        feed.check()
        await settle(feed)
        return view.lost

    assert asyncio.run(scenario())
