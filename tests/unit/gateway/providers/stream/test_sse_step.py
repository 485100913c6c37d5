"""A response's bytes become a step's chunks, however they are cut, and within time limits."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.errors import ProviderUnavailableError
from midstream.protocol.chunks import TextDeltaChunk
from midstream.providers.base import StepResult
from midstream.providers.failures.errors import Fault
from midstream.providers.openai_chat.proxied import events_of_chat
from midstream.providers.stream.drains import Drains
from midstream.providers.stream.sse_step import SseStep, TimeLimits, open_sse
from midstream.providers.stream.tap import body_of
from tests.support.parsed_body import ParsedBody, turns
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.protocol.chunks import AnyChunk

EVENTS = [f"event: e\ndata: {n} é\n\n".encode() for n in range(5)]


class Echo:
    """A translator: every event is a delta; `fail` fails, `eof` is held back."""

    def __init__(self) -> None:
        self.result = StepResult()
        self.closing = self.ended = False

    def receive(self, event: bytes) -> list[AnyChunk]:
        if self.ended:
            return []
        if event == b"fail":
            self.result.failure = Fault.FAILED.error()
        self.closing = self.closing or event in (b"closing", b"last")
        self.ended = event in (b"fail", b"last")
        if self.ended or event == b"closing":
            return []
        return [] if event == b"nothing" else [TextDeltaChunk(id="0", delta=event.decode())]

    def receive_error(self, event: bytes) -> list[AnyChunk]:
        return self.receive(b"fail")

    def receive_loss(self) -> list[AnyChunk]:
        return []

    def receive_eof(self) -> list[AnyChunk]:
        return [TextDeltaChunk(id="0", delta="eof")]


class Body(httpx2.AsyncByteStream):
    """A response's body, read by read; at None it falls silent."""

    def __init__(self, pieces: Sequence[bytes | None]) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if piece is None:
                await asyncio.Event().wait()
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed = True


WAYS = ("iterated", "pumped", "by call")
"""Iterated; pumped from a body that is not aiohttp's; and from one that is."""

each_way = pytest.mark.parametrize("way", WAYS)


@asynccontextmanager
async def response_of(
    body: Body, way: str, headers: dict[str, str] | None = None
) -> AsyncIterator[httpx2.Response]:
    """A response with this body: as it is, or as aiohttp has it, read by read."""
    if way != "by call":
        yield httpx2.Response(200, headers=headers, stream=body)
        return
    parsed = ParsedBody()
    assert body_of(parsed.response) is not None
    parsed.response.headers.update(headers or {})
    playing = asyncio.create_task(play(body, parsed))
    try:
        yield parsed.response
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def play(body: Body, parsed: ParsedBody) -> None:
    try:
        async for piece in body:
            parsed.receive(piece)
            await turns()
    except httpx2.ReadError:
        parsed.lose()
    else:
        parsed.end()


async def read(
    body: Body,
    limits: TimeLimits | None = None,
    headers: dict[str, str] | None = None,
    way: str = "iterated",
) -> list[list[str]]:
    drains = Drains()
    got: list[list[AnyChunk]] = []

    async with response_of(body, way, headers) as response:

        async def send() -> httpx2.Response:
            return response

        try:
            async with open_sse(
                send, Echo(), limits or TimeLimits(), events_of_chat, drains
            ) as step:
                await read_step(step, got, way)
        finally:
            await drains.close()
            body.closed = body.closed or response.is_closed
    return [[cast("Any", chunk).delta for chunk in chunks] for chunks in got]


async def read_step(step: SseStep, got: list[list[AnyChunk]], way: str) -> None:
    """Read a step, and wait after every other list as if there were no room for more."""
    if way == "iterated":
        got += [chunks async for chunks in step]
        return

    def take(chunks: list[AnyChunk]) -> bool:
        got.append(chunks)
        return len(got) % 2 == 0

    await step.pump(take, turns)


@each_way
@given(cuts=st.lists(st.integers(0, sum(map(len, EVENTS))), max_size=8))
def test_cuts_of_the_bytes_do_not_show(way: str, cuts: list[int]) -> None:
    """Any split of the bytes gives the same chunks in the same order."""
    data = b"".join(EVENTS)
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    lists = asyncio.run(read(Body(pieces), way=way))
    assert [delta for chunks in lists for delta in chunks] == [
        *(f"{n} é" for n in range(5)),
        "eof",
    ]


@each_way
def test_one_network_read_is_one_list(way: str) -> None:
    """Events of one read are one list, and no list is empty."""
    pieces = [EVENTS[0] + EVENTS[1], b"data: nothing\n\n", b"dat", b"a: x\n\n"]
    assert asyncio.run(read(Body(pieces), way=way)) == [["0 é", "1 é"], ["x"], ["eof"]]


@each_way
def test_encoded_answer_is_decoded(way: str) -> None:
    """We ask for none, but a proxy on the way may compress."""
    data = gzip.compress(EVENTS[0] + EVENTS[1])
    headers = {"content-encoding": "gzip"}
    lists = asyncio.run(read(Body([data[:20], data[20:]]), headers=headers, way=way))
    assert [delta for chunks in lists for delta in chunks] == ["0 é", "1 é", "eof"]


@each_way
def test_failure_of_the_provider_ends_the_step(way: str) -> None:
    """After a failure nothing is read or translated any more."""
    pieces = [b"data: a\n\ndata: fail\n\ndata: b\n\n", b"data: c\n\n"]
    assert asyncio.run(read(Body(pieces), way=way)) == [["a"]]


@each_way
def test_event_that_is_too_large_is_a_broken_answer(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A provider that never ends its event does not fill the memory."""
    monkeypatch.setattr("midstream.providers.stream.sse_step.SseDecoder.receive_data", _refuse)
    with pytest.raises(ProviderUnavailableError, match="understand"):
        asyncio.run(read(Body([b"data: x"]), way=way))


def _refuse(*_: object) -> None:
    from midstream.protocol.errors import MalformedFrameError

    raise MalformedFrameError("too large")


@each_way
def test_silence_within_the_response_ends_at_its_limit(way: str) -> None:
    """The wait for the next byte is bounded."""
    body = Body([EVENTS[0], None])
    with pytest.raises(ProviderUnavailableError, match="wait"):
        asyncio.run(read(body, TimeLimits(between_bytes_s=0.01), way=way))
    assert body.closed


def test_silence_before_the_response_ends_at_its_limit() -> None:
    """The wait for the response is bounded, whatever the SDK retries."""

    async def never() -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> None:
        async with open_sse(never, Echo(), TimeLimits(first_byte_s=0.01), events_of_chat, Drains()):
            raise AssertionError

    with pytest.raises(ProviderUnavailableError, match="wait"):
        asyncio.run(run())


@pytest.mark.parametrize("how", ["left", "failed", "read"])
def test_response_is_closed_however_the_block_ends(how: str) -> None:
    """No response outlives its step."""
    body = Body(EVENTS)

    async def send() -> httpx2.Response:
        return httpx2.Response(200, stream=body)

    async def run() -> None:
        async with open_sse(send, Echo(), TimeLimits(), events_of_chat, Drains()) as step:
            assert isinstance(step, SseStep)
            if how == "failed":
                raise KeyError(how)
            if how == "read":
                async for _ in step:
                    pass

    if how == "failed":
        with pytest.raises(KeyError):
            asyncio.run(run())
    else:
        asyncio.run(run())
    assert body.closed


def test_step_keeps_nothing_of_its_request() -> None:
    """The whole conversation is in its body, and an answer takes minutes."""
    sent: list[weakref.ref[httpx2.Request]] = []

    async def send() -> httpx2.Response:
        request = httpx2.Request("POST", "http://provider", content=b"a long conversation")
        sent.append(weakref.ref(request))
        return httpx2.Response(200, stream=Body(EVENTS), request=request)

    async def run() -> None:
        async with open_sse(send, Echo(), TimeLimits(), events_of_chat, Drains()):
            gc.collect()
            assert [request() for request in sent] == [None]

    asyncio.run(run())


def test_sdk_is_given_the_connection_limit_only() -> None:
    """The other limits are ours to keep."""
    timeout = TimeLimits(connect_s=3.0).sdk_timeout()
    assert timeout.as_dict() == {"connect": 3.0, "read": None, "write": None, "pool": None}


@each_way
@pytest.mark.parametrize("after", [[], [b": c\n\n"] * 3, [None], [b"data: more\n\n", None]])
def test_step_ends_with_the_last_event_whatever_follows_it(
    after: list[bytes | None], way: str
) -> None:
    """Nothing that comes behind it is translated, or waited for; the response is closed."""
    body = Body([b"data: a\n\ndata: last\n\n", *after])
    assert asyncio.run(read(body, way=way)) == [["a"], ["eof"]]
    assert body.closed


@each_way
def test_loss_behind_the_end_of_what_is_said_is_the_end(way: str) -> None:
    """Only usage could still come; a step fails only if content is missing."""

    class Lost(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: a\n\ndata: closing\n\n"
            raise httpx2.ReadError("reset")

    assert asyncio.run(read(Lost([]), way=way)) == [["a"], ["eof"]]


@each_way
def test_wait_behind_the_end_of_what_is_said_is_bounded(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Also while comments come."""
    monkeypatch.setattr("midstream.providers.stream.sse_step.CLOSING_S", 0.05)

    class Commenting(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"data: a\n\ndata: closing\n\n"
            while True:
                await asyncio.sleep(0)
                yield b": c\n\n"

    assert asyncio.run(read(Commenting([]), way=way)) == [["a"], ["eof"]]


@each_way
def test_last_event_without_its_blank_line_is_one(way: str) -> None:
    """And half an event is none."""
    whole, half = Body([b'data: a\n\ndata: {"b":1}']), Body([b'data: a\n\ndata: {"b":'])
    assert asyncio.run(read(whole, way=way)) == [["a"], ['{"b":1}'], ["eof"]]
    assert asyncio.run(read(half, way=way)) == [["a"], ["eof"]]


def test_response_is_drained_for_a_moment_then_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background, so that its connection can be used again; not for ever."""
    monkeypatch.setattr("midstream.providers.stream.drains.DRAIN_S", 0.01)
    body = Body([b"data: last\n\n", None])

    async def send() -> httpx2.Response:
        return httpx2.Response(200, stream=body)

    async def run() -> None:
        drains = Drains()
        async with open_sse(send, Echo(), TimeLimits(), events_of_chat, drains) as step:
            async for _ in step:
                pass
        assert not body.closed
        await eventually(lambda: body.closed, "the response is closed")
        await drains.close()

    asyncio.run(run())
