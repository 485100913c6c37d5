"""A body is read by call, and aiohttp and the SDKs have the shape that this takes."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import openai
import pytest
import uvloop
from aiohttp import StreamReader

from midstream.providers.stream.sse_step import STREAM_HEADERS
from midstream.providers.stream.tap import Body, body_of, read_by_call, whole_chunks
from tests.support.parsed_body import ParsedBody, chunked, stream_over, turns
from tests.support.relay import server_context
from tests.support.scripted import EOF, scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

SDKS: dict[str, Callable[[str], Any]] = {
    "anthropic": lambda url: anthropic.AsyncAnthropic(
        api_key="any", base_url=url, http_client=anthropic.DefaultAioHttpClient()
    ),
    "openai": lambda url: openai.AsyncOpenAI(
        api_key="any", base_url=url, http_client=openai.DefaultAioHttpClient()
    ),
}


def tapped(body: ParsedBody) -> Body:
    found = body_of(body.response)
    assert found is not None
    return found


class Reading:
    """A body that is read by call, and what came of it."""

    def __init__(self, body: ParsedBody, receive: Callable[[bytes], bool] | None = None) -> None:
        self.got: list[bytes] = []
        self.task = asyncio.create_task(read_by_call(tapped(body), receive or self._receive))

    def _receive(self, data: bytes) -> bool:
        self.got.append(data)
        return data != b"enough"


@asynccontextmanager
async def reading(
    receive: Callable[[bytes], bool] | None = None,
) -> AsyncIterator[tuple[ParsedBody, Reading]]:
    body = ParsedBody()
    begun = Reading(body, receive)
    try:
        await turns()
        yield body, begun
    finally:
        begun.task.cancel()
        await asyncio.gather(begun.task, return_exceptions=True)


@pytest.mark.parametrize("sdk", SDKS)
async def test_response_of_an_sdk_is_read_by_call(sdk: str) -> None:
    """This fails when aiohttp, httpx2 or the SDK takes another shape: see `tap.py`."""
    got: list[bytes] = []

    def receive(data: bytes) -> bool:
        got.append(data)
        return True

    async with scripted() as far_end, SDKS[sdk](far_end.url) as client:
        far_end.play("name", [b"data: a\n\n", 0.01, b"data: b\n\n", 0.01, EOF])
        response = await client.post(
            "/any",
            cast_to=httpx2.Response,
            body={"name": "name"},
            options={"headers": STREAM_HEADERS},
        )
        body = body_of(response)
        assert body is not None
        assert await read_by_call(body, receive) is None
        assert b"".join(got) == b"data: a\n\ndata: b\n\n"
        assert [data async for data in response.stream] == []
        await response.aclose()


async def test_chunks_of_one_network_read_are_one_call() -> None:
    """However the body is cut into chunks of HTTP's; halves of those are none."""
    async with reading() as (body, read):
        body.receive_raw(chunked(b"a") + chunked(b"b") + chunked(b"c")[:-3])
        await turns()
        body.receive_raw(b"c\r\n" + chunked(b"d")[:-1])
        await turns()
        body.receive_raw(b"\n")
        await turns()
        assert read.got == [b"ab", b"cd"]


async def test_what_came_before_is_read_first() -> None:
    """At once; the body's end may have come with it."""
    body = ParsedBody()
    body.receive(b"a")
    body.receive(b"b")
    body.end()
    read = Reading(body)
    assert await read.task is None
    assert read.got == [b"ab"]


async def test_end_that_comes_with_data_loses_none() -> None:
    """Both in one network read."""
    async with reading() as (body, read):
        body.receive_raw(chunked(b"a") + b"0\r\n\r\n")
        assert await read.task is None
        assert read.got == [b"a"]
        assert body.reader.at_eof()


@pytest.mark.parametrize("how", ["end", "lose"])
async def test_reading_stops_with_the_body(how: str) -> None:
    """Whether it ended or was lost, the iterator is the one to say."""
    async with reading() as (body, read):
        body.receive(b"a")
        await turns()
        getattr(body, how)()
        assert await read.task is None
        assert read.got == [b"a"]
        assert (body.reader.exception() is None) is (how == "end")


async def test_rest_is_for_who_reads_next() -> None:
    """Bytes after the last call are in the reader, and its own iterator continues with them."""
    async with reading() as (body, read):
        body.receive(b"enough")
        await turns()
        body.receive(b"rest")
        assert await read.task is None
        assert read.got == [b"enough"]
        stream = aiter(body.stream)
        assert await anext(stream) == b"rest"
        more = asyncio.ensure_future(anext(stream))
        await turns()
        body.receive(b"more")
        assert await more == b"more"


@pytest.mark.parametrize("at_once", [True, False])
async def test_cancelled_reading_receives_nothing_more(at_once: bool) -> None:
    """Not even bytes that come before its task runs again; the next reader gets them."""
    async with reading() as (body, read):
        read.task.cancel()
        if at_once:
            body.receive(b"a")
        with pytest.raises(asyncio.CancelledError):
            await read.task
        following = asyncio.ensure_future(anext(aiter(body.stream)))
        await turns()
        if not at_once:
            body.receive(b"a")
        assert await following == b"a"
        assert read.got == []


async def test_receiver_may_cancel_who_waits() -> None:
    """It is called no more, and nothing is reported to the loop."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    got: list[bytes] = []

    def receive(data: bytes) -> bool:
        got.append(data)
        read.task.cancel()
        return False

    async with reading(receive) as (body, read):
        body.receive(b"a")
        with pytest.raises(asyncio.CancelledError):
            await read.task
        body.receive(b"b")
        await turns()
    assert (got, reported) == ([b"a"], [])


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError, TimeoutError])
async def test_whatever_the_receiver_raises_is_returned(kind: type[BaseException]) -> None:
    """aiohttp's parser, which it would break, does not see it."""
    raised = kind("no more")

    def receive(data: bytes) -> bool:
        raise raised

    async with reading(receive) as (body, read):
        body.receive(b"a")
        assert await read.task is raised
        assert body.reader.exception() is None


async def test_nothing_is_lost_while_nobody_reads() -> None:
    """aiohttp pauses the connection, and parses what it has held back when it is read again."""
    body = ParsedBody()
    size, chunk = 0, b"x" * 1000
    while not body.paused:
        body.receive_raw(chunked(chunk) * 50)
        size += 50 * len(chunk)
    body.receive_raw(chunked(b"held back") + b"0\r\n\r\n")
    read = Reading(body)
    assert await read.task is None
    assert len(b"".join(read.got)) == size + len(b"held back")
    assert read.got[-1].endswith(b"held back")
    assert not body.paused


async def test_receiver_is_called_in_the_context_of_who_waits() -> None:
    """Not in that of the connection, which served others before."""
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    seen: list[str] = []

    def receive(data: bytes) -> bool:
        seen.append(whose.get())
        return True

    whose.set("the run's")
    async with reading(receive) as (body, _):
        whose.set("the connection's")
        body.receive(b"a")
        await turns()
    assert seen == ["the run's"]


class _Another(StreamReader):
    """As aiohttp's own for empty bodies, and whatever else there may be."""


async def test_other_bodies_are_not_read_by_call() -> None:
    """An encoded one, one that somebody waits for, another transport's, another class of reader."""
    body = ParsedBody()
    stream = body.stream
    assert body_of(body.response) == (body.reader, body.protocol)
    assert body_of(httpx2.Response(200, headers={"content-encoding": "br"}, stream=stream)) is None
    assert body_of(httpx2.Response(200, content=b"data: a\n\n")) is None
    another = _Another(body.reader._protocol, 2**16, loop=asyncio.get_running_loop())
    assert body_of(httpx2.Response(200, stream=stream_over(another, body))) is None
    assert body_of(httpx2.Response(200, stream=stream_over(body.reader))) is None
    waiting = asyncio.ensure_future(body.reader.read(1))
    await turns()
    assert body_of(body.response) is None
    waiting.cancel()


@pytest.mark.parametrize(
    ("data", "chunks"),
    [
        (chunked(b"a"), b"a"),
        (chunked(b"a") + chunked(b"\r\n"), b"a\r\n"),
        (b"00A\r\n0123456789\r\n", b"0123456789"),
        (chunked(b"a")[:-1], None),
        (chunked(b"a") + b"1", None),
        (chunked(b"a") + b"0\r\n\r\n", None),
        (b"1;name=value\r\na\r\n", None),
        (b"+1\r\na\r\n", None),
        (b"0x1\r\na\r\n", None),
        (b"1_0\r\n0123456789abcdef\r\n", None),
        (b"1\r\nabc", None),
    ],
)
def test_only_whole_chunks_are_taken_out_of_the_stream(data: bytes, chunks: bytes | None) -> None:
    """Whatever else may be said in HTTP, or may not, aiohttp is the one to read."""
    assert whole_chunks(data) == chunks


async def test_body_is_read_whole_however_the_network_cuts_it() -> None:
    """In up to five reads, at any byte; one event looks like a chunk of HTTP's."""
    events = [b"a", chunked(b"b"), b"c"]
    data = b"".join(map(chunked, events)) + b"0\r\n\r\n"
    for cuts in itertools.combinations(range(1, len(data)), 4):
        body = ParsedBody()
        body.receive_raw(data[: cuts[0]])
        read = Reading(body)
        await turns(1)
        for at, end in itertools.pairwise((*cuts, len(data))):
            body.receive_raw(data[at:end])
        assert await read.task is None
        assert b"".join(read.got) == b"".join(events), cuts
        assert body.reader.at_eof()


async def test_whole_chunks_do_not_pass_through_aiohttp() -> None:
    """From the second network read on: the first says where aiohttp's parser stands."""
    async with reading() as (body, read):
        for data in (b"a", b"b", b"c"):
            body.receive(data)
        body.receive_raw(chunked(b"d") + chunked(b"e")[:-2])
        body.receive_raw(b"\r\n")
        body.receive(b"f")
        assert read.got == [b"a", b"b", b"c", b"de", b"f"]
        assert body.reader.total_bytes == len(b"ade")


async def test_connection_is_aiohttps_again_when_its_body_has_ended() -> None:
    """It may serve another request before the task that has read runs again."""
    async with reading() as (body, _):
        body.receive(b"a")
        assert body.transport.protocol is not body.protocol
        body.end()
        assert body.transport.protocol is body.protocol


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_body_over_tls_is_read_by_call(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """The transport that has a protocol of ours is then one over another."""
    received: asyncio.Queue[bytes]
    events = [b"data: %d\n\n" % number for number in range(20)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in events:
            writer.write(chunked(event))
            while event not in await received.get():
                pass
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def main() -> None:
        nonlocal received
        received, got = asyncio.Queue(), []

        def receive(data: bytes) -> bool:
            got.append(data)
            received.put_nowait(data)
            return True

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context(tmp_path))
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        http = anthropic.DefaultAioHttpClient(verify=False)
        async with (
            server,
            anthropic.AsyncAnthropic(api_key="any", base_url=url, http_client=http) as client,
        ):
            response = await client.post(
                "/any", cast_to=httpx2.Response, body={}, options={"headers": STREAM_HEADERS}
            )
            body = body_of(response)
            assert body is not None
            assert await read_by_call(body, receive) is None
            await response.aclose()
        assert got == events
        assert body.reader.total_bytes < sum(map(len, events))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
