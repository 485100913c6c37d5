"""Clients that send too much, or never all of it, are refused; others notice nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.sessions import Session, Transcript, new_chat_id
from tests.support.websocket import open_socket
from tests.support.wire import READ_LIMIT_S

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment
    from tests.support.wire import Endpoint

pytestmark = pytest.mark.anyio

HEAD: Final = b" HTTP/1.1\r\nhost: 127.0.0.1\r\n"
POST: Final = b"POST /api/chat" + HEAD
REFUSED: Final = {
    "head of 40 kB": (431, b"GET /livez" + HEAD + b"x-long: " + b"a" * 40_960 + b"\r\n\r\n"),
    "120 fields": (
        431,
        b"GET /livez" + HEAD + b"".join(b"x-%d: 1\r\n" % each for each in range(120)) + b"\r\n",
    ),
    "a trailer": (
        400,
        POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-late: 1\r\n\r\n",
    ),
    "half a head": (408, b"GET /livez HTTP/1.1\r\nhost: 127"),
    "half a body": (408, POST + b"content-length: 100\r\n\r\n{"),
}
HALF_SENT: Final = (
    b"GET /livez HTTP/1.1\r\nhost: 127",
    POST + b"content-length: 100\r\n\r\n{",
    POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    b"POST /proxy/simulator/v1/messages" + HEAD + b"content-length: 100\r\n\r\n{",
)


class Sent:
    """A connection on which bytes were sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, at: Endpoint, data: bytes) -> Sent:
        """Connect, and send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(data)
        await writer.drain()
        return cls(reader, writer)

    async def status(self) -> int:
        """Return the status of the answer that the connection ends with."""
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                return int((await self._reader.read()).split(b" ")[1])
        finally:
            self._writer.close()


async def status_of(at: Endpoint, data: bytes) -> int:
    """Send bytes on a new connection; return the status that they are answered with."""
    return await (await Sent.to(at, data)).status()


async def test_reader_beside_unkind_clients_notices_nothing(own_deployment: Deployment) -> None:
    """Every bad request has its status while an answer streams; every chunk of it arrives."""
    deadlines: dict[str, object] = {"head_deadline_s": 2.0, "body_deadline_s": 2.0}
    at = own_deployment.add_gateway({"connections": deadlines}).at
    answer = own_deployment.simulator.held(tokens=5)
    session, seen = Session(at, new_chat_id()), Transcript()

    async with session.sending(answer.question) as response:
        events = seen.follow(response)
        await anext(events)
        async with asyncio.TaskGroup() as tasks:
            asked = {
                name: tasks.create_task(status_of(at, sent)) for name, (_, sent) in REFUSED.items()
            }
        await answer.release()
        async for _ in events:
            pass

    assert {name: task.result() for name, task in asked.items()} == {
        name: status for name, (status, _) in REFUSED.items()
    }
    assert seen.chunks[-1]["finishReason"] == "stop"
    assert seen.sequences == list(range(len(seen.chunks)))


async def test_shutdown_beside_half_sent_requests_leaves_no_traceback(
    own_deployment: Deployment,
) -> None:
    """They get a temporary error; nor does a frame that is not UTF-8 leave a traceback."""
    gateway = own_deployment.add_gateway()
    async with open_socket(gateway.at) as socket:
        socket.connection.protocol.send_text(b"\xff\xfe")
        socket.connection.transport.write(b"".join(socket.connection.protocol.data_to_send()))
        assert await socket.wait_closed() == 1007
    halves = [await Sent.to(gateway.at, sent) for sent in HALF_SENT]
    # Sent after theirs: once it is answered, theirs were read.
    assert await status_of(gateway.at, b"GET /livez" + HEAD + b"connection: close\r\n\r\n") == 200

    gateway.terminate()

    assert [await half.status() for half in halves] == [503] * len(halves)
    assert gateway.process.wait_exit() == 0
    assert "raceback" not in gateway.process.output()
