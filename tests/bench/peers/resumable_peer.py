"""The peer in Python: fastapi-resumable-stream as its README shows it, with the anthropic SDK.

The same server, event loop, parser, Redis client and SDK as the gateway's. It does less: nothing
fences a second producer, and a chunk that Redis loses is not sent again.

REDIS_URL=redis://127.0.0.1:6379 python resumable_peer.py --port 9996 --upstream http://127.0.0.1:9999
"""

from __future__ import annotations

import argparse
import os
import uuid
from typing import TYPE_CHECKING, Any

import anthropic
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi_resumable_stream import (
    ActiveStreamRegistry,
    ResumableStream,
    StopController,
    resume_conversation_stream,
    start_conversation_stream,
    streaming_response,
)
from fastapi_resumable_stream.adapters import VERCEL_STREAM_HEADERS, to_vercel_ui_message_stream
from redis.asyncio import Redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def application(upstream: str) -> FastAPI:
    """Return the application of its README, with one model."""
    app = FastAPI()
    redis = Redis.from_url(os.environ["REDIS_URL"])
    streams, registry, stop = (
        ResumableStream(redis),
        ActiveStreamRegistry(redis),
        StopController(redis),
    )
    client = anthropic.AsyncAnthropic(
        base_url=upstream, api_key="bench", http_client=anthropic.DefaultAioHttpClient()
    )

    async def tokens(messages: list[Any]) -> AsyncIterator[str]:
        said: list[Any] = [
            {"role": each["role"], "content": "".join(part["text"] for part in each["parts"])}
            for each in messages
        ]
        async with client.messages.stream(model="bench", max_tokens=9, messages=said) as stream:
            async for text in stream.text_stream:
                yield text

    @app.post("/api/chat")
    async def send(request: Request) -> Any:
        body = await request.json()
        return await start_conversation_stream(
            streams,
            registry,
            stop,
            body["id"],
            uuid.uuid4().hex,
            producer=lambda: to_vercel_ui_message_stream(tokens(body["messages"])),
            extra_headers=VERCEL_STREAM_HEADERS,
        )

    @app.get("/api/chat/{chat}/stream")
    async def resume(chat: str, after: int = 0) -> Any:
        resumed = await resume_conversation_stream(streams, registry, chat, after=after)
        if resumed is None:
            return Response(status_code=204)
        return streaming_response(resumed, extra_headers=VERCEL_STREAM_HEADERS)

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The peer in Python.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    uvicorn.run(
        application(arguments.upstream),
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
