"""A small HTTP client that sees every byte, and can drop a response after any of them."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import h11

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

READ_LIMIT_S: Final = 30.0
"""Limit for the next byte: twice the longest promised wait (an orphan's end), and a heartbeat."""


class ConnectionLost(Exception):
    """The response broke off: it was reset, or ended before its framing allows."""


@dataclass
class SseEvent:
    """One server-sent event; `data` without its trailing newline."""

    data: str
    id: str | None = None
    event: str | None = None


class SseParser:
    """Parses server-sent events from bytes that are cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self.comments = 0

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take more bytes; return the events that they complete."""
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [event for block in blocks if (event := self._event(block)) is not None]

    def _event(self, block: bytes) -> SseEvent | None:
        fields: dict[str, list[str]] = {}
        for line in block.decode().split("\n"):
            if line.startswith(":"):
                self.comments += 1
                continue
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if "data" not in fields:
            return None
        return SseEvent(
            data="\n".join(fields["data"]),
            id=fields.get("id", [None])[-1],
            event=fields.get("event", [None])[-1],
        )


class Response:
    """A response that is being read.

    Attributes:
        status: the HTTP status.
        headers: the headers, names in lower case.
        received: the number of body bytes so far.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cut_after: int | None
    ) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.received = 0
        self.comments = 0
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._cut_after = cut_after
        self._parser = SseParser()
        self._untaken: deque[SseEvent] = deque()

    async def send(self, request: h11.Request, body: bytes) -> None:
        """Send the request and wait for the head of its answer."""
        for event in (request, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from None
        head = await self._next_event()
        assert isinstance(head, h11.Response), head
        self.status = head.status_code
        self.headers = {name.decode(): value.decode() for name, value in head.headers}

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body's pieces as they arrive.

        Raises:
            ConnectionLost: the body broke off, or `cut_after` bytes have been read.
        """
        while isinstance(event := await self._next_event(), h11.Data):
            piece = bytes(event.data)
            if self._cut_after is not None and self.received + len(piece) >= self._cut_after:
                piece = piece[: self._cut_after - self.received]
                self.received += len(piece)
                self.cut()
                yield piece
                raise ConnectionLost("cut here, as asked")
            self.received += len(piece)
            yield piece

    async def events(self) -> AsyncIterator[SseEvent]:
        """Yield server-sent events, `[DONE]` among them, until the response ends.

        A second iteration continues after the last event of the first.
        """
        while self._untaken:
            yield self._untaken.popleft()
        async for piece in self.pieces():
            self._untaken.extend(self._parser.feed(piece))
            self.comments = self._parser.comments
            while self._untaken:
                yield self._untaken.popleft()

    async def body(self) -> bytes:
        """Return the rest of the body."""
        return b"".join([piece async for piece in self.pieces()])

    async def json(self) -> Any:
        """Return the rest of the body, decoded."""
        return json.loads(await self.body())

    @property
    def local_port(self) -> int:
        """The port of our end of the connection."""
        return int(self._writer.get_extra_info("sockname")[1])

    def cut(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                async with asyncio.timeout(READ_LIMIT_S):
                    data = await self._reader.read(65536)
            except (h11.RemoteProtocolError, ConnectionError) as error:
                raise ConnectionLost(str(error)) from None
            self._http.receive_data(data)


@dataclass(frozen=True)
class Endpoint:
    """The address of a gateway (or of a proxy before one), and the caller's headers.

    `root`: the path at which the gateway is mounted.
    """

    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    root: str = ""

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}{self.root}"

    def asking_as(self, token: str) -> Endpoint:
        """Return the same endpoint with a bearer token."""
        return Endpoint(self.port, {**self.headers, "authorization": f"Bearer {token}"}, self.root)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        cut_after: int | None = None,
        receive_buffer: int = 2**16,
    ) -> AsyncIterator[Response]:
        """Make a request on a connection of its own; the block's end drops it.

        Args:
            method: the method.
            path: the path with its query.
            body: bytes are sent unchanged, other values as JSON.
            headers: added to the endpoint's.
            cut_after: reset the connection after this many bytes of the body.
            receive_buffer: the size of the receive buffer in bytes.

        Raises:
            ConnectionLost: the connection ended before the answer's head.
        """
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        payload = b"" if body is None else payload
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, limit=receive_buffer
            )
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from None
        fields = {
            "host": f"127.0.0.1:{self.port}",
            "content-type": "application/json",
            "content-length": str(len(payload)),
            **self.headers,
            **(headers or {}),
        }
        response = Response(reader, writer, cut_after)
        try:
            await response.send(
                h11.Request(method=method, target=self.root + path, headers=list(fields.items())),
                payload,
            )
            yield response
        finally:
            response.cut()

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make a request; return its status and its body, decoded (None if empty)."""
        async with self.request(method, path, body) as response:
            content = await response.body()
            return response.status, json.loads(content) if content else None
