"""`/api/agent/turns`: ends of proxied runs, reported by the backend that makes the calls."""

from __future__ import annotations

from typing import Literal

import msgspec
from litestar import Controller, Response, post
from litestar.params import FromPath  # noqa: TC002 - Litestar reads annotations
from msgspec import Struct

from midstream.api import parameters
from midstream.api.context import (
    AgentDependency,
    AnyRequest,
    ApiDependency,
    json_response,
    read_body,
)
from midstream.api.parameters import MAX_ERROR_TEXT
from midstream.errors import InvalidRequestError
from midstream.ids import check_id
from midstream.protocol.codec import UNREADABLE


class EndTurnBody(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """End of a proxied run; `error_text`: of a failed one, for people."""

    outcome: Literal["finished", "failed"] = "finished"
    error_text: str | None = None


class EndedTurn(Struct, frozen=True, kw_only=True, rename="camel"):
    """A proxied run that has ended."""

    run_id: str
    outcome: str


class TurnController(Controller):
    """Proxied runs, by their keys."""

    path = "/api/agent/turns"
    tags = ["agent"]  # noqa: RUF012 (Litestar's own attribute)

    @post("/{chat_id:str}/{run_key:str}/end", status_code=200, operation_id="endProxiedRun")
    async def end(
        self,
        chat_id: FromPath[str],
        run_key: FromPath[str],
        request: AnyRequest,
        api: ApiDependency,
        agent: AgentDependency,
    ) -> Response[bytes]:
        """End a run that waits for its next call. One that has ended is answered alike."""
        asked = read_end(await read_body(request))
        failed = None
        if asked.outcome == "failed":
            failed = asked.error_text or "The answer failed. Send it again."
        run = await api.sessions.proxied_ends.end(
            agent, parameters.session_id(chat_id), check_id(run_key, "run key"), failed
        )
        return json_response(EndedTurn(run_id=run.id, outcome=str(run.outcome)))


def read_end(body: bytes) -> EndTurnBody:
    """Read the body of an end; an empty one ends the run as finished.

    Raises:
        InvalidRequestError: it is not one.
    """
    try:
        asked = msgspec.json.decode(body or b"{}", type=EndTurnBody)
    except UNREADABLE as error:
        raise InvalidRequestError(f"unable to read the end of the run; {error}") from None
    if len(asked.error_text or "") > MAX_ERROR_TEXT:
        raise InvalidRequestError(
            f"unable to read the end of the run; `errorText` has at most {MAX_ERROR_TEXT} "
            "characters"
        )
    return asked
