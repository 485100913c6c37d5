"""`/api/desk` and `/api/chat/{id}/handoff`: people who answer in the place of an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from litestar.types import ASGIApp  # noqa: TC002 (Litestar reads the annotations)
from msgspec import Struct

from midstream.api import parameters
from midstream.api.context import (
    AnyRequest,
    ApiDependency,
    CallerDependency,
    json_response,
    read_body,
)
from midstream.api.streaming.stream_response import FEED_EVENTS, StreamResponse
from midstream.errors import InvalidRequestError
from midstream.sessions.answerers.terms import AnsweredBy, Asked, DeskRow, Person

if TYPE_CHECKING:
    from midstream.api.context import Api
    from midstream.ids import TenantId
    from midstream.sessions.access import Caller

T = TypeVar("T")
NAMES: Final = "a name has at most 64 characters, none of them a control character"


class AskBody(Struct, frozen=True, kw_only=True):
    """Whom to hand the session to, and what they should know."""

    to: str = "person"
    note: str = ""
    reason: str = ""


class NoteBody(Struct, frozen=True, kw_only=True, rename={"name": "as"}):
    """A note; `as`: who asks, where nobody shows who they are."""

    note: str = ""
    name: str = ""


class TransferBody(Struct, frozen=True, kw_only=True, rename={"name": "as"}):
    """Who gets the session. `to`: their id, as the desk shows it."""

    to: Person
    note: str = ""
    name: str = ""


class AnswerBody(Struct, frozen=True, kw_only=True, rename={"name": "as"}):
    """The whole answer so far; `done`: the answer ends with it."""

    text: str
    done: bool = True
    name: str = ""


class HandoffAnswer(Struct, frozen=True, rename="camel"):
    """Who answers the session now."""

    answered_by: AnsweredBy


class DeskList(Struct, frozen=True):
    """The sessions that wait for a person, or have one; the longest first."""

    waiting: Sequence[DeskRow]


class HandoffController(Controller):
    """One session, given to a person and back. Each answer is who answers it then."""

    path = "/api/chat/{chat_id:str}/handoff"
    tags = ["handoff"]  # noqa: RUF012 (Litestar's own attribute)

    @post("/", status_code=200, operation_id="handOff")
    async def ask(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Ask for a person: what is sent from now on waits for them."""
        session_id = parameters.session_id(chat_id)
        body = _read(await read_body(request), AskBody)
        if body.to != "person":
            raise InvalidRequestError('unable to hand over to this; `to` is "person"')
        asked = Asked(note=body.note, reason=body.reason)
        return _answer(await api.sessions.handoffs.ask(caller, session_id, asked))

    @post("/claim", status_code=200, operation_id="claimHandoff")
    async def claim(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Take the session, or keep it; the first one has it. Repeat it while you are there."""
        session_id = parameters.session_id(chat_id)
        body = _read(await read_body(request), NoteBody)
        return _answer(await api.sessions.handoffs.claim(caller, session_id, _name(body.name)))

    @post("/release", status_code=200, operation_id="releaseHandoff")
    async def release(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Give the session back to the line, in its old place."""
        session_id = parameters.session_id(chat_id)
        body = _read(await read_body(request), NoteBody)
        released = await api.sessions.handoffs.release(
            caller, session_id, body.note, _name(body.name)
        )
        return _answer(released)

    @post("/transfer", status_code=200, operation_id="transferHandoff")
    async def transfer(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Give the session to another person, with a note."""
        session_id = parameters.session_id(chat_id)
        body = _read(await read_body(request), TransferBody)
        to = Person(id=_name(body.to.id), name=_name(body.to.name))
        if not (to.id and to.name):
            raise InvalidRequestError("unable to transfer to nobody; `to` has an id and a name")
        given = await api.sessions.handoffs.transfer(
            caller, session_id, to, body.note, _name(body.name)
        )
        return _answer(given)

    @post("/answer", status_code=200, operation_id="answerHandoff")
    async def answer(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Answer in the place of the model: at once, or while typing (`done: false`)."""
        session_id = parameters.session_id(chat_id)
        body = _read(await read_body(request), AnswerBody)
        answered = await api.sessions.handoffs.answer(
            caller, session_id, body.text, done=body.done, name=_name(body.name)
        )
        return _answer(answered)

    @post("/hand-back", status_code=200, operation_id="handBack")
    async def hand_back(
        self,
        chat_id: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        caller: CallerDependency,
    ) -> Response[bytes]:
        """Give the session back to its agent, with a note that the model reads."""
        session_id = parameters.session_id(chat_id)
        body = _read(await read_body(request), NoteBody)
        given = await api.sessions.handoffs.hand_back(
            caller, session_id, body.note, _name(body.name)
        )
        return _answer(given)


@get("/api/desk", operation_id="desk", tags=["handoff"])
async def desk(
    request: AnyRequest, api: ApiDependency, caller: CallerDependency
) -> Response[bytes]:
    """List the sessions that wait for a person, or have one. For operators, of their tenant."""
    tenant = _tenant(request, api, caller)
    return json_response(DeskList(await api.sessions.desk.rows(tenant)))


@get("/api/desk/events", operation_id="followDesk", tags=["handoff"])
async def desk_events(request: AnyRequest, api: ApiDependency, caller: CallerDependency) -> ASGIApp:
    """Follow the desk: an event `desk` with the whole of it, each time that it changes."""
    tenant = _tenant(request, api, caller)
    async with api.limits.reading(caller) as grant:
        return StreamResponse(
            api.sessions.desk.follow(tenant),
            bytes,
            FEED_EVENTS,
            headers={},
            deadline=api.deadline,
            kind="feed",
            expires_at=caller.expires_at,
            hold=grant.stream,
        )


def _tenant(request: AnyRequest, api: Api, caller: Caller) -> TenantId:
    """Return whose desk is meant: the caller's own; an admin may name another in `?tenant=`."""
    api.sessions.handoffs.check_operator(caller)
    return parameters.tenant(request, caller)


def _read(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body or b"{}", type=type_)
    except msgspec.MsgspecError as error:
        raise InvalidRequestError(f"unable to read the request; {error}") from None


def _name(name: str) -> str:
    if len(name) > 64 or not name.isprintable():
        raise InvalidRequestError(f"unable to use this name; {NAMES}")
    return name


def _answer(answered_by: AnsweredBy) -> Response[bytes]:
    return json_response(HandoffAnswer(answered_by))
