#!/usr/bin/env bash
# openai 3.54.0 with its aiohttp transport (DefaultAioHttpClient), beside anthropic 2.12.0.
#
# Expected: a connection that is refused is an APIConnectionError that is no timeout, as with the
#   SDK's default transport, and as anthropic's SDK says it with either transport.
# Seen: openai's aiohttp transport makes it an APITimeoutError, "Request timed out.", at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install \
  'openai[aiohttp]==3.54.0' 'anthropic[aiohttp]==2.12.0'
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket

import anthropic
import openai

with socket.socket() as listener:  # a port that nobody listens on
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
url = f"http://127.0.0.1:{port}"


async def kind_of(call):
    try:
        await call()
    except Exception as error:
        return type(error).__name__, str(error)


async def main():
    seen = {}
    for name, library, path in (("openai", openai, "/v1"), ("anthropic", anthropic, "")):
        client_class = library.AsyncOpenAI if name == "openai" else library.AsyncAnthropic
        for transport in ("default", "aiohttp"):
            more = {"http_client": library.DefaultAioHttpClient()} if transport == "aiohttp" else {}
            async with client_class(
                api_key="any", base_url=url + path, max_retries=0, timeout=30, **more
            ) as client:
                seen[name, transport] = await kind_of(client.models.list)
    for key, value in seen.items():
        print(*key, *value, sep=" | ")
    timed_out = {key for key, (kind, _) in seen.items() if kind == "APITimeoutError"}
    assert timed_out == {("openai", "aiohttp")}, seen
    assert all(seen[key][0] == "APIConnectionError" for key in seen.keys() - timed_out), seen


asyncio.run(main())
print("as described")
PYTHON
