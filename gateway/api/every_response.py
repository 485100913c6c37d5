"""Rules for every address.

It answers to our host names alone. HEAD works where GET does, and `allow` names every method.
Nothing of ours is kept in a cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Request, WebSocket
from litestar.routes import HTTPRoute

from midstream.api.failures import answer_failure
from midstream.api.streaming.exchange import Exchange
from midstream.errors import ForbiddenError
from midstream.telemetry import ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from litestar import Litestar
    from litestar.types import Receive, Send

    from midstream.api.auth.gate import Gate

PROXY: Final = "/proxy/"
"""Responses of providers are forwarded unchanged."""


class EveryResponse:
    """An ASGI application around the routes. Bodies of streams do not come through it.

    Args:
        gate: knows our host names. A hook of Litestar's would be asked for known routes alone.
    """

    def __init__(self, app: Litestar, gate: Gate) -> None:
        self.app = app
        self._gate = gate
        self._methods = {
            route.path_format: _methods_of(route)
            for route in app.routes
            if isinstance(route, HTTPRoute)
        }

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if (body := await self.begin(scope, receive, send)) is not None:
            await body

    async def begin(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None] | None:
        """Serve one connection up to a stream's body; await what is returned to write that.

        Whoever serves so has no frame of ours below it while a stream is idle.
        """
        if scope["type"] != "http":
            await self._route(scope, receive, send)
            return None
        is_ours = not scope["path"].startswith(PROXY)
        if is_ours and scope["method"] == "HEAD":
            head = _HeadOnly(receive, send)
            exchange = Exchange(head.receive, head.send)
            asked = exchange.scope_for_routes(scope, "GET")
        else:
            exchange = Exchange(receive, send)
            asked = exchange.scope_for_routes(scope, scope["method"])
        send = self._completing(asked, exchange.send) if is_ours else send
        try:
            await self._route(asked, exchange.receive, send)
        except BaseException:
            if exchange.body is not None:
                await exchange.body.leave()
            raise
        body = exchange.body
        return None if body is None else body.write(exchange.receive, exchange.send)

    async def _route(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "lifespan":
                self._gate.check_host(scope)
        except ForbiddenError as error:
            await _refuse(error, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _completing(self, scope: Any, send: Send) -> Send:
        """Return what sends a response with the headers that each of ours has."""

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": await self._headers(scope, message)}
            await send(message)

        return sending

    async def _headers(self, scope: Any, start: Any) -> list[tuple[bytes, bytes]]:
        headers = [(name.lower(), value) for name, value in start["headers"]]
        names = {name for name, _ in headers}
        if b"cache-control" not in names:
            headers.append((b"cache-control", b"no-store"))
        if start["status"] == 405 or b"allow" in names:
            methods = self._methods.get(await self._template(scope), b"")
            headers = [each for each in headers if each[0] != b"allow"] + [(b"allow", methods)]
        return headers

    async def _template(self, scope: Any) -> str:
        """Return the route's path; a method that it does not know has not been routed."""
        if "path_template" in scope:
            return str(scope["path_template"])
        asked: Any = {**scope, "method": "OPTIONS", "headers": [], "state": {}}
        await self.app(asked, _nothing, _nowhere)
        return str(asked.get("path_template"))


def _methods_of(route: HTTPRoute) -> bytes:
    """Return what `allow` says of a route.

    Litestar 2's own answer to OPTIONS has the methods of those handlers of a path that were
    registered first (https://github.com/litestar-org/litestar/issues/4169), and never HEAD.
    """
    more = {"HEAD"} if "GET" in route.methods else set[str]()
    return ", ".join(sorted({*route.methods, *more})).encode()


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(_: object) -> None:
    """Discard a message."""


async def _refuse(error: ForbiddenError, scope: Any, receive: Receive, send: Send) -> None:
    """Refuse a request before it is routed."""
    if scope["type"] == "websocket":
        ERRORS.labels(error.code).inc()
        socket = WebSocket[Any, Any, Any](scope, receive, send)
        # Accepted first: a browser cannot see why a handshake was refused, but sees a close code.
        await socket.accept()
        await socket.close(error.ws_close_code, reason=error.code)
        return
    request = Request[Any, Any, Any](scope, receive, send)
    answer = answer_failure(request, error).to_asgi_response(None, request)
    await answer(scope, receive, send)


class _HeadOnly:
    """The exchange of a GET of which the head alone is sent.

    With the head the response ends; the route learns that its client has left, so that a stream
    ends too.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._ended = False

    async def receive(self) -> Any:
        return {"type": "http.disconnect"} if self._ended else await self._receive()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            self._ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
