"""Requests that the proxy refuses, and the keys that it sends on."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.gateway import API_KEYS

if TYPE_CHECKING:
    from tests.integration.proxy.conftest import Start
    from tests.support.far_end import FarEnd
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.anyio

OK: Final = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
AGENT_KEY: Final = "agent-key-5d0c7be91f"


async def raw(gateway: GatewayProcess, request: bytes) -> bytes:
    """Send bytes, and return what comes back until the gateway closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.at.port)
    writer.write(request)
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "request_head",
    [
        b"POST /proxy/openai/v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n"
        b"transfer-encoding: chunked\r\n",
        b"POST /proxy/openai/v1/x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n"
        b"content-length: 6\r\n",
        b"POST /proxy/openai/v1/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n",
        b"POST /proxy/openai/v1/x HTTP/1.1\r\nhost: a\r\nx: a\r\n b\x00\r\n",
        b"GET /proxy/openai/../x HTTP/1.1\r\nhost: a\r\n",
        b"GET /proxy/openai/v1%2f..%2fx HTTP/1.1\r\nhost: a\r\n",
        b"GET //evil.example/proxy/openai/v1/x HTTP/1.1\r\nhost: a\r\n",
    ],
)
async def test_smuggled_request_reaches_nobody(
    gateway: GatewayProcess, provider: FarEnd, request_head: bytes
) -> None:
    """Two lengths, folded headers, paths of two meanings: 4xx, or no answer at all."""
    answer = await raw(gateway, request_head + b"connection: close\r\n\r\n0\r\n\r\nGET /smuggled")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert provider.arrived.empty()


async def test_absolute_target_changes_no_host(gateway: GatewayProcess, provider: FarEnd) -> None:
    """Only its path is looked at, as the standard wants."""
    head = b"GET http://evil.example/proxy/openai/v1/x HTTP/1.1\r\nhost: evil.example\r\n"
    answering = asyncio.create_task(raw(gateway, head + b"connection: close\r\n\r\n"))
    done, _ = await asyncio.wait({answering}, timeout=1)
    if done:
        assert answering.result().startswith(b"HTTP/1.1 4")
        return
    arrived = await provider.next()
    assert arrived.line == "GET /v1/x HTTP/1.1"
    assert arrived.header("host") == f"127.0.0.1:{provider.port}"
    await arrived.answer(OK)
    await answering


@pytest.mark.parametrize("header", ["origin", "sec-fetch-site"])
async def test_web_page_is_refused(gateway: GatewayProcess, provider: FarEnd, header: str) -> None:
    """Also one of an origin that may use the rest of the API."""
    async with gateway.at.request(
        "POST", "/proxy/openai/v1/x", {}, headers={header: "http://localhost:3000"}
    ) as response:
        refused = await response.json()
    assert (response.status, refused["error"]["code"]) == (403, "forbidden")
    assert provider.arrived.empty()


async def test_unknown_provider_is_refused(gateway: GatewayProcess) -> None:
    """In OpenAI's shape, for want of another."""
    status, refused = await gateway.at.call("POST", "/proxy/nobody/v1/x", {})
    assert (status, refused["error"]["code"]) == (404, "not_found")


async def test_body_over_the_limit_is_refused(start: Start, provider: FarEnd) -> None:
    """By its own word, or once it is; the provider never sees a whole one."""
    gateway = start({"proxy": {"max_body_bytes": 2048, "max_call_bytes": 1024}})
    status, refused = await gateway.at.call("POST", "/proxy/openai/v1/files", b"x" * 3000)
    assert (status, refused["error"]["code"]) == (413, "too_large")
    assert provider.arrived.empty()

    head = (
        b"POST /proxy/openai/v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n"
    )
    pieces = b"".join(b"400\r\n%b\r\n" % (b"x" * 1024) for _ in range(3))
    answer = await raw(gateway, head + b"connection: close\r\n\r\n" + pieces + b"0\r\n\r\n")
    assert b" 413 " in answer.split(b"\r\n")[0]
    if not provider.arrived.empty():
        arrived = await provider.next()
        await arrived.until_closed()
        assert b"0\r\n\r\n" not in arrived.received

    async with gateway.at.request(
        "POST",
        "/proxy/openai/v1/chat/completions",
        {"messages": [{"role": "user", "content": "x" * 1500}]},
        headers={"x-midstream-session": "s"},
    ) as response:
        assert response.status == 413


async def passed_on(
    gateway: GatewayProcess, provider: FarEnd, path: str, headers: dict[str, str]
) -> list[tuple[str, str]]:
    """Return the headers with which a request arrives."""
    async with asyncio.TaskGroup() as tasks:

        async def call() -> None:
            async with gateway.at.request("GET", path, headers=headers) as response:
                assert await response.body() == b"ok"

        tasks.create_task(call())
        arrived = await provider.next()
        await arrived.answer(OK)
    return arrived.headers


async def refused(gateway: GatewayProcess, path: str, headers: dict[str, str]) -> tuple[int, Any]:
    """Return the status and the error of a request."""
    async with gateway.at.request("GET", path, headers=headers) as response:
        return response.status, (await response.json())["error"]


async def test_agent_key_opens_the_proxy_and_stays_here(start: Start, provider: FarEnd) -> None:
    """Beside the caller's own provider key; never in its place, or in a log."""
    gateway = start({"agent_keys.worker": {"key_env": "WORKER_KEY"}}, WORKER_KEY=AGENT_KEY)
    path, mine = "/proxy/openai/v1/x", {"authorization": "Bearer sk-mine-31337"}
    for headers in ({}, mine, {**mine, "x-midstream-key": "wrong"}):
        status, error = await refused(gateway, path, headers)
        assert (status, error["code"]) == (401, "unauthorized")
    basic = base64.b64encode(f"me:{AGENT_KEY}".encode()).decode()
    for leaking in (
        {"authorization": f"Bearer {AGENT_KEY}"},
        {"authorization": f"Basic {basic}"},
        {"x-api-key": AGENT_KEY},
        {**mine, "api-key": AGENT_KEY},
        {**mine, "x-goog-api-key": f"key {AGENT_KEY}"},
    ):
        status, error = await refused(gateway, path, {**leaking, "x-midstream-key": AGENT_KEY})
        assert (status, error["code"]) == (401, "unauthorized")
        assert "x-midstream-key" in error["message"]
    assert provider.arrived.empty()

    sent = await passed_on(gateway, provider, path, {**mine, "x-midstream-key": AGENT_KEY})
    assert ("authorization", "Bearer sk-mine-31337") in sent
    assert AGENT_KEY not in json.dumps(sent)
    assert not {AGENT_KEY, "sk-mine-31337"} & set(gateway.process.output().split())


async def test_gateways_key_is_put_in_place_of_the_agents(start: Start, provider: FarEnd) -> None:
    """The SDK's `api_key` is the agent key, wherever that SDK puts it."""
    gateway = start(
        {
            "agent_keys.worker": {"key_env": "WORKER_KEY"},
            "providers.openai": {"proxy_key": "gateway"},
            "providers.anthropic": {"proxy_key": "gateway"},
        },
        WORKER_KEY=AGENT_KEY,
    )
    openai = await passed_on(
        gateway, provider, "/proxy/openai/v1/x", {"authorization": f"Bearer {AGENT_KEY}"}
    )
    assert ("authorization", f"Bearer {API_KEYS['OPENAI_API_KEY']}") in openai
    claude = await passed_on(gateway, provider, "/proxy/anthropic/v1/x", {"x-api-key": AGENT_KEY})
    assert ("x-api-key", API_KEYS["ANTHROPIC_API_KEY"]) in claude
    odd = {"x-midstream-key": AGENT_KEY, "api-key": AGENT_KEY, "x-note": "kept"}
    azure = await passed_on(gateway, provider, "/proxy/openai/v1/x", odd)
    assert ("x-note", "kept") in azure
    assert AGENT_KEY not in json.dumps([openai, claude, azure])
    for wrong in ({}, {"authorization": "Bearer other"}, {"x-api-key": "other"}):
        for name in ("openai", "anthropic"):
            status, error = await refused(gateway, f"/proxy/{name}/v1/x", wrong)
            assert (status, error["code"]) == (401, "unauthorized")
    said = gateway.process.output()
    assert not [key for key in (AGENT_KEY, *API_KEYS.values()) if key in said]


async def test_session_of_somebody_else_does_not_exist(start: Start, provider: FarEnd) -> None:
    """Before anything goes to the provider, and with no word of it."""
    gateway = start({"agent_keys.worker": {"key_env": "WORKER_KEY"}}, WORKER_KEY=AGENT_KEY)
    body = {"messages": [{"role": "user", "content": "hi"}]}
    answered = b'{"id":"c","choices":[{"message":{"content":"yes"},"finish_reason":"stop"}]}'

    async def call(user: str) -> tuple[int, Any]:
        headers = {"x-midstream-key": AGENT_KEY, "x-midstream-session": "mine"}
        async with gateway.at.request(
            "POST",
            "/proxy/openai/v1/chat/completions",
            body,
            headers={**headers, "x-midstream-user": user, "authorization": "Bearer k"},
        ) as response:
            return response.status, await response.json()

    calling = asyncio.create_task(call("alice"))
    await (await provider.next()).answer(
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(answered), answered)
    )
    assert await calling == (200, json.loads(answered))
    status, refused_body = await call("bob")
    assert (status, refused_body["error"]["code"]) == (404, "session_not_found")
    assert provider.arrived.empty()
