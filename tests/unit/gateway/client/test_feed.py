"""What a reader makes of a feed's bytes, and of its ends."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from midstream.client import (
    ErasedEvent,
    MidstreamError,
    PresenceEvent,
    RunEvent,
    SnapshotEvent,
    UnavailableError,
)
from midstream.client.reading.feed import follow
from midstream.client.wire import AwayError, Gateways

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.client import SessionEvent
    from midstream.client.wire import Headers

pytestmark = pytest.mark.anyio

RUN = b'{"id":"r1","state":"resting","messageId":"a","userMessageId":"u","trigger":"x","new":1}'


def snapshot(epoch: bytes, offset: bytes) -> bytes:
    """Return a snapshot's event."""
    place = b"id: %b:%b\n" % (epoch, offset) if epoch else b""
    fields = b'"id":"s","title":"","messages":[],"runs":[],"of a later version":[]'
    return b'event: snapshot\n%bdata: {"epoch":"%b","offset":"%b",%b}\n\n' % (
        place, epoch, offset, fields,
    )  # fmt: skip


def event(name: bytes, data: bytes, position: bytes = b"") -> bytes:
    """Return an event."""
    place = b"id: %b\n" % position if position else b""
    return b"event: %b\n%bdata: %b\n\n" % (name, place, data)


class NoMore(Exception):
    """All connections were read."""


class Played(Gateways):
    """Connections with prepared bytes, one after the other; an empty one is refused."""

    def __init__(self, *connections: bytes, outage_limit_s: float = 60.0) -> None:
        super().__init__(["http://played"], None, outage_limit_s)
        self.asked: list[tuple[dict[str, list[str]], Headers]] = []
        self._connections = iter(connections)

    @asynccontextmanager
    async def listen(
        self, target: str, *, headers: Headers, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Bring the next connection's bytes, cut anywhere."""
        self.asked.append((parse_qs(target.partition("?")[2]), headers))
        said = next(self._connections, None)
        if said is None:
            raise NoMore
        if not said:
            raise AwayError("nobody is there")

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(said), 7):
                yield said[at : at + 7]

        yield pieces()


async def read(gateways: Played, *, after: str | None = None) -> list[SessionEvent]:
    """Return the events of all connections."""
    numbers = count(1)
    events = follow(
        gateways,
        "/feed",
        lambda: {b"authorization": b"token %d" % next(numbers)},
        after=after,
        present=False,
    )
    seen: list[SessionEvent] = []
    with suppress(NoMore):
        async for each in events:
            seen.append(each)  # noqa: PERF401 - those before the end are wanted
    return seen


async def test_reader_continues_after_its_last_position_with_a_fresh_token() -> None:
    """Presence and the end of a token have no place in the log, and move nothing."""
    gateways = Played(
        snapshot(b"e", b"1") + event(b"run", RUN, b"e:2"),
        event(b"presence", b'{"here":[]}') + event(b"closed", b'{"code":"token_expired"}'),
        b"",
        b": a comment\n\nevent: run\nid: e:3\ndata: {cut",
    )
    seen = await read(gateways)
    assert [type(each) for each in seen] == [SnapshotEvent, RunEvent, PresenceEvent]
    assert [each.position for each in seen] == ["e:1", "e:2", "e:2"]
    assert [query.get("after") for query, _ in gateways.asked] == [None, *4 * [["e:2"]]]
    assert {query["present"][0] for query, _ in gateways.asked} == {"false"}
    assert [headers[b"authorization"] for _, headers in gateways.asked] == [
        b"token %d" % number for number in range(1, 6)
    ]


async def test_reader_of_a_deleted_session_begins_anew() -> None:
    """No old position is said again; a session of the same id is another one."""
    gateways = Played(
        event(b"run", RUN, b"e:2") + event(b"erased", b"{}") + snapshot(b"", b""),
        snapshot(b"f", b"1"),
    )
    seen = await read(gateways, after="e:1")
    assert [type(each) for each in seen] == [RunEvent, ErasedEvent, SnapshotEvent, SnapshotEvent]
    assert [query.get("after") for query, _ in gateways.asked] == [["e:1"], None, ["f:1"]]


async def test_reader_passes_over_what_a_later_version_says() -> None:
    """An unknown event moves on; unknown fields and states are read."""
    gateways = Played(event(b"weather", b'{"sun":1}', b"e:7") + event(b"run", RUN, b"e:8"))
    (seen,) = await read(gateways, after="e:6")
    assert isinstance(seen, RunEvent)
    assert (seen.run.state, seen.run.is_open, seen.position) == ("resting", True, "e:8")


async def test_event_that_is_none_of_ours_is_an_error_that_names_it() -> None:
    events = follow(
        Played(event(b"run", b'{"id":5}', b"e:1")), "/feed", dict, after=None, present=True
    )
    with pytest.raises(MidstreamError, match="`run`"):
        await anext(events)


async def test_reader_gives_up_when_no_gateway_answers_for_too_long() -> None:
    """The error has the reason of the last attempt."""
    events = follow(Played(b"", outage_limit_s=0), "/feed", dict, after=None, present=True)
    with pytest.raises(UnavailableError, match="nobody is there"):
        await anext(events)
