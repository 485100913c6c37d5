"""`/api/chat/{id}/steer`: a message for the running answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from litestar import Response, post
from litestar.params import FromPath  # noqa: TC002 (Litestar reads the annotations)
from msgspec import Raw, Struct

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
from midstream.protocol.codec import UNREADABLE, one_line
from midstream.protocol.messages import UIMessage
from midstream.protocol.parts import fields_of, json_of
from midstream.protocol.requests import MAX_PARTS, OnUndelivered, check_size
from midstream.sessions.queued import AskedSteer
from midstream.sessions.types import RunCost

if TYPE_CHECKING:
    from midstream.sessions.queued import SteerAnswer

MAX_WAIT_MS: Final = 20_000


class SteerBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """A message, and what its sender wants of it.

    Attributes:
        id: of the message; its own by default.
        run_id: the run that is meant; None: whichever is under way.
        wait_ms: how long the request waits for the outcome.
        on_undelivered: `queue`, or `return` it to its sender.
    """

    message: Raw
    id: str | None = None
    run_id: str | None = None
    wait_ms: int = 0
    on_undelivered: OnUndelivered = "queue"


@post("/api/chat/{chat_id:str}/steer", status_code=200, operation_id="steer", tags=["chat"])
async def steer(
    chat_id: FromPath[str], request: AnyRequest, api: ApiDependency, caller: CallerDependency
) -> Response[bytes]:
    """Give a message to the running answer. The answer is its outcome; 202 while it waits.

    The same message again is answered with the same outcome.
    """
    session_id = parameters.session_id(chat_id)
    body = await read_body(request)
    asked = await off_loop(body, _read, body)
    async with api.limits.sending(
        caller, session_id, f"steer {asked.message.id}", streams=False, cost=RunCost()
    ) as grant:
        answer: SteerAnswer = await api.sessions.steers.steer(caller, session_id, asked, grant.run)
    response = json_response(answer)
    response.status_code = 202 if answer.type == "pending" else 200
    return response


def _read(body: bytes) -> AskedSteer:
    """Read the body.

    Raises:
        InvalidRequestError, MalformedFrameError, OversizedError: it cannot be read.
    """
    try:
        wanted = msgspec.json.decode(body or b"{}", type=SteerBody)
        fields = fields_of(one_line(bytes(wanted.message)))
    except UNREADABLE as error:
        raise InvalidRequestError(f"unable to read the message; {error}") from None
    id_ = wanted.id
    if id_ is not None and fields.setdefault("id", json_of(id_)) != json_of(id_):
        raise InvalidRequestError(
            "unable to give this message to the running answer; its id is not the request's"
        )
    message = UIMessage.parse(one_line(bytes(json_of(fields))))
    check_size("parts in the message", len(message.parts), MAX_PARTS)
    if not 0 <= wanted.wait_ms <= MAX_WAIT_MS:
        raise InvalidRequestError(
            f"unable to wait that long; `waitMs` is 0 to {MAX_WAIT_MS}, and the same request again "
            "waits again"
        )
    return AskedSteer(
        message=message,
        run_id=parameters.run_id(wanted.run_id),
        wait_s=wanted.wait_ms / 1000,
        wants_back=wanted.on_undelivered == "return",
    )
