"""One request's exchange with the server, as the application around the routes has it.

A stream is open for hours, and mostly idle. So its response sends the head from within the routes,
and leaves its body here: it is written once the routes have returned. Their frames, and what
Litestar keeps of a request, take 4 KB, and an idle stream has none of them. Nor do wrappers of
`send` (Litestar's exception handler, CORS) cost 4 µs a chunk: they need the head alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from litestar.types import Receive, Send

_KEY: Final = "midstream.exchange"
"""Of the ASGI scope."""


class LaterBody(Protocol):
    """Body of a response whose head is sent."""

    async def write(self, receive: Receive, send: Send) -> None:
        """Write it; returns when it is complete or broken off."""
        ...

    async def leave(self) -> None:
        """Let go of what it holds, unwritten."""
        ...


class Exchange:
    """One request's exchange.

    Attributes:
        receive, send: the server's own, or those of a HEAD request's stand-in.
        body: left by the routes for later; None if the response is complete.
    """

    __slots__ = ("body", "receive", "send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        self.body: LaterBody | None = None

    def scope_for_routes(self, scope: Any, method: str) -> Any:
        """Return a copy of a request's scope with this exchange.

        What Litestar adds to a scope, and to its state, then goes with the copy.
        """
        return {**scope, "method": method, "state": {**scope.get("state", {})}, _KEY: self}

    @staticmethod
    def of(scope: Any) -> Exchange | None:
        """Return a request's exchange; None where there is no application around the routes."""
        found: Exchange | None = scope.get(_KEY)
        return found
