"""What every handler has: the sessions, who may come in, and the server's limits.

Also the types that handlers declare their arguments with, and how they read and write bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.exceptions import InternalServerException
from litestar.params import SkipValidation

from midstream.aio.idle_timeout import IdleTimeout
from midstream.api.off_loop import off_loop
from midstream.errors import DrainingError, InvalidRequestError
from midstream.limits.limiter import Limiter
from midstream.protocol.surrogates import well_formed
from midstream.sessions.access import Caller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.connection import ASGIConnection

    from midstream.agents.base import AgentOffer
    from midstream.api.auth.gate import Gate
    from midstream.sessions.contract import SessionService
    from midstream.settings.sections import ServerSettings

JSON: Final = "application/json"

AnyRequest = Request[Any, Any, Any]


class Api:
    """Given to handlers as the dependency `api`.

    Attributes:
        sessions: set while the application is up (see `app.py`).
        agents: what clients may ask for; also set then.
        forwarded: names, in lower case, of the request's headers that agents are told.
        gate: what requests must pass.
        limits: what callers may take; nothing is limited before the application is up.
        deadline: for one write to be taken by a client.
        draining: this process is shutting down.
    """

    def __init__(
        self, settings: ServerSettings, gate: Gate, sessions: SessionService | None = None
    ) -> None:
        self.settings = settings
        self.agents: Sequence[AgentOffer] = ()
        self.forwarded: Sequence[str] = ()
        self.draining = False
        self.gate = gate
        self.limits = Limiter()
        self.deadline = IdleTimeout(settings.write_deadline_s)
        self._sessions = sessions

    @property
    def sessions(self) -> SessionService:
        """The session service.

        Raises:
            DrainingError: the application is not up (any more).
        """
        if self._sessions is None:
            raise DrainingError("unable to serve now; try again")
        return self._sessions

    @sessions.setter
    def sessions(self, sessions: SessionService | None) -> None:
        self._sessions = sessions

    def forwarded_headers(self, *sources: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that agents are told; the first source that has one counts.

        A frame's headers are anybody's text: what no header can hold is left out. So is an agent
        key, which is for the gateway alone.
        """
        return {
            name: source[name]
            for name in self.forwarded
            for source in reversed(sources)
            if name in source and source[name].isprintable()
            if not self.gate.holds_agent_key(source[name].encode())
        }

    async def admit(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """Return who calls; see `Gate.admit`."""
        return await self.gate.admit(connection)

    async def admit_request(self, request: AnyRequest) -> Caller:
        """`admit`, as Litestar calls it for the dependency `caller`."""
        return await self.gate.admit(request)

    def admit_agent(self, request: AnyRequest) -> Caller:
        """Return for whom an agent calls, for the dependency `agent`; see `Gate.admit_agent`."""
        return self.gate.admit_agent(request)


ApiDependency = NamedDependency[SkipValidation[Api]]
CallerDependency = NamedDependency[SkipValidation[Caller]]
AgentDependency = NamedDependency[SkipValidation[Caller]]
"""For whom an agent calls."""


async def read_body(request: AnyRequest) -> bytes:
    """Return the request's body, every string of its JSON well-formed.

    A client's history may hold half a character, and is to be sent all the same.

    Raises:
        RequestEntityTooLarge: over the limit; not read further.
        InvalidRequestError: the client went away in the middle of it.
    """
    try:
        body = await request.body()
    except InternalServerException:
        raise InvalidRequestError("unable to read the request; it was cut short") from None
    return await off_loop(body, well_formed, body)


def json_response(content: object) -> Response[bytes]:
    """Return the answer with this value as its JSON."""
    return Response(msgspec.json.encode(content), media_type=JSON)
