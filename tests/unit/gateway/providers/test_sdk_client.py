"""Answers of a provider at once: a run never waits for another one's connection."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from midstream.providers.anthropic.provider import AnthropicClient
from midstream.providers.sdk_client import ClientOptions
from tests.support.processes import eventually

MANY = 1_050
"""More than the SDKs open by default."""


def test_more_answers_than_the_sdk_opens_connections_are_read_at_once() -> None:
    """Each is sent at once; none waits for the end of another."""
    held: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        held.append(writer)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=MANY)
        port = server.sockets[0].getsockname()[1]
        client = AnthropicClient(ClientOptions(api_key="key", base_url=f"http://127.0.0.1:{port}"))

        def send(sdk: Any) -> Any:
            return sdk.get(
                "/answers",
                cast_to=httpx2.Response,
                options={"headers": {"X-Stainless-Raw-Response": "stream"}},
            )

        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(client.request(send)) for _ in range(MANY)]
            await eventually(lambda: len(held) == MANY, "all have been sent", 60)
        for each in asking:
            await each.result().aclose()
        await client.close()
        for writer in held:
            writer.close()
        server.close()

    asyncio.run(run())
