"""The streaming shell: what is written when, and how a stream ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from midstream.aio.idle_timeout import IdleTimeout
from midstream.api.streaming.exchange import Exchange
from midstream.api.streaming.stream_response import (
    FEED_EVENTS,
    PLAIN_TEXT,
    RUN_EVENTS,
    StreamCutError,
    StreamResponse,
)
from midstream.errors import DrainingError
from midstream.protocol.chunks import FinishChunk
from midstream.sessions.types import Idle
from tests.unit.gateway.api.fakes import FakeReader, batch, http_scope

pytestmark = pytest.mark.anyio

DEADLINE_S = 0.02


class Client:
    """The client's side of the server's interface."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.gone = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        self.changed.set()
        await self.takes.wait()

    async def has_sent(self, count: int) -> None:
        while len(self.sent) < count:
            self.changed.clear()
            async with asyncio.timeout(30):
                await self.changed.wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def complete(self) -> bool:
        return not self.sent[-1].get("more_body", True)


def stream(
    reader: FakeReader,
    framing: Any = RUN_EVENTS,
    encode: Any = None,
    expires_at: float | None = None,
) -> StreamResponse[Any]:
    return StreamResponse(
        reader,
        encode or (lambda item: f"<{item}>".encode()),
        framing,
        headers={"x-midstream-run-id": "run_1"},
        deadline=IdleTimeout(DEADLINE_S if framing is FEED_EVENTS else 30),
        kind="run",
        expires_at=expires_at,
    )


async def serve(response: StreamResponse[Any], client: Client) -> None:
    async with asyncio.timeout(30):
        await response(http_scope("GET", "/"), client.receive, client.send)


async def test_stream_writes_head_and_a_comment_before_the_first_item() -> None:
    """A client sees the headers and a first byte while the model is still silent."""
    client, first_token = Client(), asyncio.Event()
    task = asyncio.create_task(serve(stream(FakeReader([first_token, "a"])), client))
    await client.has_sent(2)
    assert client.sent[0]["status"] == 200
    assert (b"x-midstream-run-id", b"run_1") in client.sent[0]["headers"]
    assert client.body == b":\n\n"
    first_token.set()
    await task


async def test_stream_ends_with_done_when_its_reader_ends() -> None:
    """The last bytes are `[DONE]`, and the response is complete."""
    client = Client()
    await serve(stream(FakeReader(["a", "b"])), client)
    assert client.body == b":\n\n<a><b>data: [DONE]\n\n"
    assert client.complete


async def test_stream_writes_a_comment_when_nothing_came() -> None:
    """A heartbeat is a comment, never a chunk."""
    client = Client()
    await serve(stream(FakeReader(["a", Idle.HEARTBEAT])), client)
    assert client.body == b":\n\n<a>:\n\ndata: [DONE]\n\n"


async def test_text_stream_writes_nothing_but_text() -> None:
    """Plain text has neither comments nor `[DONE]`."""
    client = Client()
    await serve(stream(FakeReader(["a", Idle.HEARTBEAT, "b"]), PLAIN_TEXT), client)
    assert client.body == b"<a><b>"
    assert client.complete


async def test_stream_leaves_its_reader_when_the_client_disconnects() -> None:
    """A silent stream notices a lost client, and lets go of what it held."""
    client, reader = Client(), FakeReader([asyncio.Event()])
    task = asyncio.create_task(serve(stream(reader), client))
    await client.has_sent(2)
    client.gone.set()
    await task
    assert reader.exited
    assert not client.complete


async def test_stream_breaks_off_when_the_gateway_drains() -> None:
    """A live run's response never ends cleanly: to a client that would be success."""
    client = Client()
    await serve(stream(FakeReader(["a", DrainingError("shutting down")])), client)
    assert client.body == b":\n\n<a>"
    assert not client.complete


async def test_stream_breaks_off_after_the_last_bytes_when_its_encoder_says_so() -> None:
    """A failed run in an encoding without errors: its text, then no clean end."""

    def encode(item: str) -> bytes:
        raise StreamCutError(b"partial")

    client = Client()
    await serve(stream(FakeReader(["a"]), PLAIN_TEXT, encode), client)
    assert client.body == b"partial"
    assert not client.complete


async def test_stream_leaves_a_client_that_takes_nothing() -> None:
    """A write over its deadline ends the stream; an idle reader is not affected."""
    client, reader = Client(), FakeReader(["a"])
    client.takes.clear()
    response = StreamResponse(
        reader,
        lambda item: b"x",
        RUN_EVENTS,
        headers={},
        deadline=IdleTimeout(DEADLINE_S),
        kind="run",
    )

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            client.sent.append(message)
        else:
            await client.send(message)

    async with asyncio.timeout(30):
        await response(http_scope("GET", "/"), client.receive, send)
    assert reader.exited
    assert len(client.sent) == 2


async def test_feed_ends_with_its_token_and_says_so() -> None:
    """Cleanly, so that its reader comes again at once; what it has not had is there then."""
    client, reader = Client(), FakeReader(["a", asyncio.Event(), "never"])

    await serve(stream(reader, FEED_EVENTS, expires_at=time.time() + 0.5), client)

    assert client.body == b":\n\n<a>" + b'event: closed\ndata: {"code":"token_expired"}\n\n'
    assert client.complete
    assert reader.exited


async def test_feed_outlives_a_token_that_is_far_from_its_end() -> None:
    """As one without: no timer holds so long a time."""
    for expires_at in (None, time.time() + 1e12):
        client = Client()
        await serve(stream(FakeReader(["a"]), FEED_EVENTS, expires_at=expires_at), client)
        assert client.body == b":\n\n<a>"


async def test_stream_keeps_an_idle_reader_longer_than_the_write_deadline() -> None:
    """Silence of the model is not slowness of the client."""
    client, token = Client(), asyncio.Event()
    task = asyncio.create_task(serve(stream(FakeReader([token, "a"]), FEED_EVENTS), client))
    await asyncio.sleep(DEADLINE_S * 3)
    assert not task.done()
    token.set()
    await task
    assert client.body == b":\n\n<a>"


async def test_stream_leaves_its_body_for_when_the_routes_have_returned() -> None:
    """Wrappers of `send` see only the head, and their frames are gone while the stream is open."""
    client, wrapped = Client(), Client()
    exchange = Exchange(client.receive, client.send)
    scope = exchange.scope_for_routes(http_scope("GET", "/"), "GET")
    await stream(FakeReader(["a"]))(scope, wrapped.receive, wrapped.send)
    assert [message["type"] for message in wrapped.sent] == ["http.response.start"]
    assert client.sent == []
    assert exchange.body is not None
    await exchange.body.write(exchange.receive, exchange.send)
    assert client.body == b":\n\n<a>data: [DONE]\n\n"


async def test_stream_lets_go_of_its_reader_when_its_head_cannot_be_written() -> None:
    """Nobody else would: the reader was handed out to it."""
    reader = FakeReader([batch(0, FinishChunk())])

    async def send(_: Any) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await stream(reader)(http_scope("GET", "/"), Client().receive, send)
    assert reader.exited
