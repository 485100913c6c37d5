"""`/api/chat/{id}/queue`: the messages that wait for their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from litestar import Controller, Response, delete, patch, post
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.api import parameters
from midstream.api.context import (
    AnyRequest,
    ApiDependency,
    CallerDependency,
    json_response,
    read_body,
)
from midstream.api.off_loop import off_loop
from midstream.errors import InvalidRequestError
from midstream.ids import MessageId, check_id
from midstream.protocol.codec import one_line
from midstream.protocol.messages import UIMessage
from midstream.protocol.requests import MAX_PARTS, check_size
from midstream.sessions.queued import EntryEdit

if TYPE_CHECKING:
    from midstream.sessions.queued import Queue


class EditBody(Struct, frozen=True, rename="camel"):
    """A new message, a new place, or both. `before`: an entry, or null for the end."""

    message: Raw | UnsetType = UNSET
    before: str | UnsetType | None = UNSET
    if_version: int | None = None


class SendNowBody(Struct, frozen=True):
    """How: `interrupt` stops the answer under way; `steer` gives it the message."""

    how: Literal["interrupt", "steer"] = "interrupt"


class QueueController(Controller):
    """The queue of one session. Each answer is the queue as it is then."""

    path = "/api/chat/{chat_id:str}/queue"
    tags = ["chat"]  # noqa: RUF012 (Litestar's own attribute)

    @patch("/{entry_id:str}", operation_id="editQueued")
    async def edit(
        self,
        chat_id: FromPath[str],
        entry_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Change a queued message, or move it."""
        session_id, entry = parameters.session_id(chat_id), _entry(entry_id)
        body = await read_body(request)
        edit = await off_loop(body, _read_edit, body)
        return json_response(await api.sessions.queues.edit(caller, session_id, entry, edit))

    @delete("/{entry_id:str}", status_code=200, operation_id="removeQueued")
    async def remove(
        self,
        chat_id: FromPath[str],
        entry_id: FromPath[str],
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Remove a queued message, or one that came back."""
        session_id, entry = parameters.session_id(chat_id), _entry(entry_id)
        queue = await api.sessions.queues.remove(caller, session_id, entry)
        await api.limits.recount(session_id)
        return json_response(queue)

    @delete("/", status_code=200, operation_id="clearQueue")
    async def clear(
        self, chat_id: FromPath[str], api: ApiDependency, caller: CallerDependency
    ) -> Response[bytes]:
        """Remove all queued messages, and those that came back."""
        session_id = parameters.session_id(chat_id)
        queue = await api.sessions.queues.clear(caller, session_id)
        await api.limits.recount(session_id)
        return json_response(queue)

    @post("/resume", status_code=200, operation_id="resumeQueue")
    async def resume(
        self, chat_id: FromPath[str], api: ApiDependency, caller: CallerDependency
    ) -> Response[bytes]:
        """End a queue's pause."""
        session_id = parameters.session_id(chat_id)
        return json_response(await api.sessions.queues.resume(caller, session_id))

    @post("/{entry_id:str}/send-now", status_code=200, operation_id="sendQueuedNow")
    async def send_now(
        self,
        chat_id: FromPath[str],
        entry_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Answer a queued message next: stop the answer under way for it, or give it to that."""
        session_id, entry = parameters.session_id(chat_id), _entry(entry_id)
        body = await read_body(request)
        try:
            wanted = msgspec.json.decode(body or b"{}", type=SendNowBody)
        except msgspec.MsgspecError as error:
            raise InvalidRequestError(f"unable to send the message now; {error}") from None
        steers = wanted.how == "steer"
        queue: Queue = await api.sessions.queues.send_now(caller, session_id, entry, steers=steers)
        return json_response(queue)


def _entry(entry_id: str) -> MessageId:
    return MessageId(check_id(entry_id, "message id"))


def _read_edit(body: bytes) -> EntryEdit:
    """Read the body of a change.

    Raises:
        InvalidRequestError, MalformedFrameError, OversizedError: it cannot be read.
    """
    try:
        wanted = msgspec.json.decode(body or b"{}", type=EditBody)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"unable to read the change; {error}") from None
    if wanted.message is UNSET and wanted.before is UNSET:
        raise InvalidRequestError("unable to change nothing; give a message, a place, or both")
    message = None
    if wanted.message is not UNSET:
        message = UIMessage.parse(one_line(bytes(wanted.message)))
        check_size("parts in the message", len(message.parts), MAX_PARTS)
    before = wanted.before
    return EntryEdit(
        message=message,
        before=_entry(before) if isinstance(before, str) else before,
        if_version=wanted.if_version,
    )
