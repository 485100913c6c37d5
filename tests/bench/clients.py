"""The load: connections that send one request, and count the deltas as they arrive.

They do not parse HTTP: every delta of the far end has an `@` in its bytes.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRITTEN_AT: Final = re.compile(rb"@(\d{16})")
_ENDINGS: Final = (b"[DONE]", b"message_stop", b"\r\n0\r\n\r\n")
_CONNECT_PACE_S: Final = 0.002
"""Delay between connections: a burst would measure the accept queue, and starve open streams."""


def now_us() -> int:
    """Return the time of the clock with which the far end stamps its deltas."""
    return time.monotonic_ns() // 1000


@dataclass
class Tally:
    """Counts the deltas of clients since `restart`.

    Attributes:
        latencies_us: of each delta, the time from the far end's write to our read.
    """

    chunks: int = 0
    received: int = 0
    latencies_us: list[int] = field(default_factory=list)

    def restart(self) -> None:
        """Count from zero."""
        self.chunks = self.received = 0
        self.latencies_us = []


class Client(asyncio.Protocol):
    """One connection, one request.

    Attributes:
        first_at_us: the time of its first byte; 0 before.
        streaming: whether a delta has arrived.
        ended: done once its answer is complete, or its connection is lost.
    """

    def __init__(self, request: bytes, tally: Tally, *, reads: bool = True) -> None:
        self.first_at_us = 0
        self.streaming = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._request = request
        self._tally = tally
        self._reads = reads

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = cast("asyncio.Transport", transport)
        if not self._reads:
            self.transport.pause_reading()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the deltas in the data."""
        now = now_us()
        tally = self._tally
        self.first_at_us = self.first_at_us or now
        tally.received += len(data)
        tally.chunks += data.count(b"@")
        for written_at in _WRITTEN_AT.findall(data):
            self.streaming = True
            tally.latencies_us.append(now - int(written_at))
        if any(ending in data[-200:] for ending in _ENDINGS):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark the client as ended."""
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def post(path: str, body: object) -> bytes:
    """Return a request with a JSON body."""
    payload = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload


def get(path: str) -> bytes:
    """Return a request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def send_message(chat_id: str, plan: str) -> bytes:
    """Return a frontend's send; the far end answers by `plan` (far_end.py)."""
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": f"plan {plan}"}]}
    return post("/api/chat", {"id": chat_id, "messages": [message], "trigger": "submit-message"})


def resume(chat_id: str) -> bytes:
    """Return a frontend's request to resume."""
    return get(f"/api/chat/{chat_id}/stream")


def closing(request: bytes) -> bytes:
    """Return a request whose response ends with its connection, however short it is."""
    return request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)


async def connect(
    port: int, requests: Sequence[bytes], tally: Tally, pace_s: float = _CONNECT_PACE_S
) -> list[Client]:
    """Open a connection for each request; returns once all are open."""
    loop = asyncio.get_running_loop()
    clients = []
    for request in requests:
        _, client = await loop.create_connection(
            lambda request=request: Client(request, tally),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        clients.append(client)
        await asyncio.sleep(pace_s)
    return clients


async def connect_deaf(port: int, request: bytes, receive_buffer: int) -> Client:
    """Open a connection that never reads its answer, with a small buffer at our end."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    _, client = await loop.create_connection(
        lambda: Client(request, Tally(), reads=False), sock=sock
    )
    return client


async def all_streaming(clients: Sequence[Client], limit_s: float = 60.0) -> None:
    """Wait until each client has received a delta.

    Raises:
        AssertionError: a client has received none in time.
    """
    await eventually(lambda: all(client.streaming for client in clients), "all stream", limit_s)


async def ended(clients: Sequence[Client], limit_s: float = 60.0) -> None:
    """Wait until each answer is complete, and close the connections."""
    async with asyncio.timeout(limit_s):
        await asyncio.gather(*(client.ended for client in clients))
    for client in clients:
        client.transport.abort()


async def ask(port: int, request: bytes) -> bytes:
    """Return a short answer, its head included."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(closing(request))
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
