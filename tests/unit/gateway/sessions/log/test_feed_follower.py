"""Followers of sessions, whatever their sink takes and whenever their tasks run."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from midstream.api.chat.follow_many import Feeds, SessionEvent
from midstream.ids import SessionId
from midstream.protocol.position import Position
from midstream.sessions.draining import Draining
from midstream.sessions.log.feed import Feed
from midstream.sessions.log.followers import FeedFollower
from midstream.sessions.log.readers import ReaderLimits
from midstream.sessions.types import Idle
from midstream.store.records import LogEntry, PresenceRecord
from tests.unit.gateway.sessions.log.test_feed import Log, no_snapshot, nobody_here

if TYPE_CHECKING:
    from midstream.store.contract import SessionStore

CHUNKS = 12
HERE = LogEntry(offset="", previous="", record=PresenceRecord(here=Raw(b"[]")))


async def follower(session_id: SessionId, logs: dict[SessionId, Log]) -> tuple[Feed, FeedFollower]:
    """Return a session's feed and a follower at its beginning."""
    log = logs[session_id] = Log(CHUNKS)
    log.visible = 1
    store = cast("SessionStore", log)
    feed = Feed(store, session_id)
    await feed.load()
    reader = FeedFollower(
        feed,
        store,
        position=Position("e", "1-0"),
        snapshot=no_snapshot,
        announce=nobody_here,
        draining=Draining(),
        limits=ReaderLimits(),
        resources=AsyncExitStack(),
    )
    return feed, reader


class Response:
    """What clients are written, by the sink and by the response's task."""

    def __init__(self, taking: list[bool]) -> None:
        self._taking = iter(taking * 200)
        self.firsts: dict[SessionId, list[int]] = {}
        self.direct = 0

    def sink(self, item: SessionEvent) -> bool:
        """Take an event, unless the client is slow just now."""
        takes = next(self._taking)
        if takes:
            self.direct += 1
            self._write(item)
        return takes

    async def send_all(self, feeds: Feeds) -> None:
        """Write what the feeds yield; each write takes a moment."""
        feeds.write_to(self.sink)
        async for item in feeds:
            await asyncio.sleep(0)
            if not isinstance(item, Idle):
                self._write(item)

    def _write(self, item: SessionEvent) -> None:
        if item.event.event == "chunks":
            first = msgspec.json.decode(item.event.data)["first"]
            self.firsts.setdefault(item.session_id, []).append(first)


A, B = SessionId("a"), SessionId("b")


@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from([A, B]), st.booleans(), st.integers(0, 3)), max_size=40
    ),
    taking=st.lists(st.booleans(), min_size=1, max_size=8),
)
def test_followers_write_each_sessions_events_once_in_order_whatever_the_sink_takes(
    arrivals: list[tuple[SessionId, bool, int]], taking: list[bool]
) -> None:
    """Between any two turns of the event loop a session's next record may come, or its presence.

    Args:
        arrivals: of which session, whether presence comes first, and turns of the loop after it.
        taking: whether the sink takes, over and over.
    """

    async def scenario() -> tuple[Response, dict[SessionId, Log]]:
        logs: dict[SessionId, Log] = {}
        opened = {session_id: await follower(session_id, logs) for session_id in (A, B)}
        response = Response(taking)
        readers = [(session_id, reader) for session_id, (_, reader) in opened.items()]
        async with Feeds(readers, AsyncExitStack()) as feeds:
            task = asyncio.create_task(response.send_all(feeds))
            for session_id, present, turns in arrivals:
                log, feed = logs[session_id], opened[session_id][0]
                if present:
                    feed.receive(HERE)
                if log.visible < len(log.entries):
                    log.visible += 1
                    feed.receive(log.entries[log.visible - 1])
                for _ in range(turns):
                    await asyncio.sleep(0)
            for _ in range(300):
                await asyncio.sleep(0)
            task.cancel()
        return response, logs

    response, logs = asyncio.run(scenario())
    for session_id, log in logs.items():
        assert response.firsts.get(session_id, []) == list(range(log.visible - 1))


def test_follower_at_the_end_has_its_events_written_without_a_turn_of_its_task() -> None:
    """All but the one that its task was waiting for before the response had a sink."""

    async def scenario() -> Response:
        logs: dict[SessionId, Log] = {}
        feed, reader = await follower(A, logs)
        response = Response([True])
        async with Feeds([(A, reader)], AsyncExitStack()) as feeds:
            task = asyncio.create_task(response.send_all(feeds))
            first, *others = logs[A].entries[1:]
            feed.receive(first)
            for _ in range(20):
                await asyncio.sleep(0)
            for entry in others:
                feed.receive(entry)
            task.cancel()
        return response

    response = asyncio.run(scenario())
    assert response.firsts == {A: list(range(CHUNKS))}
    assert response.direct == CHUNKS - 1
