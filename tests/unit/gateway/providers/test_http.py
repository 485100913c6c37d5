"""A response's bytes become a step's chunks, however they are cut, and within time limits."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from typing import TYPE_CHECKING, Any, cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProviderUnavailableError
from gateway.providers.base import StepResult
from gateway.providers.errors import Fault
from gateway.providers.http import SseStep, TimeLimits, open_sse
from protocol.chunks import TextDeltaChunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from protocol.chunks import AnyChunk

EVENTS = [f"event: e\ndata: {n} é\n\n".encode() for n in range(5)]


class Echo:
    """A translator: every event is a delta; `fail` fails, `eof` is held back."""

    def __init__(self) -> None:
        self.result = StepResult()

    def receive(self, event: bytes) -> list[AnyChunk]:
        if event == b"fail":
            self.result.failure = Fault.FAILED.error()
            return []
        return [] if event == b"nothing" else [TextDeltaChunk(id="0", delta=event.decode())]

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


async def read(
    body: Body, limits: TimeLimits | None = None, headers: dict[str, str] | None = None
) -> list[list[str]]:
    async def send() -> httpx2.Response:
        return httpx2.Response(200, headers=headers, stream=body)

    async with open_sse(send, Echo(), limits or TimeLimits()) as step:
        return [[cast("Any", chunk).delta for chunk in chunks] async for chunks in step]


@given(st.lists(st.integers(0, sum(map(len, EVENTS))), max_size=8))
def test_cuts_of_the_bytes_do_not_show(cuts: list[int]) -> None:
    """Any split of the bytes gives the same chunks in the same order."""
    data = b"".join(EVENTS)
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    lists = asyncio.run(read(Body(pieces)))
    assert [delta for chunks in lists for delta in chunks] == [
        *(f"{n} é" for n in range(5)),
        "eof",
    ]


def test_one_network_read_is_one_list() -> None:
    """What arrives together is handed on together, and never an empty list."""
    pieces = [EVENTS[0] + EVENTS[1], b"data: nothing\n\n", b"dat", b"a: x\n\n"]
    assert asyncio.run(read(Body(pieces))) == [["0 é", "1 é"], ["x"], ["eof"]]


def test_encoded_answer_is_decoded() -> None:
    """We ask for none, but a proxy on the way may compress."""
    data = gzip.compress(EVENTS[0] + EVENTS[1])
    headers = {"content-encoding": "gzip"}
    lists = asyncio.run(read(Body([data[:20], data[20:]]), headers=headers))
    assert [delta for chunks in lists for delta in chunks] == ["0 é", "1 é", "eof"]


def test_failure_of_the_provider_ends_the_step() -> None:
    """After a failure nothing is read or translated any more."""
    pieces = [b"data: a\n\ndata: fail\n\ndata: b\n\n", b"data: c\n\n"]
    assert asyncio.run(read(Body(pieces))) == [["a"]]


def test_event_that_is_too_large_is_a_broken_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that never ends its event does not fill the memory."""
    monkeypatch.setattr("gateway.providers.http.SseDecoder.receive_data", _refuse)
    with pytest.raises(ProviderUnavailableError, match="understand"):
        asyncio.run(read(Body([b"data: x"])))


def _refuse(*_: object) -> None:
    from protocol.errors import MalformedFrameError

    raise MalformedFrameError("too large")


def test_silence_within_the_response_ends_at_its_limit() -> None:
    """The wait for the next byte is bounded."""
    body = Body([EVENTS[0], None])
    with pytest.raises(ProviderUnavailableError, match="wait"):
        asyncio.run(read(body, TimeLimits(between_bytes_s=0.01)))
    assert body.closed


def test_silence_before_the_response_ends_at_its_limit() -> None:
    """The wait for the response is bounded, whatever the SDK retries."""

    async def never() -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> None:
        async with open_sse(never, Echo(), TimeLimits(first_byte_s=0.01)):
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
        async with open_sse(send, Echo(), TimeLimits()) as step:
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


def test_sdk_is_given_the_connection_limit_only() -> None:
    """The other limits are ours to keep."""
    timeout = TimeLimits(connect_s=3.0).sdk_timeout()
    assert timeout.as_dict() == {"connect": 3.0, "read": None, "write": None, "pool": None}
