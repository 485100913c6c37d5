"""A TCP port, plain or with TLS, before a server's UNIX socket."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.certificate import make_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def relay(path: str, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Forward connections to the socket at `path`; yields the port."""
    forwarding: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(64 * 1024):
                writer.write(data)
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(path)
        for way in (forward(reader, there[1]), forward(there[0], writer)):
            task = asyncio.create_task(way)
            forwarding.add(task)
            task.add_done_callback(forwarding.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for task in forwarding:
                task.cancel()
            await asyncio.gather(*forwarding, return_exceptions=True)


def server_context(folder: Path) -> ssl.SSLContext:
    """Return a TLS server's context, with a certificate of its own making."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(folder, "localhost"))
    return context
