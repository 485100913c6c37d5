"""A response's body as it lies in aiohttp, whose network is the test."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httpx2
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp import StreamReader

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


class ParsedBody:
    """A body that aiohttp parses as it comes, in the response that an SDK makes of it.

    Args:
        framing: the header that says where it ends; none: where the connection does.

    Attributes:
        reader: where it lies.
        stream: what the SDK iterates.
        response: has it.
        protocol: aiohttp's, of the connection that it comes by.
        transport: of that connection.
        paused: whether aiohttp wants no more for now.
    """

    def __init__(self, framing: bytes = b"transfer-encoding: chunked\r\n") -> None:
        self.paused = False
        self.protocol = ResponseHandler(asyncio.get_running_loop())
        self.transport = _Transport(self, self.protocol)
        self._aiohttp = self.protocol
        self._aiohttp.connection_made(self.transport)
        self._aiohttp.set_response_params(read_until_eof=True)
        self._aiohttp.data_received(_HEAD + framing + b"\r\n")
        (_, self.reader), _ = self._aiohttp._buffer[0]
        self.stream = stream_over(self.reader, self)
        self.response = httpx2.Response(200, stream=self.stream)

    def receive(self, data: bytes) -> None:
        """Have one network read bring these bytes, as a chunk of HTTP's."""
        self.receive_raw(chunked(data))

    def receive_raw(self, data: bytes) -> None:
        """Have one network read bring these bytes, framed as they are."""
        self.transport.protocol.data_received(data)

    def end(self) -> None:
        """Have the body end as HTTP wants it."""
        self.receive_raw(b"0\r\n\r\n")

    def close(self) -> None:
        """Have the connection end."""
        self.transport.protocol.connection_lost(None)

    def lose(self) -> None:
        """Have the connection reset."""
        self.transport.protocol.connection_lost(ConnectionResetError("reset by the test"))


class _Transport(asyncio.Transport):
    def __init__(self, body: ParsedBody, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._body = body
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def pause_reading(self) -> None:
        self._body.paused = True

    def resume_reading(self) -> None:
        self._body.paused = False


async def turns(count: int = 5) -> None:
    """Let everything happen that waits for nothing."""
    for _ in range(count):
        await asyncio.sleep(0)


def chunked(data: bytes) -> bytes:
    """Return data as one chunk of HTTP's; none for no data, because that would be the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def stream_over(reader: StreamReader, connected: object = None) -> httpx2.AsyncByteStream:
    """Return what a response of an SDK has as its stream: theirs in httpx2's, over aiohttp's."""
    from anthropic._vendor.httpx_aiohttp.transport import AiohttpResponseStream
    from httpx2._client import BoundAsyncStream

    class Answer:
        content = reader
        connection = connected

        async def __aexit__(self, *_: object) -> None:
            """Give the connection back: there is none."""

    return BoundAsyncStream(AiohttpResponseStream(cast("Any", Answer())), 0.0)
