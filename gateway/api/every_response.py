"""What holds for every address: our host names, HEAD where GET is, no copy of ours in a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Request, WebSocket

from midstream.api.failures import answer_failure
from midstream.api.stream_response import SERVER_SEND
from midstream.errors import ForbiddenError
from midstream.telemetry import ERRORS

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import Receive, Send

    from midstream.api.auth.gate import Gate

PROXY: Final = "/proxy/"
"""What a provider answers is passed on as it is."""


class EveryResponse:
    """An ASGI application around the routes. Bodies of streams do not come through it.

    Args:
        gate: knows our host names. A hook of Litestar's would be asked for known routes alone.
    """

    def __init__(self, app: Litestar, gate: Gate) -> None:
        self.app = app
        self._gate = gate

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith(PROXY):
            await self._route(scope, receive, send)
        elif scope["method"] == "HEAD":
            head = _Head(receive, send)
            asked: Any = {**scope, "method": "GET", SERVER_SEND: head.send}
            await self._route(asked, head.receive, head.send)
        else:
            await self._route(scope, receive, _uncached(send))

    async def _route(self, scope: Any, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] != "lifespan":
                self._gate.check_host(scope)
        except ForbiddenError as error:
            await _refuse(error, scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def _refuse(error: ForbiddenError, scope: Any, receive: Receive, send: Send) -> None:
    """Answer a request before anything is looked for at its address."""
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


class _Head:
    """The exchange of a GET of which the head alone is sent.

    With the head the response ends; the route learns that its client has left, so that a stream
    ends too.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = _uncached(send)
        self._ended = False

    async def receive(self) -> Any:
        return {"type": "http.disconnect"} if self._ended else await self._receive()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            self._ended = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _uncached(send: Send) -> Send:
    """Return what sends a response as one that no cache keeps, unless it says otherwise."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = message["headers"]
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                message = {**message, "headers": [*headers, (b"cache-control", b"no-store")]}
        await send(message)

    return sending
