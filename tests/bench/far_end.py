"""The provider's end: Anthropic's wire at a set pace, as cheaply as Python writes it.

    python -m tests.bench.far_end --port 9999

A request's body holds its plan: `plan rate=50 deltas=0 size=20`. `rate` is deltas a second,
`deltas` their number (0: until `POST /finish`), `size` the bytes of one. After the last delta a
stream stays open, or ends properly with `ends=1`. `POST /finish` ends all streams properly.

Each delta carries the time of its write, `@` and sixteen digits: microseconds of the machine's
monotonic clock, which all of its processes share. The last delta of a plan says LAST.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import time
from typing import TYPE_CHECKING, Final, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAN: Final = re.compile(rb"plan((?: \w+=\d+)+)")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_GOLDEN_RATIO: Final = 0.618034
"""Multiples of it spread evenly: streams that begin together do not write together."""

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
_FINISHED: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


def _event(kind: str, **fields: object) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


_USAGE: Final = {"input_tokens": 9, "output_tokens": 1}
_OPENING: Final = _event(
    "message_start",
    message={
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "bench",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _USAGE,
    },
) + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
_DELTA: Final = _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "%b"})
_CLOSING: Final = (
    _event("content_block_stop", index=0)
    + _event(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": 1},
    )
    + _event("message_stop")
)


def _framed(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


class Stream:
    """One answer that is being written."""

    def __init__(
        self,
        transport: asyncio.Transport,
        plan: Mapping[str, int],
        phase: float,
        on_last: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._on_last = on_last if plan.get("ends") else None
        self._interval_s = 1 / plan.get("rate", 50)
        self._left = plan.get("deltas", 0) or -1
        self._padding = b"." * (plan.get("size", 20) - 17)
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time() + phase * self._interval_s
        transport.write(_HEAD + _framed(_OPENING))
        self._timer: asyncio.Handle = self._loop.call_at(self._due_s, self._write)

    def _write(self) -> None:
        self._left -= 1
        text = b"@%016d%b" % (time.monotonic_ns() // 1000, self._padding)
        self._transport.write(_framed(_DELTA % (text if self._left else text + b" LAST")))
        if self._left:
            self._due_s += self._interval_s
            self._timer = self._loop.call_at(self._due_s, self._write)
        elif self._on_last is not None:
            self._on_last()

    def finish(self) -> None:
        """End the answer as the provider would."""
        self._timer.cancel()
        self._transport.write(_framed(_CLOSING) + _LAST_CHUNK)

    def drop(self) -> None:
        """Stop writing."""
        self._timer.cancel()


class FarEnd(asyncio.Protocol):
    """One connection."""

    open: Final[set[FarEnd]] = set()
    _numbers = itertools.count()

    def __init__(self) -> None:
        self._received = b""
        self._stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the request is complete."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or (length is not None and len(body) < int(length[1])):
            return
        self._received = b""
        if head.startswith(b"POST /finish"):
            for connection in list(self.open):
                connection.finish()
            self._transport.write(_FINISHED)
            self._transport.close()
            return
        plan = _PLAN.search(body)
        words = plan[1].decode().split() if plan else []
        wanted = {name: int(value) for name, value in (word.split("=") for word in words)}
        phase = next(self._numbers) * _GOLDEN_RATIO % 1
        self._stream = Stream(self._transport, wanted, phase, self.finish)
        self.open.add(self)

    def finish(self) -> None:
        """End the stream under way."""
        if self._stream is not None:
            self._stream.finish()
            self._stream = None
        self.open.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the stream."""
        if self._stream is not None:
            self._stream.drop()
        self.open.discard(self)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(FarEnd, "127.0.0.1", port, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The provider's end.")
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))
