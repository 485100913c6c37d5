"""The least work of a fan-out: only `transport.write` of the same bytes to every socket.

python -m tests.bench.bare_writer --port 9997 --rate 20
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Final, cast

import uvloop

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_EVENT: Final = b'id: %d\ndata: {"type":"text-delta","id":"0","delta":"@%016d..."}\n\n'


class BareWriter(asyncio.Protocol):
    """One reader, with any request."""

    open: Final[set[asyncio.Transport]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin an endless answer."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_HEAD)
        self.open.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop writing to this reader."""
        self.open.discard(self._transport)


async def _serve(port: int, rate: float) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(BareWriter, "127.0.0.1", port, backlog=2048)
    due_s, number = loop.time(), 0
    while True:
        due_s += 1 / rate
        await asyncio.sleep(due_s - loop.time())
        number += 1
        event = _EVENT % (number, time.monotonic_ns() // 1000)
        framed = b"%x\r\n%b\r\n" % (len(event), event)
        for transport in BareWriter.open:
            transport.write(framed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The bare writer.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.port, arguments.rate))
