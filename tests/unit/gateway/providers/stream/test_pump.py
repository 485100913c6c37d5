"""A step that is pumped is the step that is iterated, however its bytes come and how they end."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.errors import ProviderError
from midstream.providers.openai_chat.proxied import events_of_chat
from midstream.providers.stream.drains import Drains
from midstream.providers.stream.sse_step import TimeLimits, open_sse
from tests.support.parsed_body import ParsedBody, chunked, turns
from tests.unit.gateway.providers.stream.test_sse_step import Echo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx2

    from midstream.protocol.chunks import AnyChunk

ENOUGH: Final = 30
"""Turns of the loop in which everything that has come is read, also after a wait for room."""

EVENTS: Final = [
    b"data: a\n\n",
    "event: e\r\ndata: é\r\n\r\n".encode(),
    b": comment\n\n",
    b"data: nothing\n\n",
    b"error: it broke\n\n",
    b"data: fail\n\n",
    b"data: closing\n\n",
    b"data: last\n\n",
    b"<html>",
    b'{"error": {"message": "no"}}',
    b"\xff",
]


class Coming(NamedTuple):
    """How a body comes.

    Attributes:
        chunks: of HTTP's.
        cuts: between two network reads, in what goes over the wire.
        gaps: turns of the loop after each read, again and again.
        framed: HTTP says where it ends; else it ends with the connection.
        lost: the connection is reset at the end.
        full: after how many lists there is no room, again and again.
    """

    chunks: Sequence[bytes]
    cuts: Sequence[int]
    gaps: Sequence[int]
    framed: bool
    lost: bool
    full: int

    def reads(self) -> list[bytes]:
        """Return what each network read brings."""
        if self.framed:
            wire = b"".join(map(chunked, self.chunks)) + (b"" if self.lost else b"0\r\n\r\n")
        else:
            wire = b"".join(self.chunks)
        edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in self.cuts)})
        return [wire[begin:end] for begin, end in itertools.pairwise(edges)]


@st.composite
def comings(draw: st.DrawFn) -> Coming:
    data = b"".join(draw(st.lists(st.sampled_from(EVENTS), max_size=8)))
    data = data[: len(data) - draw(st.integers(0, 3))]
    edges = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=6))})
    return Coming(
        chunks=[data[begin:end] for begin, end in itertools.pairwise(edges)],
        cuts=draw(st.lists(st.integers(0, 2000), max_size=10)),
        gaps=draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)),
        framed=draw(st.booleans()),
        lost=draw(st.booleans()),
        full=draw(st.integers(1, 4)),
    )


async def outcome(coming: Coming, *, pumped: bool) -> tuple[str, str]:
    """Return all chunks of a step, and its end."""
    body = ParsedBody() if coming.framed else ParsedBody(b"")
    said: list[AnyChunk] = []
    lists = itertools.count(1)

    def take(chunks: list[AnyChunk]) -> bool:
        said.extend(chunks)
        return next(lists) % coming.full == 0

    async def send() -> httpx2.Response:
        return body.response

    playing = asyncio.create_task(play(coming, body))
    drains = Drains()
    translator = Echo()
    ended = "read to its end"
    try:
        async with open_sse(send, translator, TimeLimits(), events_of_chat, drains) as step:
            if pumped:
                await step.pump(take, turns)
            else:
                async for chunks in step:
                    if take(chunks):
                        await turns()
    except ProviderError as error:
        ended = repr(error)
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await drains.close()
    deltas = "|".join(cast("Any", chunk).delta for chunk in said)
    return deltas, f"{ended} {translator.result.failure!r}"


async def play(coming: Coming, body: ParsedBody) -> None:
    for data, gap in zip(coming.reads(), itertools.cycle(coming.gaps), strict=False):
        body.receive_raw(data)
        await turns(gap)
    if coming.lost:
        await turns(ENOUGH)  # aiohttp forgets what nobody has read when a connection is lost
        body.lose()
    elif not coming.framed:
        body.close()


@given(comings())
def test_pumped_step_says_and_ends_as_the_iterated_one(coming: Coming) -> None:
    """Nothing is lost, nothing comes twice, and it fails in the same words."""
    iterated = asyncio.run(outcome(coming, pumped=False))
    assert asyncio.run(outcome(coming, pumped=True)) == iterated


async def pump(
    take: Callable[[list[AnyChunk]], bool], *, before: Callable[[ParsedBody], None]
) -> None:
    """Pump a step to its end, once `before` has given it something."""
    body = ParsedBody()

    async def send() -> httpx2.Response:
        return body.response

    async with open_sse(send, Echo(), TimeLimits(), events_of_chat, Drains()) as step:
        pumping = asyncio.create_task(step.pump(take, turns))
        await turns()
        before(body)
        await pumping


RAISED: Final = [ValueError("a bug"), TimeoutError("of theirs"), asyncio.CancelledError()]


@pytest.mark.parametrize("raised", RAISED, ids=repr)
def test_what_the_taker_raises_is_raised_as_it_is(raised: BaseException) -> None:
    """It is no failure of the provider, and nothing is taken after it."""
    taken: list[list[AnyChunk]] = []

    def take(chunks: list[AnyChunk]) -> bool:
        taken.append(chunks)
        raise raised

    def before(body: ParsedBody) -> None:
        body.receive(b"data: a\n\n")
        body.receive(b"data: b\n\n")

    async def run() -> None:
        with pytest.raises(type(raised)) as caught:
            await pump(take, before=before)
        assert caught.value is raised
        await turns()

    asyncio.run(run())
    assert len(taken) == 1


def test_nothing_is_taken_before_there_is_room() -> None:
    """However much comes meanwhile: it stays with aiohttp, which slows its sender down."""
    said: list[str] = []

    def take(chunks: list[AnyChunk]) -> bool:
        said.extend(cast("Any", chunk).delta for chunk in chunks)
        return True

    async def run() -> None:
        body = ParsedBody()
        room = asyncio.Event()

        async def send() -> httpx2.Response:
            return body.response

        async with open_sse(send, Echo(), TimeLimits(), events_of_chat, Drains()) as step:
            pumping = asyncio.create_task(step.pump(take, lambda: _until(room)))
            await turns()
            body.receive(b"data: 0\n\n")
            await turns()
            count = 1
            while not body.paused:
                body.receive_raw(chunked(b"data: more\n\n") * 100)
                count += 100
                await asyncio.sleep(0)
            assert said == ["0"]
            room.set()
            await turns()
            assert not body.paused
            body.receive_raw(chunked(b"data: last\n\n") + b"0\r\n\r\n")
            await pumping
        assert said == ["0", *["more"] * (count - 1), "eof"]

    asyncio.run(run())


async def _until(event: asyncio.Event) -> None:
    await event.wait()


def test_last_event_is_not_waited_for_longer_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output ends with the list after which there was no room."""
    monkeypatch.setattr("midstream.providers.stream.sse_step.CLOSING_S", 0.02)
    said: list[str] = []

    def take(chunks: list[AnyChunk]) -> bool:
        said.extend(cast("Any", chunk).delta for chunk in chunks)
        return True

    def before(body: ParsedBody) -> None:
        body.receive(b"data: a\n\ndata: closing\n\n")

    asyncio.run(asyncio.wait_for(pump(take, before=before), 30))
    assert said == ["a", "eof"]


class Clock:
    """In place of the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_silence_is_counted_from_the_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of whatever: an answer that takes longer than that is none that is silent."""
    clock, limit_s = Clock(), 0.02
    monkeypatch.setattr("midstream.aio.idle_timeout.time", clock)
    monkeypatch.setattr("midstream.providers.stream.sse_step.time", clock)

    async def run() -> None:
        body = ParsedBody()

        async def send() -> httpx2.Response:
            return body.response

        limits = TimeLimits(between_bytes_s=limit_s)
        async with open_sse(send, Echo(), limits, events_of_chat, Drains()) as step:
            pumping = asyncio.create_task(step.pump(lambda _: False, turns))
            await turns()
            for _ in range(4):
                clock.now += 0.75 * limit_s
                body.receive(b": still here\n\n")
                await asyncio.sleep(1.5 * limit_s)  # so that the limit has looked at the clock
                assert not pumping.done()
            clock.now += 1.25 * limit_s
            with pytest.raises(ProviderError, match="wait"):
                await pumping

    asyncio.run(run())
