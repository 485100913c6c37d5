"""What every handler has: the sessions, who may come in, and the server's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar import Request  # noqa: TC002 (Litestar reads the annotations)

from midstream.aio.idle_timeout import SilenceLimit
from midstream.errors import DrainingError
from midstream.limits.limiter import Limiter
from midstream.sessions.access import Caller  # noqa: TC001 (Litestar reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.connection import ASGIConnection

    from midstream.agents.base import AgentOffer
    from midstream.api.auth.gate import Gate
    from midstream.sessions.contract import SessionService
    from midstream.settings.sections import ServerSettings


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
        self.deadline = SilenceLimit(settings.write_deadline_s)
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

    async def admit_request(self, request: Request[Any, Any, Any]) -> Caller:
        """`admit`, as Litestar calls it for the dependency `caller`."""
        return await self.gate.admit(request)

    def admit_agent(self, request: Request[Any, Any, Any]) -> Caller:
        """Return for whom an agent calls, for the dependency `agent`; see `Gate.admit_agent`."""
        return self.gate.admit_agent(request)
