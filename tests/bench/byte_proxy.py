"""The peer with the least work: an ASGI proxy that copies bytes without parsing them.

python -m tests.bench.byte_proxy --port 9998 --upstream http://127.0.0.1:9999
"""

from __future__ import annotations

import argparse
from typing import Any

import aiohttp
import uvicorn


class ByteProxy:
    """ASGI application: one request upstream for each request here."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Copy a request's body up and its answer's body down, piece by piece."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        async with self._session.post(self._upstream, data=body) as response:
            headers = [(b"content-type", response.content_type.encode())]
            await send(
                {"type": "http.response.start", "status": response.status, "headers": headers}
            )
            async for data in response.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The proxy that copies bytes.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        ByteProxy(arguments.upstream),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
