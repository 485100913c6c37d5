"""A closed client holds no socket, whatever was in flight."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from midstream.client import MidstreamSync
from midstream.client.wire import Gateways, Stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio

CLAIMED = b'{"runId":"r","messageId":"m","outcome":"finished"}'
"""Answers a claim: the run has ended before."""

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(CLAIMED),
    CLAIMED,
)

MOST_TURNS = 400
"""More turns of the event loop than a request takes here."""


@contextmanager
def no_socket_is_left() -> Iterator[None]:
    """Fail if a transport is collected, within the block or after it, that was not closed."""
    gc.collect()
    with warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(each.message) for each in noticed] == []


@asynccontextmanager
async def a_gateway(held: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Answer every request, or hold it and set the event; yield the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while await reader.read(65536):
                    if held is None:
                        writer.write(ANSWER)
                        await writer.drain()
                    else:
                        held.set()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


async def was_answered(url: str, turns: int) -> bool:
    """Close a client when its request is `turns` turns old; return whether it had ended then."""
    gateways = Gateways([url], None, outage_limit_s=20)
    await gateways.open()
    asked = asyncio.create_task(gateways.post("/x", b"{}", Stored, user=None))
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = asked.done()
    await gateways.close()
    try:
        await asked
    except RuntimeError as error:
        assert str(error).startswith("the client is not open")
        assert not ended
    return ended


async def test_client_closed_at_any_moment_of_a_request_leaves_no_socket() -> None:
    """While it connects, sends, waits or reads: at every turn of the event loop."""
    turns = 0
    with no_socket_is_left():
        async with a_gateway() as url:
            while not await was_answered(url, turns):
                turns += 1
                assert turns < MOST_TURNS
    assert turns > 3, "the request had no moment between its begin and its answer"


async def test_client_closed_while_its_request_is_held_ends_it() -> None:
    """A renewal that a gateway holds does not delay the close."""
    held = asyncio.Event()
    with no_socket_is_left():
        async with a_gateway(held) as url:
            gateways = Gateways([url], None, outage_limit_s=20)
            await gateways.open()
            renewing = asyncio.create_task(
                gateways.post("/x", b"", Stored, user=None, held_s=3_600)
            )
            await held.wait()
            await gateways.close()
            with pytest.raises(RuntimeError, match="the client is not open"):
                await renewing


async def test_cancelled_caller_of_a_closed_client_stays_cancelled() -> None:
    """The close does not replace the caller's own cancellation by an error."""
    held = asyncio.Event()
    async with a_gateway(held) as url:
        gateways = Gateways([url], None, outage_limit_s=20)
        await gateways.open()
        asking = asyncio.create_task(gateways.post("/x", b"", Stored, user=None))
        await held.wait()
        asking.cancel()
        await gateways.close()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_call_that_comes_while_a_client_closes_opens_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of another thread would make connections that nothing closes."""
    close = Gateways.close

    def enter() -> None:
        with pytest.raises(RuntimeError, match="the client is not open"):
            late.__enter__()

    async def close_and_call(gateways: Gateways) -> None:
        await close(gateways)
        await asyncio.to_thread(enter)

    def use_and_close() -> None:
        with client, client.run("s", key="first", text="Go."):
            pass

    monkeypatch.setattr(Gateways, "close", close_and_call)
    with no_socket_is_left():
        async with a_gateway() as url:
            client = MidstreamSync(url).open()
            late = client.run("s", key="late", text="Go.")
            await asyncio.to_thread(use_and_close)
    assert not [each for each in threading.enumerate() if each.name == "midstream client"]
