"""A provider's far end that keeps each request, and answers like the API of its path."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

Json = dict[str, Any]


class Recorded(Struct, frozen=True):
    """One request: its target with the query, its headers (names in lower case), its body."""

    target: str
    headers: dict[str, str]
    body: Json


class Recorder:
    """Answers the requests of any of the APIs.

    Attributes:
        requests: the requests, in order.
        calls: tools to call, each in one answer, before answers are text.
    """

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.calls: list[tuple[str, Json]] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                self.requests.append(await _read(reader))
                call = self.calls.pop(0) if self.calls else None
                body = b"".join(_frames(self.requests[-1].target, call, len(self.requests)))
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                    + f"content-length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    """Listen for the length of a block."""
    recording = Recorder()
    server = await asyncio.start_server(recording.serve, "127.0.0.1", 0)
    recording.port = server.sockets[0].getsockname()[1]
    try:
        yield recording
    finally:
        server.close()


async def _read(reader: asyncio.StreamReader) -> Recorded:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Recorded(head[0].split(" ")[1], headers, json.loads(body or b"{}"))


def _frames(target: str, call: tuple[str, Json] | None, number: int) -> list[bytes]:
    path = target.partition("?")[0]
    if path.endswith("/messages"):
        events = _messages(call, number)
    elif path.endswith("/responses"):
        events = _responses(call, number)
    else:
        events = _chat(call, number)
    frames = [f"data: {json.dumps(event)}\n\n".encode() for event in events]
    return [*frames, b"data: [DONE]\n\n"] if path.endswith("/completions") else frames


_USAGE: Final = {"input_tokens": 1, "output_tokens": 1}


def _messages(call: tuple[str, Json] | None, number: int) -> Sequence[Json]:
    block: Json = {"type": "text", "text": ""}
    delta: Json = {"type": "text_delta", "text": "Done."}
    if call is not None:
        block = {"type": "tool_use", "id": f"toolu_{number}", "name": call[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    reason = "end_turn" if call is None else "tool_use"
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    return [
        {"type": "message_start", "message": {**message, "usage": _USAGE}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": _USAGE},
        {"type": "message_stop"},
    ]


def _responses(call: tuple[str, Json] | None, number: int) -> Sequence[Json]:
    response = {"id": f"resp_{number}", "created_at": 1, "model": "m"}
    content = [{"type": "output_text", "text": "Done.", "annotations": []}]
    item: Json = {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": content}
    delta: Json = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "item_id": item["id"],
        "delta": "Done.",
    }
    if call is not None:
        item = {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_{number}",
            "name": call[0],
            "arguments": json.dumps(call[1]),
            "status": "completed",
        }
        delta = {
            "type": "response.function_call_arguments.delta",
            "output_index": 0,
            "item_id": item["id"],
            "delta": item["arguments"],
        }
    return [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        delta,
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**response, "usage": _USAGE}},
    ]


def _chat(call: tuple[str, Json] | None, number: int) -> Sequence[Json]:
    delta: Json = {"content": "Done."}
    if call is not None:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        delta = {"tool_calls": [{"index": 0, "id": f"call_{number}", "function": function}]}
    chunk = {"id": "c", "created": 1, "model": "m"}
    reason = "stop" if call is None else "tool_calls"
    return [
        {**chunk, "choices": [{"index": 0, "delta": delta}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
    ]
