"""Context of every handler: the open gateway's API, the caller, and bodies."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency, Provide
from litestar.exceptions import InternalServerException
from litestar.params import SkipValidation

from midstream.api.off_loop import off_loop
from midstream.errors import DrainingError, InvalidRequestError
from midstream.protocol.surrogates import well_formed
from midstream.sessions.access import Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from midstream.agents.base import AgentOffer
    from midstream.aio.idle_timeout import IdleTimeout
    from midstream.api.auth.gate import Gate
    from midstream.limits.limiter import Limiter
    from midstream.providers.passthrough.upstreams import Upstreams
    from midstream.sessions.contract import SessionService
    from midstream.sessions.diagnosis.diagnose import Diagnosing
    from midstream.sessions.user_data.users import Users
    from midstream.settings.sections import ServerSettings
    from midstream.store.server.facts import KnownServer

JSON: Final = "application/json"

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The parts of an open gateway that handlers use; injected as `api`.

    Attributes:
        gate: admits requests.
        users: all of a user: export and erasure.
        diagnosis: tells what happened in a session.
        limits: rate and concurrency limits of callers.
        deadline: for a client to read one write.
        agents: offered to clients.
        forwarded: names, in lower case, of the request headers that agents get.
        upstreams: the providers behind `/proxy`.
        server: the Redis that keeps the sessions.
        probe: raises StoreUnavailableError unless a run could be stored now.
    """

    settings: ServerSettings
    gate: Gate
    sessions: SessionService
    users: Users
    diagnosis: Diagnosing
    limits: Limiter
    deadline: IdleTimeout
    agents: Sequence[AgentOffer]
    forwarded: Sequence[str]
    upstreams: Upstreams
    server: KnownServer
    probe: Callable[[], Awaitable[object]]

    def forwarded_headers(self, *sources: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that agents get; the first source that has one counts.

        A frame's headers are arbitrary text: values that no header can hold are left out. So is
        an agent key, which is for the gateway alone.
        """
        return {
            name: source[name]
            for name in self.forwarded
            for source in reversed(sources)
            if name in source and source[name].isprintable()
            if not self.gate.holds_agent_key(source[name].encode())
        }


class CurrentApi:
    """The API of a gateway while it is open; injected as `current` where it may be closed."""

    def __init__(self) -> None:
        self._api: Api | None = None
        self._draining = False

    @property
    def is_open(self) -> bool:
        """Whether the gateway is open."""
        return self._api is not None

    @contextmanager
    def serve(self, api: Api) -> Iterator[None]:
        """Answer with this API until left."""
        self._api, self._draining = api, False
        try:
            yield
        finally:
            self._api = None

    async def drain(self, limit_s: float) -> None:
        """Take no new work, and let the runs under way finish; does nothing unless open."""
        if self._api is not None:
            self._draining = True
            await self._api.sessions.drain(limit_s)

    def get(self) -> Api:
        """Return the API.

        Raises:
            DrainingError: the gateway is not open.
        """
        if self._api is None:
            raise DrainingError("unable to serve now; try again")
        return self._api

    def for_new_work(self) -> Api:
        """Return the API, for work that a shutdown would not wait for.

        Raises:
            DrainingError: the gateway is not open, or shuts down.
        """
        api = self.get()
        if self._draining:
            raise DrainingError("unable to take new work; this gateway is shutting down")
        return api


ApiDependency = NamedDependency[SkipValidation[Api]]
CurrentDependency = NamedDependency[SkipValidation[CurrentApi]]
CallerDependency = NamedDependency[SkipValidation[Caller]]
AgentDependency = NamedDependency[SkipValidation[Caller]]
"""The user that an agent acts for."""


async def admit_caller(request: AnyRequest, api: ApiDependency) -> Caller:
    """Return who calls, for the dependency `caller`; see `Gate.admit`."""
    return await api.gate.admit(request)


async def admit_agent(request: AnyRequest, api: ApiDependency) -> Caller:
    """Return for whom an agent calls, for the dependency `agent`; see `Gate.admit_agent`."""
    return api.gate.admit_agent(request)


def dependencies(current: CurrentApi) -> dict[str, Provide]:
    """Return the dependencies that handlers may declare.

    `caller` and `agent` take `api`, and so come after it: of two independent dependencies that
    fail, Litestar reports either one, by the process's hash seed.
    """
    return {
        "current": Provide(lambda: current, sync_to_thread=False),
        "api": Provide(current.get, sync_to_thread=False),
        "caller": Provide(admit_caller),
        "agent": Provide(admit_agent),
    }


async def read_body(request: AnyRequest) -> bytes:
    """Return the request's body, every string of its JSON well-formed.

    A client's history may hold half a surrogate pair, and is accepted all the same.

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
