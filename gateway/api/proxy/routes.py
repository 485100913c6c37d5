"""`/proxy/PROVIDER/...`: a provider's own API, passed through, for its own SDKs.

Bytes go through as they come, in both directions. A response that the provider breaks off
is broken off here too, and a caller that leaves takes the provider's connection along. A
call that names a session is a run of it besides: see `proxy_session.py`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.handlers import asgi

from midstream.api.failures import RouteNotFoundError, as_gateway_error
from midstream.api.proxy.body import GoneError, RequestBody
from midstream.api.proxy.headers import SessionHeaders
from midstream.api.proxy.response import Exchange, while_there
from midstream.api.proxy.session_call import SessionCall
from midstream.api.proxy.target import (
    Header,
    Target,
    read_target,
    request_headers,
    response_headers,
)
from midstream.api.stream_response import SERVER_SEND
from midstream.errors import DrainingError, ForbiddenError, GatewayError, UnauthorizedError
from midstream.telemetry import ERRORS, PROXIED

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Receive, Scope, Send

    from midstream.api.context import Api
    from midstream.providers.passthrough.upstreams import Answer, Upstream, Upstreams
    from midstream.sessions.access import Caller
    from midstream.sessions.proxied.turns import Turns
    from midstream.settings.sections import ProxySettings

logger = logging.getLogger(__name__)

_FROM_PAGES: Final = frozenset({b"origin", b"sec-fetch-site"})
"""Headers that browsers send, and that their pages cannot leave out."""

_KEY_HEADER: Final = "x-api-key"


class Proxy:
    """The ASGI application below `/proxy`.

    Attributes:
        upstreams, turns: set while the application is up.
    """

    def __init__(self, api: Api, settings: ProxySettings) -> None:
        self.upstreams: Upstreams | None = None
        self.turns: Turns | None = None
        self._api = api
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == ScopeType.WEBSOCKET:
            await send({"type": "websocket.close", "code": 4500, "reason": "only HTTP is proxied"})
            return
        # What wraps `send` would add headers, and costs more than passing a piece on.
        response = Exchange(
            scope.get(SERVER_SEND, send),  # type: ignore[arg-type]
            self._api.deadline,
        )
        try:
            await self._answer(scope, receive, response)
        finally:
            response.close()

    async def _answer(self, scope: Scope, receive: Receive, response: Exchange) -> None:
        upstream: Upstream | None = None
        try:
            target = read_target(scope)
            _refuse_pages(scope)
            upstream = await self._find(target)
            caller = self._admit(scope, upstream)
            await self._serve(scope, receive, response, target, upstream, caller)
        except GoneError as gone:
            logger.debug("proxy_caller_gone reason=%s", gone)
        except Exception as failure:
            error = as_gateway_error(failure)
            ERRORS.labels(error.code).inc()
            if response.started:
                # Returning without the last body is what breaks a response off.
                logger.info("proxy_broken_off reason=%s", error.code)
                return
            await response.refuse(
                error, anthropic=upstream is not None and upstream.speaks_anthropic
            )

    async def _find(self, target: Target) -> Upstream:
        if self.upstreams is None or self._api.draining:
            raise DrainingError("unable to serve now; try again")
        upstream = await self.upstreams.find(target.provider)
        if upstream is None:
            raise RouteNotFoundError(
                "unable to find this provider; use `openai`, `anthropic`, or the name of a "
                "`[providers.NAME]`"
            )
        return upstream

    def _admit(self, scope: Scope, upstream: Upstream) -> Caller:
        """Return for whom the request is made; a key of ours goes no further.

        Raises:
            ForbiddenError, UnauthorizedError: see `Gate.admit_agent`.
        """
        request = Request[Any, Any, Any](scope)
        gate = self._api.gate
        if upstream.key is not None:
            return gate.admit_agent(request, _KEY_HEADER)
        headers = request.headers
        bearer = headers.get("authorization", "").partition(" ")[2].strip()
        if gate.is_agent_key(bearer) or gate.is_agent_key(headers.get(_KEY_HEADER)):
            raise _key_not_passed_on()
        return gate.admit_agent(request)

    def _headers_for(self, upstream: Upstream, scope: Scope, target: Target) -> list[Header]:
        """Return the headers that go to the provider; never one with an agent key in it.

        Raises:
            UnauthorizedError: the provider is to be called with a key that is one of ours.
        """
        holds = self._api.gate.holds_agent_key
        passed = request_headers(scope["headers"])
        kept = [each for each in passed if not holds(each[1])]
        if holds(target.query.encode()) or (upstream.key is None and len(kept) < len(passed)):
            raise _key_not_passed_on()
        return upstream.with_key(kept)

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        response: Exchange,
        target: Target,
        upstream: Upstream,
        caller: Caller,
    ) -> None:
        upstreams, turns, settings = self.upstreams, self.turns, self._settings
        assert upstreams is not None and turns is not None  # noqa: S101 - `_find` has looked
        headers = scope["headers"]
        url = upstream.url(target.path, target.query)
        passed = self._headers_for(upstream, scope, target)
        wanted = SessionHeaders.read(scope, target)
        if wanted is not None:
            call = SessionCall(
                wanted, turns, upstreams, self._api.limits, finish_calls=settings.finish_calls
            )
            body = RequestBody(receive, headers, settings.max_call_bytes)
            with PROXIED.labels("session").track_inprogress():
                await call.serve(caller, upstream, url, passed, body, response)
            return
        body = RequestBody(receive, headers, settings.max_body_bytes)
        with PROXIED.labels("plain").track_inprogress():
            content = await body.open()
            async with while_there(body):
                try:
                    async with upstreams.open(
                        upstream, str(scope.get("method")), url, passed, content
                    ) as answer:
                        await _pass_on(answer, response)
                except GatewayError as failure:
                    # A body that could not be read is why the request could not be made.
                    raise body.failure or failure from None


async def _pass_on(answer: Answer, response: Exchange) -> None:
    await response.start(answer.status, response_headers(answer.headers))
    while data := await answer.read():
        await response.write(data)
    await response.write(b"", more=False)


def _key_not_passed_on() -> UnauthorizedError:
    return UnauthorizedError(
        "unable to pass an agent key on; send it as x-midstream-key, and the provider's "
        'own key where its SDK puts it, or set `proxy_key = "gateway"` for the provider'
    )


def _refuse_pages(scope: Scope) -> None:
    for name, _ in scope["headers"]:
        if name in _FROM_PAGES:
            raise ForbiddenError("unable to serve a web page here; keys do not belong in browsers")


def proxy_handler(proxy: Proxy) -> ASGIRouteHandler:
    """Return the route of everything below `/proxy`."""

    @asgi("/proxy", is_mount=True, copy_scope=False)
    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        await proxy(scope, receive, send)

    return below
