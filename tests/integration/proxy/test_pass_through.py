"""The proxy's bytes, headers and endings; nothing is added, held or changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.wire import ConnectionLost

if TYPE_CHECKING:
    from tests.integration.proxy.conftest import Start
    from tests.support.far_end import FarEnd
    from tests.support.gateway import GatewayProcess

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"
"""A connection for each request: the far end reads one."""


async def test_caller_gets_the_providers_bytes_and_headers(
    gateway: GatewayProcess, provider: FarEnd
) -> None:
    """Also a body that is compressed, an unusual header, and values that are no ASCII."""
    body = b"\x1f\x8b\x08\0 not even gzip."
    kept = (
        b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nX-Request-ID: req_1\r\n"
        b"set-cookie: a=1\r\nset-cookie: b=2\r\nx-odd: \xc3\xa9\xff\r\nContent-Length: 19\r\n"
    )
    hop = b"Connection: close, x-hop\r\nx-hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.at.port)
    writer.write(b"GET /proxy/openai/v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    await (await provider.next()).answer(b"HTTP/1.1 200 OK\r\n" + kept + hop + body)
    head = await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(19) == body
    writer.close()

    line, date, headers = head.split(b"\r\n", 2)
    assert (line, date[:6]) == (b"HTTP/1.1 200 OK", b"date: ")
    # uvicorn writes names in lower case, which mean the same.
    sent = [line.split(b": ", 1) for line in kept.split(b"\r\n")[:-1]]
    assert headers.split(b"\r\n") == [*(b": ".join((n.lower(), v)) for n, v in sent), b"", b""]


async def test_provider_gets_the_callers_request_and_nothing_of_ours(
    gateway: GatewayProcess, provider: FarEnd
) -> None:
    """Its own key, its headers in their order, its body to the byte; no cookie."""
    sent = {
        "authorization": "Bearer sk-mine",
        "x-stainless-lang": "python",
        "x-midstream-user": "alice",
        "cookie": "sid=1",
        "connection": "keep-alive, x-hop",
        "x-hop": "1",
        "x-forwarded-for": "10.0.0.1",
        "te": "trailers",
        "openai-beta": "assistants=v2",
    }
    body = b'{"odd":  "\xff"}'
    path = "/proxy/openai/v1/files/f-1:x/content?a=%2F..&b=1"

    async with asyncio.TaskGroup() as tasks:

        async def call() -> None:
            async with gateway.at.request("POST", path, body, headers=sent) as response:
                assert await response.body() == b"ok"

        tasks.create_task(call())
        arrived = await provider.next()
        await arrived.receive(body)
        await arrived.answer(OK + b"content-length: 2\r\n\r\nok")

    assert arrived.line == "POST /v1/files/f-1:x/content?a=%2F..&b=1 HTTP/1.1"
    names = [name for name, _ in arrived.headers]
    assert sorted(names) == sorted(
        [
            "host",
            "content-type",
            "content-length",
            "x-ai-sdk-version",
            "authorization",
            "x-stainless-lang",
            "openai-beta",
        ]
    )
    assert arrived.header("host") == f"127.0.0.1:{provider.port}"
    assert arrived.header("authorization") == "Bearer sk-mine"
    assert arrived.received == body


async def test_each_piece_passes_before_the_next_one_is_sent(
    gateway: GatewayProcess, provider: FarEnd
) -> None:
    """In both directions: half an event, or half an upload, is not held back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.at.port)
    head = (
        "POST /proxy/openai/v1/x HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    for piece in (b"one", b"two"):
        writer.write(b"3\r\n%b\r\n" % piece)
        if piece == b"one":
            arrived = await provider.next()
        await arrived.receive(b"3\r\n%b\r\n" % piece)
    writer.write(b"0\r\n\r\n")
    await arrived.receive(b"0\r\n\r\n")
    assert arrived.header("transfer-encoding") == "chunked"

    await arrived.answer(
        OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    got = await reader.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in got.lower()
    for piece in (b"data: ha", b"lf\n", b"\n"):
        await arrived.answer(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert await reader.readexactly(len(piece) + 5) == b"%x\r\n%b\r\n" % (len(piece), piece)
    await arrived.answer(b"0\r\n\r\n")
    assert await reader.readexactly(5) == b"0\r\n\r\n"
    writer.close()


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 529])
async def test_status_comes_back_as_it_is(
    gateway: GatewayProcess, provider: FarEnd, status: int
) -> None:
    """A redirect is returned, not followed; an error is not dressed up."""
    head = (
        b"HTTP/1.1 %d X\r\nconnection: close\r\nlocation: http://169.254.169.254/\r\n"
        b"retry-after: 7\r\n" % status
    )

    async def answer() -> None:
        await (await provider.next()).answer(head + b"content-length: 4\r\n\r\nbody")

    answering = asyncio.create_task(answer())
    async with gateway.at.request("DELETE", "/proxy/anthropic/v1/x") as response:
        assert (response.status, await response.body()) == (status, b"body")
        assert response.headers["retry-after"] == "7"
        assert response.headers["location"] == "http://169.254.169.254/"
    await answering
    assert provider.arrived.empty()


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize(
    "framing",
    [b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b"content-length: 50\r\n\r\nhello"],
)
async def test_broken_answer_is_broken_off(
    gateway: GatewayProcess, provider: FarEnd, framing: bytes, ending: str
) -> None:
    """The received bytes are passed on, and the cut stays visible."""

    async def answer() -> None:
        arrived = await provider.next()
        await arrived.answer(OK + framing)
        await passed.wait()
        getattr(arrived, ending)()

    passed = asyncio.Event()
    answering = asyncio.create_task(answer())
    got = b""
    with pytest.raises(ConnectionLost):
        async with gateway.at.request("GET", "/proxy/anthropic/v1/x") as response:
            async for piece in response.pieces():
                got += piece
                passed.set()
    await answering
    assert got == b"hello"


async def test_caller_that_leaves_takes_the_providers_connection_along(
    gateway: GatewayProcess, provider: FarEnd
) -> None:
    """Before the answer has begun, and in its middle."""
    for begun in (False, True):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.at.port)
        writer.write(b"GET /proxy/openai/v1/x HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        arrived = await provider.next()
        if begun:
            await arrived.answer(OK + b"content-length: 50\r\n\r\nhello")
            await reader.readuntil(b"hello")
        writer.transport.abort()
        await asyncio.wait_for(arrived.until_closed(), 30)


async def test_caller_that_leaves_in_its_upload_takes_the_connection_along(
    gateway: GatewayProcess, provider: FarEnd
) -> None:
    """The provider sees a request that broke off, never one that seems complete."""
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.at.port)
    writer.write(
        b"POST /proxy/openai/v1/files HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99\r\n\r\n"
    )
    writer.write(b"half")
    arrived = await provider.next()
    await arrived.receive(b"half")
    writer.transport.abort()
    await asyncio.wait_for(arrived.until_closed(), 30)


async def test_provider_that_is_not_there_is_told_in_its_own_shape(start: Start) -> None:
    """502, with a sentence, which both SDKs try again."""
    nowhere = "http://127.0.0.1:1"
    gateway = start(
        {"providers.anthropic": {"base_url": nowhere}, "providers.openai": {"base_url": nowhere}}
    )
    for name in ("anthropic", "openai"):
        status, body = await gateway.at.call("POST", f"/proxy/{name}/v1/x", {})
        assert status == 502
        assert body["error"]["code"] == "provider_unavailable"
        assert "unable to reach" in body["error"]["message"]
        assert body["error"]["type"] == ("api_error" if name == "anthropic" else "server_error")


async def test_provider_that_does_not_begin_is_given_up(start: Start, provider: FarEnd) -> None:
    """502, and its connection is closed."""
    gateway = start({"providers.openai": {"first_byte_timeout_s": 1.0}})
    status, body = await gateway.at.call("GET", "/proxy/openai/v1/x")

    assert (status, body["error"]["code"]) == (502, "provider_unavailable")
    await asyncio.wait_for((await provider.next()).until_closed(), 30)


async def test_provider_that_falls_silent_is_given_up(start: Start, provider: FarEnd) -> None:
    """Its answer is broken off."""
    gateway = start({"providers.openai": {"between_bytes_timeout_s": 1.0}})

    async def answer() -> None:
        await (await provider.next()).answer(OK + b"content-length: 50\r\n\r\nhello")

    answering = asyncio.create_task(answer())
    with pytest.raises(ConnectionLost):
        async with gateway.at.request("GET", "/proxy/openai/v1/x") as response:
            await response.body()
    await answering


async def test_head_has_no_body_and_keeps_its_length(
    gateway: GatewayProcess, provider: FarEnd
) -> None:
    """The length is that of the body which GET would bring."""

    async def answer() -> None:
        await (await provider.next()).answer(OK + b"content-length: 1234\r\n\r\n")

    answering = asyncio.create_task(answer())
    async with gateway.at.request("HEAD", "/proxy/openai/v1/x") as response:
        assert (response.status, response.headers["content-length"]) == (200, "1234")
    await answering
