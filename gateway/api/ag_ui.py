"""`/api/ag-ui/{agent}`: a session by AG-UI, for its `HttpAgent` and what is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar import post
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from litestar.types import ASGIApp  # noqa: TC002 (Litestar reads the annotations)

from midstream.api import parameters
from midstream.api.context import (
    AnyRequest,
    ApiDependency,
    CallerDependency,
    read_body,
)
from midstream.api.off_loop import off_loop
from midstream.api.streaming.stream_response import Framing, StreamResponse
from midstream.errors import ConflictError
from midstream.ids import check_id
from midstream.protocol.ag_ui import AgUiEncoder
from midstream.protocol.ag_ui_requests import AgUiRequest
from midstream.protocol.codec import decode_lines
from midstream.protocol.messages import UIMessage
from midstream.protocol.sse import HEARTBEAT
from midstream.sessions.types import StartRequest
from midstream.store.records import Trigger

if TYPE_CHECKING:
    from midstream.api.context import Api
    from midstream.ids import SessionId
    from midstream.protocol.batch import ChunkBatch
    from midstream.sessions.access import Caller

EVENTS: Final = Framing(media_type="text/event-stream", heartbeat=HEARTBEAT, last=b"")


@post("/api/ag-ui/{name:str}", status_code=200, operation_id="runAgUi", tags=["chat"])
async def run_ag_ui(
    name: FromPath[str], request: AnyRequest, api: ApiDependency, caller: CallerDependency
) -> ASGIApp:
    """Send a message, or answers to calls of tools, as AG-UI's clients do; stream its events.

    `threadId` is the session, `runId` the request: the same one again follows the same run from
    its beginning.
    """
    body = await read_body(request)
    wanted = await off_loop(body, AgUiRequest, body)
    session_id = parameters.session_id(wanted.thread_id)
    start = StartRequest(
        session_id=session_id,
        messages=(await _message(wanted, api, caller, session_id),),
        trigger=Trigger.SUBMIT,
        on_active=None,
        agent=name,
        request_key=check_id(wanted.run_id, "runId"),
        body=wanted.rest,
        headers=api.forwarded_headers(request.headers),
    )
    async with api.limits.sending(
        caller, session_id, start.request_key, streams=True, cost=api.sessions.cost(start)
    ) as grant:
        reader = await api.sessions.start(caller, start, grant.run)
        encoder = AgUiEncoder(wanted.thread_id, wanted.run_id)

        def encode(batch: ChunkBatch) -> bytes:
            return encoder.encode(decode_lines(batch.payload))

        return StreamResponse(
            reader, encode, EVENTS, headers={}, deadline=api.deadline, kind="run", hold=grant.stream
        )


async def _message(
    wanted: AgUiRequest, api: Api, caller: Caller, session_id: SessionId
) -> UIMessage:
    if not wanted.answers:
        return wanted.message()
    stored = (await api.sessions.snapshot(caller, session_id)).messages
    last = UIMessage.parse(stored[-1]) if stored else None
    if last is None or last.role != "assistant":
        raise ConflictError("unable to take these answers; nothing in the session waits for them")
    return wanted.answered(last)
