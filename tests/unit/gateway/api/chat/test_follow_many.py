"""Several sessions' feeds in one response."""

from __future__ import annotations

from typing import Any

import pytest

from midstream.errors import DrainingError, SessionNotFoundError, StoreError
from midstream.protocol.position import Position
from midstream.sessions.types import FeedEvent, Idle
from tests.unit.gateway.api.fakes import FakeReader, FakeSessions, make_app, request

pytestmark = pytest.mark.anyio

FIRST = Position("e", "1-0")


class Follows(FakeSessions):
    """Answers each session's follow with a reader, or an error, of its own."""

    def __init__(self, readers: dict[str, Any]) -> None:
        super().__init__({})
        self.readers = readers
        self.positions: dict[str, Position | None] = {}
        self.tabs: dict[str, int] = {}

    async def follow(
        self, caller: Any, session_id: str, after: Any, *, tabs: int = 1, side: bool = False
    ) -> Any:
        self.positions[session_id] = after
        self.tabs[session_id] = tabs
        reader = self.readers[session_id]
        if isinstance(reader, Exception):
            raise reader
        return reader


async def test_feeds_send_each_sessions_events_in_order_with_its_chat() -> None:
    """The id names the chat and the position, also where there is no position."""
    sessions = Follows(
        {
            "a": FakeReader([FeedEvent("run", b'{"n":1}', FIRST), FeedEvent("run", b"{}", FIRST)]),
            "b@x": FakeReader([Idle.HEARTBEAT, FeedEvent("snapshot", b"{}", None)]),
        }
    )
    answer = await request(make_app(sessions), "GET", "/api/chat?follow=a@e:7-0&follow=b@x@")
    events = answer.body.decode().split("\n\n")
    assert [event for event in events if "@" in event and "id: a@" in event] == [
        'event: run\nid: a@e:1-0\ndata: {"n":1}',
        "event: run\nid: a@e:1-0\ndata: {}",
    ]
    assert "event: snapshot\nid: b@x@\ndata: {}" in events
    assert sessions.positions == {"a": Position("e", "7-0"), "b@x": None}


async def test_follower_says_how_many_tabs_it_speaks_for() -> None:
    """Of each session; one, if it does not say."""
    sessions = Follows({"a": FakeReader([]), "b@x": FakeReader([])})
    answer = await request(make_app(sessions), "GET", "/api/chat?follow=a@&follow=b@x@&tabs=b@x@7")
    assert answer.status == 200
    assert sessions.tabs == {"a": 1, "b@x": 7}


@pytest.mark.parametrize("tabs", ["a@0", "a@-1", "a@1000", "a@", "a@x", "7", f"a@{'9' * 5000}"])
async def test_impossible_number_of_tabs_is_refused(tabs: str) -> None:
    """A thousand open tabs are a mistake of the client."""
    sessions = Follows({"a": FakeReader([])})
    answer = await request(make_app(sessions), "GET", f"/api/chat?follow=a@&tabs={tabs}")
    assert answer.status == 400


@pytest.mark.parametrize(
    "query", ["", "follow=a", "follow=a@x", "follow=@", "&".join(["follow=a@"] * 65)]
)
async def test_request_for_feeds_that_names_none_or_too_many_is_refused(query: str) -> None:
    """Nothing is opened for what cannot be read."""
    sessions = Follows({"a": FakeReader([])})
    answer = await request(make_app(sessions), "GET", f"/api/chat?{query}")
    assert answer.status == 400


async def test_feed_that_cannot_be_opened_closes_the_others() -> None:
    """No reader is left behind a refusal."""
    reader = FakeReader([])
    sessions = Follows({"a": reader, "b": SessionNotFoundError("unable to find it; x")})
    answer = await request(make_app(sessions), "GET", "/api/chat?follow=a@&follow=b@")
    assert answer.status == 404
    assert reader.exited


async def test_session_whose_feed_fails_ends_no_other_ones() -> None:
    """The browser's other tabs stay connected; the connection ends with its last session."""
    event = FeedEvent("run", b"{}", FIRST)
    failing = [FakeReader([TypeError("x")]), FakeReader([StoreError("unable to read; refused")])]
    readers = [*failing, FakeReader([event, event])]
    sessions = Follows(dict(zip("abc", readers, strict=True)))
    answer = await request(make_app(sessions), "GET", "/api/chat?follow=a@&follow=b@")
    assert not answer.complete
    sessions = Follows({"a": failing[1], "c": FakeReader([event, event])})
    others = await request(make_app(sessions), "GET", "/api/chat?follow=a@&follow=c@")
    assert others.body.count(b"id: c@e:1-0") == 2


async def test_shutdown_breaks_all_feeds_off() -> None:
    """A response that ends cleanly would be taken for an end."""
    readers = [FakeReader([FeedEvent("run", b"{}", FIRST)]), FakeReader([DrainingError("x")])]
    sessions = Follows(dict(zip("ab", readers, strict=True)))
    answer = await request(make_app(sessions), "GET", "/api/chat?follow=a@&follow=b@")
    assert not answer.complete
    assert all(reader.exited for reader in readers)
