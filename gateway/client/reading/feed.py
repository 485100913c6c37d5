"""Follows a session over cut connections, restarts of gateways and ended tokens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Raw

from midstream.client.errors import MidstreamError, UnavailableError
from midstream.client.reading.records import (
    ChunksEvent,
    ErasedEvent,
    LostEvent,
    MessageEvent,
    PresenceEvent,
    QueueEvent,
    RunEvent,
    RunSeen,
    Snapshot,
    SnapshotEvent,
    SteerEvent,
)
from midstream.client.wire import AwayError, delayed
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.sse import SseDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from midstream.client.reading.records import SessionEvent
    from midstream.client.wire import Gateways, Headers
    from midstream.protocol.sse import Event

SILENCE_S: Final = 45.0
"""A feed without a byte for so long is lost; gateways send a comment every 15 s by default."""

_KINDS: Final[dict[str, type[SessionEvent]]] = {
    "message": MessageEvent,
    "chunks": ChunksEvent,
    "queue": QueueEvent,
    "steer": SteerEvent,
    "presence": PresenceEvent,
    "erased": ErasedEvent,
    "lost": LostEvent,
}
"""Event name -> the record that its data is, but for its position."""

_UNPLACED: Final = frozenset({"presence", "erased", "lost", "closed"})
"""Events outside the log's order: they bring no position."""


async def follow(
    gateways: Gateways,
    path: str,
    headers: Callable[[], Headers],
    *,
    after: str | None,
    present: bool,
) -> AsyncGenerator[SessionEvent, None]:
    """Yield a session's events, each once and in order, until closed.

    Args:
        path: of the feed.
        headers: makes those of each request: a token may have been renewed.
        after: the position to continue from.
        present: whether the reader counts as a tab.

    Raises:
        RefusedError: the session may not be read, or the token has ended and is no new one.
        NotAGatewayError, UnavailableError: see `Gateways.listen`.
    """
    place = _Place(after)
    until: float | None = None
    failures = 0
    while True:
        try:
            async with gateways.listen(
                f"{path}?{urlencode(place.query(present))}", headers=headers(), silence_s=SILENCE_S
            ) as stream:
                decoder = SseDecoder()
                async for data in stream:
                    until, failures = None, 0
                    for each in decoder.receive_data(data):
                        event = place.take(each)
                        if event is not None:
                            yield event
            why = "the feed has ended"
        except (AwayError, MalformedFrameError) as error:
            why = str(error)
        until = until or time.monotonic() + gateways.outage_limit_s
        if not await delayed(failures, until):
            raise UnavailableError(f"unable to follow the session; {why[:300]}")
        failures += 1


class _Place:
    """Where a reader is in the log."""

    def __init__(self, position: str | None) -> None:
        self._position = position

    def query(self, present: bool) -> dict[str, str]:
        """Return the query that continues here."""
        asked = {} if self._position is None else {"after": self._position}
        return asked if present else asked | {"present": "false"}

    def take(self, event: Event) -> SessionEvent | None:
        """Move on to an event, and return its record; None for one of a later version."""
        if event.id and event.name not in _UNPLACED:
            self._position = event.id
        position = self._position
        try:
            if event.name == "snapshot":
                snapshot = msgspec.json.decode(event.data, type=Snapshot)
                self._position = snapshot.position
                return SnapshotEvent(snapshot=snapshot, position=self._position)
            if event.name == "run":
                run = msgspec.json.decode(event.data, type=RunSeen)
                return RunEvent(run=run, position=position)
            kind = _KINDS.get(event.name)
            if kind is None:
                return None
            fields = msgspec.json.decode(event.data, type=dict[str, Raw])
            fields["position"] = Raw(msgspec.json.encode(position))
            return msgspec.json.decode(msgspec.json.encode(fields), type=kind)
        except UNREADABLE as error:
            raise MidstreamError(
                f"unable to read an event of the session, `{event.name}`; it is not what a gateway "
                "of this version sends"
            ) from error
