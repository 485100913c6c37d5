"""What holds for every address: HEAD where GET is, and nothing of ours in a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from midstream.api.stream_response import SERVER_SEND

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import Receive, Send

PROXY: Final = "/proxy/"
"""What a provider answers is passed on as it is."""


class EveryResponse:
    """An ASGI application around the routes. Bodies of streams do not come through it."""

    def __init__(self, app: Litestar) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith(PROXY):
            await self.app(scope, receive, send)
        elif scope["method"] == "HEAD":
            head = _Head(receive, send)
            asked: Any = {**scope, "method": "GET", SERVER_SEND: head.send}
            await self.app(asked, head.receive, head.send)
        else:
            await self.app(scope, receive, _uncached(send))


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
