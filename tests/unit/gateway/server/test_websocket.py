"""A WebSocket whose frames are not what they should be is closed, without a traceback."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from midstream.server.websocket import MAX_FRAGMENTS, MAX_UNREAD_PONGS, GuardedWebSocketProtocol
from tests.support.processes import eventually
from tests.unit.gateway.server.served import LIMIT_S, WHOLE, refusal_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.gateway.server.served import Served

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[ClientConnection]:
    """Open a socket."""
    async with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as socket:
        yield socket


def flush(socket: ClientConnection) -> None:
    """Send what was put in by hand."""
    socket.transport.write(b"".join(socket.protocol.data_to_send()))


async def close_code(socket: ClientConnection) -> int | None:
    """Return the code that the server closes with."""
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(LIMIT_S):
            await socket.recv()
    return closed.value.rcvd.code if closed.value.rcvd else None


async def test_text_that_is_not_utf8_closes_the_socket(caplog: pytest.LogCaptureFixture) -> None:
    """1007 (RFC 6455 §8.1), and one line in the log."""
    caplog.set_level(logging.INFO)
    async with serving() as served, connected(served) as socket:
        socket.protocol.send_text(b"\xff\xfe")
        flush(socket)

        assert await close_code(socket) == 1007
        assert not any(record.exc_info for record in caplog.records)


async def test_character_cut_between_frames_is_utf8() -> None:
    """The message counts, not its frames."""
    async with serving() as served, connected(served) as socket:
        socket.protocol.send_text(b"\xc3", fin=False)
        socket.protocol.send_continuation(b"\xa9", fin=True)
        flush(socket)
        pong = await socket.ping()

        async with asyncio.timeout(LIMIT_S):
            await pong


async def test_message_of_frames_without_end_closes_the_socket() -> None:
    """1009: empty frames cost memory too."""
    async with serving() as served, connected(served) as socket:
        socket.protocol.send_text(b"", fin=False)
        for _ in range(MAX_FRAGMENTS):
            socket.protocol.send_continuation(b"", fin=False)
        flush(socket)

        assert await close_code(socket) == 1009


@pytest.mark.parametrize("cut", ["in a frame", "between frames"])
async def test_message_that_does_not_end_closes_the_socket(cut: str) -> None:
    """1008, at the deadline of a body: what has come of it is kept until then."""
    async with serving(body_deadline_s=0.05) as served, connected(served) as socket:
        await (await socket.ping())
        socket.protocol.send_text(b"hello", fin=False)
        frame = b"".join(socket.protocol.data_to_send())
        socket.transport.write(frame[:-2] if cut == "in a frame" else frame)

        assert await close_code(socket) == 1008


async def test_message_that_comes_whole_has_no_deadline() -> None:
    """A socket that is silent afterwards stays."""
    async with serving(body_deadline_s=0.05) as served, connected(served) as socket:
        socket.protocol.send_text(b"hel", fin=False)
        flush(socket)
        socket.protocol.send_continuation(b"lo", fin=True)
        flush(socket)
        await (await socket.ping())
        (connection,) = served.state.connections
        assert isinstance(connection, GuardedWebSocketProtocol)

        connection.look(asyncio.get_running_loop().time() + 1000, 1.0)
        await (await socket.ping())


async def test_client_that_pings_and_takes_no_answers_is_dropped() -> None:
    """Its pongs would pile up here."""
    async with serving() as served, connected(served) as socket:
        await eventually(lambda: bool(served.state.connections), "open")
        (connection,) = served.state.connections
        connection.pause_writing()
        for number in range(MAX_UNREAD_PONGS + 1):
            socket.protocol.send_ping(b"%d" % number)
        flush(socket)

        assert await close_code(socket) is None


async def test_socket_counts_as_a_connection_until_it_is_gone() -> None:
    """It began as an HTTP request, and is one connection all the same."""
    async with serving(max_connections=1) as served:
        async with connected(served):
            assert refusal_of(await served.ask(WHOLE)) == (503, "too_many_connections")
        await eventually(lambda: not served.state.connections, "gone")

        assert (await served.ask(WHOLE)).startswith(b"HTTP/1.1 200 OK")
