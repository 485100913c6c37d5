#!/usr/bin/env bash
# anthropic 2.12.0 (and openai 3.54.0, which has the same code): `DefaultAioHttpClient` with
# `Limits(max_connections=None)`.
#
# Expected: no limit. httpx's documentation says so of `max_connections`, and the SDK's client without
#   aiohttp, `DefaultAsyncHttpxClient`, does it.
# Seen: 100 connections. The transport on aiohttp hands None on by saying nothing, and aiohttp's own
#   default is 100. Further requests wait, without a word, until a response has ended. 0 is no limit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'anthropic[aiohttp]==2.12.0' 'aiohttp==3.14.5'
cat > open.py <<'PYTHON'
import asyncio

import anthropic
import httpx2

ASKED = 150


async def opened(kind, limit):
    """How many of 150 requests for endless responses reach the server at once."""
    held = []

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        held.append(writer)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=ASKED)
    url = "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1]
    http = kind(limits=httpx2.Limits(max_connections=limit), timeout=None)
    asking = [
        asyncio.create_task(http.send(http.build_request("GET", url), stream=True))
        for _ in range(ASKED)
    ]
    before = -1
    while before != len(held) or not held:
        before = len(held)
        await asyncio.sleep(1)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    for writer in held:
        writer.close()
    await http.aclose()
    return before


async def main():
    aio, plain = anthropic.DefaultAioHttpClient, anthropic.DefaultAsyncHttpxClient
    seen = {
        "without aiohttp, None": await opened(plain, None),
        "with aiohttp, None": await opened(aio, None),
        "with aiohttp, 0": await opened(aio, 0),
    }
    for what, number in seen.items():
        print(f"{what}: {number} of {ASKED} at once")
    assert list(seen.values()) == [ASKED, 100, ASKED], "it has changed"
    print("as described")


asyncio.run(main())
PYTHON
venv/bin/python open.py
