"""`GET /api/chat?follow=`: the feeds of several sessions in one response.

A browser keeps six connections to a host over HTTP/1.1, for all of its tabs; ten tabs with a
feed each would leave none to send with. So one tab follows for all.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from litestar import get
from litestar.types import ASGIApp  # noqa: TC002 (Litestar reads the annotations)
from msgspec import Struct

from midstream.api import parameters
from midstream.api.context import AnyRequest, ApiDependency, CallerDependency  # noqa: TC001 (Litestar reads the annotations)
from midstream.api.streaming.stream_response import FEED_EVENTS, StreamResponse
from midstream.errors import DrainingError, InvalidRequestError
from midstream.ids import SessionId
from midstream.protocol.position import Position
from midstream.sessions.containment import report
from midstream.sessions.types import FeedEvent, FeedReader, Idle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

MAX_FEEDS: Final = 64
"""Most feeds of one response: more than the tabs that a person keeps open."""

MAX_TABS: Final = 999
"""Most tabs of a session that one response may count for."""


class SessionEvent(Struct, frozen=True, gc=False):
    """An event, with its session."""

    session_id: SessionId
    event: FeedEvent


class Feeds:
    """Several sessions' readers as one; each waits until its event is consumed, or written.

    Args:
        readers: entered already.
        resources: what ends them.
    """

    def __init__(
        self, readers: Sequence[tuple[SessionId, FeedReader]], resources: AsyncExitStack
    ) -> None:
        self._readers = readers
        self._open = len(readers)
        self._failed = 0
        self._resources = resources
        self._next: asyncio.Queue[SessionEvent | Idle | None] = asyncio.Queue(maxsize=1)
        self._turn = asyncio.Lock()
        self._tasks = asyncio.TaskGroup()
        self._pumps: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        for session_id, reader in self._readers:
            pump = self._pump(session_id, reader)
            self._pumps.append(self._tasks.create_task(pump, name=f"follow {session_id}"))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for pump in self._pumps:
            pump.cancel()
        async with self._resources:
            await self._tasks.__aexit__(*exc)  # type: ignore[arg-type]

    def write_to(self, sink: Callable[[SessionEvent], bool]) -> None:
        """See RunReader."""
        for session_id, reader in self._readers:
            reader.write_to(partial(_write_of_session, sink, session_id))

    async def __aiter__(self) -> AsyncIterator[SessionEvent | Idle]:
        """Yield the events of all of them, in each one's order; end when all have ended."""
        while (item := await self._next.get()) is not None:
            yield item
            self._next.task_done()

    async def _pump(self, session_id: SessionId, reader: FeedReader) -> None:
        try:
            async for item in reader:
                async with self._turn:
                    await self._next.put(
                        item if isinstance(item, Idle) else SessionEvent(session_id, item)
                    )
                    await self._next.join()  # what its reader writes next must not overtake it
        except DrainingError:
            raise
        except Exception as error:
            self._failed += 1
            if self._failed == len(self._readers):
                raise
            report("feed", error, session=session_id)
        self._open -= 1
        if not self._open:
            await self._next.put(None)


@get("/api/chat", operation_id="followSeveral", tags=["chat"])
async def follow_sessions(
    request: AnyRequest, api: ApiDependency, caller: CallerDependency
) -> ASGIApp:
    """Follow sessions, each `?follow=CHAT@POSITION`; without a position a snapshot comes first.

    The id of each event is `CHAT@POSITION`, the position to continue from. `?tabs=CHAT@NUMBER`:
    the tabs that the response counts for in the presence of the session; 1 otherwise. `?side=true`:
    side runs are shown, too.
    """
    wanted = request.query_params.getall("follow", [])
    if not 0 < len(wanted) <= MAX_FEEDS:
        raise InvalidRequestError(f"unable to follow; name 1 to {MAX_FEEDS} sessions")
    side = parameters.wants_side(request)
    tabs = dict(map(_split_tabs, request.query_params.getall("tabs", [])))
    async with AsyncExitStack() as resources, api.limits.reading(caller) as grant:
        readers: list[tuple[SessionId, FeedReader]] = []
        for session_id, after in map(_split, wanted):
            reader = await api.sessions.follow(
                caller, session_id, after, tabs=tabs.get(session_id, 1), side=side
            )
            readers.append((session_id, await resources.enter_async_context(reader)))
        return StreamResponse(
            Feeds(readers, resources.pop_all()),
            encode_session_event,
            FEED_EVENTS,
            headers={},
            deadline=api.deadline,
            kind="feed",
            expires_at=caller.expires_at,
            hold=grant.stream,
        )


def _write_of_session(
    sink: Callable[[SessionEvent], bool], session_id: SessionId, event: FeedEvent
) -> bool:
    return sink(SessionEvent(session_id, event))


def encode_session_event(item: SessionEvent) -> bytes:
    """Return an event's bytes."""
    event = item.event
    return b"event: %b\nid: %b@%b\ndata: %b\n\n" % (
        event.event.encode(),
        item.session_id.encode(),
        b"" if event.position is None else str(event.position).encode(),
        event.data,
    )


def _split(wanted: str) -> tuple[SessionId, Position | None]:
    chat_id, at, position = wanted.rpartition("@")
    if not at:
        raise InvalidRequestError("unable to follow; each must be `CHAT@POSITION`, or `CHAT@`")
    return parameters.session_id(chat_id), Position.parse(position) if position else None


def _split_tabs(said: str) -> tuple[SessionId, int]:
    chat_id, _, number = said.rpartition("@")
    if not (number.isascii() and number.isdigit() and 0 < int(number[:4]) <= MAX_TABS):
        raise InvalidRequestError(
            f"unable to follow; `tabs` must be `CHAT@NUMBER`, the number from 1 to {MAX_TABS}"
        )
    return parameters.session_id(chat_id), int(number)
