"""Addresses at which something else than a gateway answers, or nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from midstream.client import Midstream, NotAGatewayError, RefusedError, UnavailableError
from midstream.client.hangups import TRIES
from tests.support.processes import eventually, free_port
from tests.support.proxy import faulty_proxy
from tests.support.push import AGENT_KEY, answer_of
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.fixtures import Deployment
    from tests.support.sessions import Session

pytestmark = pytest.mark.anyio

PAGE: Final = b"content-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"
OTHER_JSON: Final = (
    b'content-type: application/json\r\ncontent-length: 22\r\n\r\n{"detail":"Not Found"}'
)
PATIENCE_S: Final = 600.0
"""Limit of an outage. Errors that a test waits for come at once."""


def http(head: str, rest: bytes = PAGE) -> bytes:
    """An answer of a web server."""
    return f"HTTP/1.1 {head}\r\n".encode() + rest


@asynccontextmanager
async def answering(data: bytes, served: asyncio.Event | None = None) -> AsyncIterator[int]:
    """A server that answers everything with the same bytes; yields its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(data)
        await writer.drain()
        writer.close()
        if served is not None:
            served.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def claim(url: str, outage_limit_s: float) -> None:
    """Begin a run there."""
    async with Midstream(url, outage_limit_s=outage_limit_s) as client:
        await client.run("c", key="job", text="Go.").open()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (http("200 OK"), "the status 200 and text/html"),
        (http("200 OK", OTHER_JSON), "the status 200 and application/json"),
        (http("404 Not Found"), "the status 404 and text/html"),
        (http("404 Not Found", OTHER_JSON), "the status 404 and application/json"),
        (http("405 Method Not Allowed", b"content-length: 0\r\n\r\n"), "the status 405"),
        (http("501 Unsupported method ('POST')"), "the status 501"),
        (http("401 Unauthorized"), "the status 401"),
        (http("302 Found", b"location: /sign-in\r\n" + PAGE), "redirects to /sign-in"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "does not answer in HTTP"),
    ],
)
async def test_what_is_no_gateway_is_named_at_once(data: bytes, said: str) -> None:
    """With what answered there, and not after an outage has been waited out."""
    async with answering(data) as port:
        with pytest.raises(NotAGatewayError, match=r"^unable to find a gateway") as raised:
            await claim(f"http://127.0.0.1:{port}", PATIENCE_S)
    assert said in raised.value.message


async def test_address_that_speaks_no_tls_is_named_at_once() -> None:
    """An https:// that should be an http://."""
    async with answering(http("400 Bad Request")) as port:
        with pytest.raises(NotAGatewayError, match="does not speak TLS"):
            await claim(f"https://127.0.0.1:{port}", PATIENCE_S)


@pytest.mark.parametrize(
    "data",
    [
        http("502 Bad Gateway"),
        http("503 Service Unavailable"),
        http("522 Connection Timed Out"),
        http("200 OK", b"content-type: application/json\r\ncontent-length: 9\r\n\r\n{"),
    ],
)
async def test_server_that_says_later_is_asked_again(data: bytes) -> None:
    """It may stand in front of a gateway that starts; in the end it is named."""
    async with answering(data) as port:
        with pytest.raises(UnavailableError, match=r"^unable to reach a gateway; \S"):
            await claim(f"http://127.0.0.1:{port}", 0.2)


async def test_redis_is_no_gateway(pushed: Deployment) -> None:
    """It hangs up on what speaks HTTP, as PostgreSQL and a TLS server do, and says nothing."""
    with pytest.raises(NotAGatewayError, match="hangs up on requests"):
        await claim(f"http://127.0.0.1:{pushed.redis.port}", PATIENCE_S)


async def test_forwarder_is_asked_until_its_gateway_has_come(
    pushed: Deployment, session: Session
) -> None:
    """It hangs up while there is none: on every connection, and on nothing that was said."""
    async with (
        faulty_proxy(free_port()) as proxy,
        Midstream(f"http://127.0.0.1:{proxy.port}", key=AGENT_KEY) as client,
        asyncio.TaskGroup() as tasks,
    ):

        async def write() -> None:
            async with client.run(session.id, key="job", text="Go.") as run:
                await run.text("At last.")

        tasks.create_task(write())
        tries = 2 * (TRIES + 1)
        await eventually(lambda: proxy.connections > tries, "it is asked again and again", 60)
        proxy.move_to(pushed.gateways[0].at.port)
    assert text_of(await answer_of(session)) == "At last."


async def test_nobody_and_no_address_are_named() -> None:
    """Neither a traceback of the HTTP library's nor a wait without end."""
    with pytest.raises(ValueError, match="http://"):
        Midstream("localhost:8000")
    with pytest.raises(UnavailableError):
        await claim("http://127.0.0.1:1", 0.2)
    with pytest.raises(RuntimeError, match="async with"):
        await Midstream("http://127.0.0.1:1").run("c", key="job", text="Go.").open()


@pytest.mark.parametrize(
    "data", [http("404 Not Found"), http("200 OK"), http("503 Service Unavailable")]
)
async def test_page_in_the_place_of_a_gateway_that_was_there_loses_nothing(
    pushed: Deployment, session: Session, data: bytes
) -> None:
    """A load balancer's, while the gateway restarts: the run goes on when it is back."""
    at = pushed.gateways[0].at.url
    served = asyncio.Event()
    async with (
        answering(data, served) as port,
        Midstream(at, key=AGENT_KEY) as client,
        client.run(session.id, key="job", text="Go.") as run,
    ):
        await run.text("Before, ")
        await run.flush()
        client._gateways._urls[0] = f"http://127.0.0.1:{port}"
        await run.text("and after.")
        await served.wait()
        client._gateways._urls[0] = at
        await run.flush()
    assert text_of(await answer_of(session)) == "Before, and after."


async def test_request_that_a_server_before_the_gateway_refuses_is_told_as_refused(
    pushed: Deployment, session: Session
) -> None:
    """A body that is too large for it, for example, will not be smaller later."""
    at = pushed.gateways[0].at.url
    async with answering(http("413 Too Large")) as port, Midstream(at, key=AGENT_KEY) as client:
        with pytest.raises(RefusedError, match="the status 413 and text/html"):
            async with client.run(session.id, key="job", text="Go.") as run:
                client._gateways._urls[0] = f"http://127.0.0.1:{port}"
                await run.text("More.")
                await run.flush()
