"""`/api/chat`: send, resume, stop, look, erase, list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from litestar.types import ASGIApp  # noqa: TC002 (Litestar reads the annotations)
from msgspec import Struct

from midstream.api import parameters
from midstream.api.chat.run_stream import (
    Protocol,
    View,
    nothing_left,
    queued_response,
    run_stream,
)
from midstream.api.chat.start_request import read_start, read_v4_start
from midstream.api.context import (
    AnyRequest,
    ApiDependency,
    CallerDependency,
    json_response,
    read_body,
)
from midstream.api.off_loop import off_loop
from midstream.errors import InvalidRequestError, RunNotFoundError, SessionNotFoundError
from midstream.ids import MessageId, RunId, SessionId, check_id
from midstream.sessions.types import Snapshot

if TYPE_CHECKING:
    from midstream.api.context import Api
    from midstream.sessions.access import Caller
    from midstream.sessions.types import RunReader
    from midstream.store.records import SessionMeta

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200


class StopBody(Struct, frozen=True, rename="camel"):
    """The run to stop. Without any field: the one under way."""

    run_id: str | None = None
    message_id: str | None = None
    request_id: str | None = None


class SelectBody(Struct, frozen=True, rename="camel"):
    """The message to show."""

    message_id: str


class Selected(Struct, frozen=True):
    """The last message of the path that is shown."""

    head: MessageId


class Stopped(Struct, frozen=True):
    """The runs that the stop ended; empty if nothing ran."""

    stopped: list[RunId]


class ChatSummary(Struct, frozen=True, kw_only=True, rename="camel"):
    """A session in a list."""

    id: SessionId
    title: str
    created_at_ms: int
    updated_at_ms: int
    active_run_id: RunId | None

    @classmethod
    def of(cls, meta: SessionMeta) -> ChatSummary:
        """Return what a list shows of a session."""
        return cls(
            id=meta.id,
            title=meta.title,
            created_at_ms=meta.created_at_ms,
            updated_at_ms=meta.updated_at_ms,
            active_run_id=meta.active_run_id,
        )


class Chats(Struct, frozen=True, omit_defaults=True):
    """A page of sessions; the next one is `?before=` the last `updatedAtMs`.

    `incomplete`: sessions of a shard of Redis that is away are left out.
    """

    chats: list[ChatSummary]
    incomplete: bool = False


class ChatController(Controller):
    """One session."""

    path = "/api/chat"
    tags = ["chat"]  # noqa: RUF012 (Litestar's own attribute)

    @post("/", status_code=200, operation_id="send")
    async def send(
        self, request: AnyRequest, api: ApiDependency, caller: CallerDependency
    ) -> ASGIApp:
        """Send a message, and stream the answer; one that is queued, when its turn comes.

        With `prefer: respond-async`, a send that may be queued is answered at once, with 202.

        Also regenerates an answer, edits a message, and continues after tool results, as the
        AI SDK's `DefaultChatTransport` requests it.
        """
        view = View.asked_for(request, api.settings)
        body = await read_body(request)
        headers = api.forwarded_headers(request.headers)
        if view.protocol is Protocol.V4:
            start = await read_v4_start(body, headers, caller, api.sessions)
        else:
            client = parameters.client_of(request, caller)
            start = await off_loop(body, read_start, body, headers, client)
        async with api.limits.sending(
            caller,
            start.session_id,
            start.request_key,
            streams=True,
            cost=api.sessions.cost(start),
        ) as grant:
            if parameters.wants_no_wait(request) and api.sessions.queues_send(start):
                queued = await api.sessions.start_unread(caller, start, grant.run)
                return queued_response(queued, request)
            reader = await api.sessions.start(caller, start, grant.run)
            return run_stream(
                view, reader, start.session_id, deadline=api.deadline, hold=grant.stream
            )

    @get("/{chat_id:str}/stream", operation_id="resume")
    async def resume(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> ASGIApp:
        """Follow the run under way: its state so far, then live. 204 if nothing runs."""
        view = View.asked_for(request, api.settings)
        async with api.limits.reading(caller) as grant:
            if view.from_index is not None:
                session_id, reader = await _from_index(chat_id, api, caller)
            else:
                session_id = parameters.session_id(chat_id)
                reader = await api.sessions.resume(
                    caller,
                    session_id,
                    run_id=parameters.run_id(request.query_params.get("runId")),
                    after=parameters.sequence_after(request),
                    probe=view.probe(request, caller),
                )
            if reader is not None:
                return run_stream(
                    view, reader, session_id, deadline=api.deadline, hold=grant.stream
                )
        if view.from_index is not None:
            return nothing_left(request)
        return Response(None, status_code=204).to_asgi_response(app=None, request=request)

    @post("/{chat_id:str}/stop", status_code=200, operation_id="stop")
    async def stop(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Stop the run under way, or the one named; answers once it has ended."""
        session_id = parameters.session_id(chat_id)
        body = await read_body(request)
        try:
            wanted = msgspec.json.decode(body or b"{}", type=StopBody)
        except msgspec.MsgspecError as error:
            raise InvalidRequestError(f"unable to read the stop; {error}") from None
        message_id, key = wanted.message_id, wanted.request_id
        stopped = await api.sessions.stop(
            caller,
            session_id,
            run_id=parameters.run_id(wanted.run_id),
            message_id=None
            if message_id is None
            else MessageId(check_id(message_id, "message id")),
            request_key=None if key is None else check_id(key, "request id"),
        )
        return json_response(Stopped(stopped))

    @get("/{chat_id:str}", operation_id="snapshot")
    async def snapshot(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Look at the session: its messages, its run, and the position to follow it from.

        `?orEmpty=true`: a session that does not exist looks as one without messages, as it does
        to its followers. A page of a new chat asks so: browsers complain of every 404.
        `?side=true`: also the messages and the open runs beside the main run.
        """
        session_id = parameters.session_id(chat_id)
        try:
            side = parameters.wants_side(request)
            return json_response(await api.sessions.snapshot(caller, session_id, side=side))
        except SessionNotFoundError:
            if request.query_params.get("orEmpty") != "true":
                raise
            return json_response(Snapshot.empty(session_id))

    @post("/{chat_id:str}/select", status_code=200, operation_id="select")
    async def select(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Show another version of a message, and what followed it, in every tab."""
        session_id = parameters.session_id(chat_id)
        body = await read_body(request)
        try:
            wanted = msgspec.json.decode(body, type=SelectBody).message_id
        except msgspec.MsgspecError as error:
            raise InvalidRequestError(f"unable to read the selection; {error}") from None
        message_id = MessageId(check_id(wanted, "message id"))
        return json_response(Selected(await api.sessions.select(caller, session_id, message_id)))

    @delete("/{chat_id:str}/messages/{message_id:str}", operation_id="deleteMessage")
    async def delete_message(
        self,
        chat_id: FromPath[str],
        message_id: FromPath[str],
        api: ApiDependency,
        caller: CallerDependency,
    ) -> None:
        """Delete a message, and nothing else."""
        wanted = MessageId(check_id(message_id, "message id"))
        session_id = parameters.session_id(chat_id)
        await api.sessions.delete(caller, session_id, wanted)
        await api.limits.recount(session_id)

    @delete("/{chat_id:str}/messages", operation_id="deleteMessages")
    async def delete_messages(
        self, chat_id: FromPath[str], api: ApiDependency, caller: CallerDependency
    ) -> None:
        """Delete all messages of the session, on all branches."""
        session_id = parameters.session_id(chat_id)
        await api.sessions.delete(caller, session_id, None)
        await api.limits.recount(session_id)

    @delete("/{chat_id:str}", operation_id="erase")
    async def erase(
        self, chat_id: FromPath[str], api: ApiDependency, caller: CallerDependency
    ) -> None:
        """Stop what runs, and erase the session."""
        session_id = parameters.session_id(chat_id)
        await api.sessions.erase(caller, session_id)
        await api.limits.recount(session_id)


@get("/api/chats", operation_id="list", tags=["chat"])
async def list_chats(
    request: AnyRequest, api: ApiDependency, caller: CallerDependency
) -> Response[bytes]:
    """List the caller's sessions, the newest activity first."""
    limit = parameters.number(request, "limit", DEFAULT_PAGE) or DEFAULT_PAGE
    found = await api.sessions.list_sessions(
        caller,
        limit=min(limit, MAX_PAGE),
        before_ms=parameters.number(request, "before", None),
    )
    chats = [ChatSummary.of(meta) for meta in found]
    return json_response(Chats(chats, incomplete=not found.is_whole))


async def _from_index(chat_id: str, api: Api, caller: Caller) -> tuple[SessionId, RunReader | None]:
    """Open the reader that `WorkflowChatTransport` requests: all chunks of a run, one by one.

    It names the run by the id from our header (`SESSION~RUN`), or after a reload the chat.
    """
    session, run = parameters.split_workflow_id(chat_id)
    session_id = parameters.session_id(session)
    try:
        reader = await api.sessions.resume(
            caller,
            session_id,
            run_id=parameters.run_id(run),
            # From before the first chunk: also those of a run that has ended meanwhile.
            after=None if run is None else -1,
            raw=True,
        )
    except RunNotFoundError:
        reader = None
    return session_id, reader
