"""The direct way to a client, with uvicorn itself: when there is one, and what it writes.

These tests fail when uvicorn's response cycle takes another shape than `direct_write` reads.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from midstream.api.streaming.direct_write import direct_write
from tests.unit.gateway.server.served import LIMIT_S, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.unit.gateway.server.served import Raw

pytestmark = pytest.mark.anyio

MANY: Final = 10_000
"""So many writes of 10 kB are more than all buffers hold of what a client does not read."""


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: their transports are not the same."""
    return "asyncio", {"use_uvloop": request.param}


class Exchange(NamedTuple):
    """A response under way, its head sent."""

    write: Callable[[bytes], bool] | None
    send: Any


def unchanged(item: bytes) -> bytes:
    """The items here are bytes."""
    return item


class Streaming:
    """An ASGI application with one response, whose body the test writes."""

    def __init__(self, *headers: tuple[bytes, bytes], wrapped: bool = False) -> None:
        self._headers = headers
        self._wrapped = wrapped
        self.begun: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    async def __call__(self, _: Any, receive: Any, send: Any) -> None:
        own = send

        async def wrapper(message: Any) -> None:
            await own(message)

        send = wrapper if self._wrapped else own
        await send({"type": "http.response.start", "status": 200, "headers": [*self._headers]})
        self.begun.set_result(Exchange(direct_write(send, unchanged), send))
        while (await receive())["type"] != "http.disconnect":
            pass
        self.ended.set()


@asynccontextmanager
async def streaming(
    request: bytes, *headers: tuple[bytes, bytes], wrapped: bool = False
) -> AsyncIterator[tuple[Exchange, Raw, Streaming]]:
    """Serve one response, for the length of a block."""
    app = Streaming(*headers, wrapped=wrapped)
    async with serving(app) as served, served.connected() as raw:
        await raw.send(request)
        async with asyncio.timeout(LIMIT_S):
            yield await app.begun, raw, app


def asking(method: str = "GET", version: str = "1.1", *fields: str) -> bytes:
    """A request."""
    return "\r\n".join([f"{method} / HTTP/{version}", "host: here", *fields, "", ""]).encode()


REQUESTS = {
    "HTTP/1.1": asking(),
    "HTTP/1.1, connection: close": asking("GET", "1.1", "connection: close"),
    "HTTP/1.0": asking("GET", "1.0"),
}


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
async def test_client_gets_the_same_bytes_whichever_way_they_are_written(
    request_bytes: bytes,
) -> None:
    """Direct writes and `send` may alternate; the response's end is `send`'s."""
    answers = []
    for wrapped in (False, True):
        async with streaming(request_bytes, wrapped=wrapped) as (exchange, raw, _):
            for body in (b"one", b"one", b"", b"three" * 1000):
                if exchange.write is None:
                    await exchange.send(
                        {"type": "http.response.body", "body": body, "more_body": True}
                    )
                else:
                    assert exchange.write(body)
                await exchange.send({"type": "http.response.body", "body": b"x", "more_body": True})
            await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})
            answers.append(await raw.read_until(b"\r\n0\r\n\r\n"))
        assert (exchange.write is None) == wrapped

    direct, sent = answers
    assert direct == sent
    assert b"\r\n\r\n3\r\none\r\n1\r\nx\r\n3\r\none\r\n1\r\nx\r\n1\r\nx\r\n1388\r\nthree" in direct


async def test_client_that_does_not_read_is_left_to_send() -> None:
    """From the moment at which `send` would wait; and no longer than that."""
    async with streaming(REQUESTS["HTTP/1.1, connection: close"]) as (exchange, raw, _):
        assert exchange.write is not None
        written = 0
        while exchange.write(b"x" * 10_000):
            written += 1
            assert written < MANY, "it never refuses"
            await asyncio.sleep(0)
        waiting = asyncio.ensure_future(
            exchange.send({"type": "http.response.body", "body": b"y", "more_body": True})
        )
        await asyncio.sleep(0)
        assert not waiting.done()

        reading = asyncio.ensure_future(raw.read_all())
        await waiting
        assert exchange.write(b"z")
        await exchange.send({"type": "http.response.body", "body": b"", "more_body": False})

        _, _, body = (await reading).partition(b"\r\n\r\n")
        assert body.count(b"x") == written * 10_000
        assert body.endswith(b"\r\n1\r\ny\r\n1\r\nz\r\n0\r\n\r\n")


async def test_client_that_has_left_is_written_nothing() -> None:
    """From the moment at which uvicorn knows."""
    async with streaming(asking()) as (exchange, raw, app):
        assert exchange.write is not None
        await raw.close()
        await app.ended.wait()
        assert not exchange.write(b"late")


async def test_item_that_cannot_be_encoded_is_left_to_send() -> None:
    """It raises where it is sent; the client has got nothing of it."""

    def fails(item: bytes) -> bytes:
        raise ValueError(item)

    async with streaming(asking()) as (exchange, raw, _):
        write = direct_write(exchange.send, fails)
        assert write is not None
        assert not write(b"one")
        await exchange.send({"type": "http.response.body", "body": b"two", "more_body": False})
        assert b"\r\n\r\n3\r\ntwo\r\n0\r\n\r\n" in await raw.read_until(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "headers"),
    [
        pytest.param(asking("HEAD"), [], id="HEAD"),
        pytest.param(asking(), [(b"content-length", b"3")], id="a length in the head"),
    ],
)
async def test_body_that_is_not_chunked_has_no_direct_way(
    request_bytes: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """`send` knows what to make of it."""
    async with streaming(request_bytes, *headers) as (exchange, _, _):
        assert exchange.write is None


async def test_direct_way_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of what happens without it hold for other servers, too."""
    monkeypatch.setattr("midstream.api.streaming.direct_write.enabled", False)
    async with streaming(asking()) as (exchange, _, _):
        assert exchange.write is None


class OtherCycle:
    """Another server's."""

    chunked_encoding = True

    async def send(self, message: Any) -> None:
        """Send a message."""


async def function(message: Any) -> None:
    """Send a message."""


@pytest.mark.parametrize("send", [OtherCycle().send, function], ids=["a method", "a function"])
async def test_other_servers_have_no_direct_way(send: Any) -> None:
    """Their `send` does all."""
    assert direct_write(send, unchanged) is None
