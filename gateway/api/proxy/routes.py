"""`/proxy/PROVIDER/...`: a provider's own API, passed through, for its own SDKs.

Bytes are forwarded as they arrive, in both directions. A response that the provider breaks off is
broken off here too, and a caller's disconnect closes the connection to the provider. A call that
names a session is also a run of it: see `session_call.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar import Request
from litestar.enums import ScopeType
from litestar.handlers import asgi

from midstream.api.failures import RouteNotFoundError, as_gateway_error
from midstream.api.proxy.body import GoneError, RequestBody
from midstream.api.proxy.headers import SessionHeaders
from midstream.api.proxy.response import ProxyExchange, while_there
from midstream.api.proxy.session_call import SessionCall
from midstream.api.proxy.target import (
    Header,
    Target,
    read_target,
    request_headers,
    response_headers,
)
from midstream.api.streaming.exchange import Exchange
from midstream.errors import ForbiddenError, GatewayError, UnauthorizedError
from midstream.providers.registry import USUAL_VENDOR
from midstream.telemetry import ERRORS, PROXIED

if TYPE_CHECKING:
    from litestar.handlers import ASGIRouteHandler
    from litestar.types import Receive, Scope, Send

    from midstream.aio.idle_timeout import IdleTimeout
    from midstream.api.context import Api, CurrentApi
    from midstream.providers.passthrough.upstreams import Upstream, UpstreamAnswer, Upstreams
    from midstream.sessions.access import Caller
    from midstream.settings.sections import ProxySettings

logger = logging.getLogger(__name__)

_FROM_PAGES: Final = frozenset({b"origin", b"sec-fetch-site"})
"""Headers that browsers always send, and pages cannot remove."""

_KEY_HEADER: Final = "x-api-key"


class Proxy:
    """The ASGI application below `/proxy`.

    Args:
        deadline: for one write to be taken by a client.
    """

    def __init__(self, current: CurrentApi, settings: ProxySettings, deadline: IdleTimeout) -> None:
        self._current = current
        self._settings = settings
        self._deadline = deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == ScopeType.WEBSOCKET:
            await send({"type": "websocket.close", "code": 4500, "reason": "only HTTP is proxied"})
            return
        # Wrappers of `send` add headers, and cost more than forwarding a piece.
        exchange = Exchange.of(scope)
        response = ProxyExchange(send if exchange is None else exchange.send, self._deadline)
        try:
            await self._answer(scope, receive, response)
        finally:
            response.close()

    async def _answer(self, scope: Scope, receive: Receive, response: ProxyExchange) -> None:
        upstream: Upstream | None = None
        try:
            target = read_target(scope)
            _refuse_pages(scope)
            api = self._current.for_new_work()
            upstream = await _find(api.upstreams, target)
            passage = _Passage(
                api=api,
                settings=self._settings,
                scope=scope,
                target=target,
                upstream=upstream,
                response=response,
            )
            await passage.serve(receive)
        except GoneError as gone:
            logger.debug("proxy_caller_gone reason=%s", gone)
        except Exception as failure:
            error = as_gateway_error(failure)
            ERRORS.labels(error.code).inc()
            if response.started:
                # Returning without the last body breaks the response off.
                logger.info("proxy_broken_off reason=%s", error.code)
                return
            await response.refuse(error, USUAL_VENDOR if upstream is None else upstream.vendor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    """One request to forward."""

    api: Api
    settings: ProxySettings
    scope: Scope
    target: Target
    upstream: Upstream
    response: ProxyExchange

    async def serve(self, receive: Receive) -> None:
        """Forward it, and its response back.

        Raises:
            GatewayError: before the response has begun, for the caller; else why it broke off.
            GoneError: the caller has left.
        """
        caller = self._admit()
        headers = self._headers()
        url = self.upstream.url(self.target.path, self.target.query)
        wanted = SessionHeaders.read(self.scope, self.target)
        settings, api = self.settings, self.api
        if wanted is not None:
            call = SessionCall(
                wanted,
                api.sessions.proxied,
                api.upstreams,
                api.limits,
                finish_calls=settings.finish_calls,
            )
            body = RequestBody(receive, self.scope["headers"], settings.max_call_bytes)
            with PROXIED.labels("session").track_inprogress():
                await call.serve(caller, self.upstream, url, headers, body, self.response)
            return
        body = RequestBody(receive, self.scope["headers"], settings.max_body_bytes)
        with PROXIED.labels("plain").track_inprogress():
            content = await body.open()
            async with while_there(body):
                try:
                    async with api.upstreams.open(
                        self.upstream, str(self.scope.get("method")), url, headers, content
                    ) as answer:
                        await _forward(answer, self.response)
                except GatewayError as failure:
                    # A body that could not be read explains the failed request.
                    raise body.failure or failure from None

    def _admit(self) -> Caller:
        """Return the caller; a key of ours is never forwarded.

        Raises:
            ForbiddenError, UnauthorizedError: see `Gate.admit_agent`.
        """
        request = Request[Any, Any, Any](self.scope)
        gate = self.api.gate
        if self.upstream.key is not None:
            return gate.admit_agent(request, _KEY_HEADER)
        headers = request.headers
        bearer = headers.get("authorization", "").partition(" ")[2].strip()
        if gate.is_agent_key(bearer) or gate.is_agent_key(headers.get(_KEY_HEADER)):
            raise _key_not_passed_on()
        return gate.admit_agent(request)

    def _headers(self) -> list[Header]:
        """Return the headers that go to the provider; never one with an agent key in it.

        Raises:
            UnauthorizedError: one of our keys stands in for the provider's.
        """
        holds = self.api.gate.holds_agent_key
        passed = request_headers(self.scope["headers"])
        kept = [each for each in passed if not holds(each[1])]
        with_ours = self.upstream.key is None and len(kept) < len(passed)
        if with_ours or holds(self.target.query.encode()):
            raise _key_not_passed_on()
        return self.upstream.with_key(kept)


async def _find(upstreams: Upstreams, target: Target) -> Upstream:
    upstream = await upstreams.find(target.provider)
    if upstream is None:
        raise RouteNotFoundError(
            "unable to find this provider; use `openai`, `anthropic`, or the name of a "
            "`[providers.NAME]`"
        )
    return upstream


async def _forward(answer: UpstreamAnswer, response: ProxyExchange) -> None:
    await response.start(answer.status, response_headers(answer.headers))
    while data := await answer.read():
        await response.write(data)
    await response.write(b"", more=False)


def _key_not_passed_on() -> UnauthorizedError:
    return UnauthorizedError(
        "unable to forward an agent key; send it as x-midstream-key, and the provider's "
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
