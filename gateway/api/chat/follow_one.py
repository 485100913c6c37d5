"""`/api/chat/{id}/events`: everything that happens in a session, as it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litestar import get
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from litestar.types import ASGIApp  # noqa: TC002 (Litestar reads the annotations)

from midstream.api import parameters
from midstream.api.context import AnyRequest, ApiDependency, CallerDependency  # noqa: TC001 (Litestar reads the annotations)
from midstream.api.streaming.stream_response import FEED_EVENTS, StreamResponse

if TYPE_CHECKING:
    from midstream.sessions.types import FeedEvent


@get("/api/chat/{chat_id:str}/events", operation_id="follow", tags=["chat"])
async def follow_session(
    chat_id: FromPath[str], request: AnyRequest, api: ApiDependency, caller: CallerDependency
) -> ASGIApp:
    """Follow a session: a snapshot if the position is absent or not recovered, then live.

    `?present=false`: the reader is not counted in the presence of the session. `?side=true`: side
    runs are shown, too.
    """
    async with api.limits.reading(caller) as grant:
        reader = await api.sessions.follow(
            caller,
            parameters.session_id(chat_id),
            parameters.position_after(request),
            tabs=0 if request.query_params.get("present") == "false" else 1,
            side=parameters.wants_side(request),
        )
        return StreamResponse(
            reader,
            encode_event,
            FEED_EVENTS,
            headers={},
            deadline=api.deadline,
            kind="feed",
            expires_at=caller.expires_at,
            hold=grant.stream,
        )


def encode_event(event: FeedEvent) -> bytes:
    """Return an event's bytes; its id is the position after it."""
    position = b"" if event.position is None else b"id: %b\n" % str(event.position).encode()
    return b"event: %b\n%bdata: %b\n\n" % (event.event.encode(), position, event.data)
