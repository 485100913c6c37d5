"""One HTTP exchange over ASGI: its body in, its bytes out, and its end noticed at once."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, TypeAlias

from midstream.simulator.failures import RequestError

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# The Messages API's own limit.
_MAX_REQUEST_BYTES = 32 * 1024 * 1024
# A reset discards what the kernel has not sent yet: let the server write it out first.
_TURNS_BEFORE_RESET = 10


class DisconnectedError(Exception):
    """The client went away."""


class ResetError(Exception):
    """The connection is to be reset."""


class Connection:
    """The ASGI callables of one request, with what the simulator needs of them."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.method = str(scope["method"])
        # A mounted application sees its mount point in the path; it is not part of the route.
        self.path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        self.query = bytes(scope.get("query_string", b"")).decode("latin-1")
        self.headers: Mapping[str, str] = {
            key.decode("latin-1").lower(): value.decode("latin-1")
            for key, value in scope["headers"]
        }

    async def read_body(self) -> bytes:
        """Return the request's body.

        Raises:
            RequestError: it is larger than the providers take.
            DisconnectedError: it did not arrive.
        """
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            body += message.get("body", b"")
            if len(body) > _MAX_REQUEST_BYTES:
                raise RequestError("too_large")
            if not message.get("more_body", False):
                return bytes(body)

    async def run_while_connected(self, answer: Coroutine[Any, Any, None]) -> None:
        """Await `answer`, or cancel it the moment the client goes away, however silent it is.

        Raises:
            DisconnectedError: the client went away first.
        """
        answering = asyncio.create_task(answer, name="simulator-answer")
        watching = asyncio.create_task(self._wait_for_disconnect(), name="simulator-watch")
        try:
            await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise DisconnectedError
            answering.result()
        finally:
            answering.cancel()
            watching.cancel()
            await asyncio.gather(answering, watching, return_exceptions=True)

    async def respond(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole JSON response."""
        length = {"content-length": str(len(body))}
        await self.start(status, {"content-type": "application/json", **length, **headers})
        await self.send(body, more=False)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status and headers."""
        pairs = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, body: bytes, *, more: bool) -> None:
        """Send a piece of the body; the last one without `more`."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def reset(self) -> None:
        """Reset the connection, as a crashed server or a cut line does.

        ASGI has no word for that, so this reaches for uvicorn's transport. Without one,
        returning from an unfinished response makes any server drop the connection.
        """
        sender = getattr(self._send, "__self__", None)
        # uvloop's transports are no subclass of asyncio's.
        transport: asyncio.WriteTransport | None = getattr(sender, "transport", None)
        if transport is None:
            return
        for _ in range(_TURNS_BEFORE_RESET):
            await asyncio.sleep(0)
            if not transport.get_write_buffer_size():
                break
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            # No lingering: closing sends RST instead of FIN.
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        # uvicorn logs an error unless it has seen the connection end before we return.
        await asyncio.sleep(0)

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def serve_lifespan(receive: Receive, send: Send) -> None:
    """Answer a server's lifespan messages: nothing has to be started."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
