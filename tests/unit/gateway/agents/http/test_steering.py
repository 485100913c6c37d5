"""People's messages for a backend's answer: where they stand in it, and which of them go back."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream.agents.http import steering as http_steering
from midstream.agents.http.agent import HttpAgent, HttpAgentConfig
from midstream.agents.http.steering import Places, SteerReply, reply_of
from midstream.aio.pulse import Pulse
from midstream.errors import AgentError
from midstream.protocol.chunks import FinishChunk, StartStepChunk, SteeringMessageChunk
from midstream.protocol.codec import encode
from midstream.protocol.messages import UIMessage
from tests.unit.gateway.agents.http.test_agent import objects, request
from tests.unit.gateway.providers.openai.upstream import Exchange, upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from midstream.protocol.chunks import AnyChunk

    Word = Callable[[Exchange], Awaitable[None]]

pytestmark = pytest.mark.anyio

LIMIT_S = 30
STEP = {"type": "start-step"}
STEP_END = {"type": "finish-step"}
FINISH = {"type": "finish", "finishReason": "stop"}


def said(name: str) -> UIMessage:
    parts = [{"type": "text", "text": f"{name}!"}, {"type": "data-x", "data": 1}]
    return UIMessage.parse(json.dumps({"id": name, "role": "user", "parts": parts}).encode())


def shown(name: str, text: str | None = None) -> dict[str, Any]:
    parts = [{"type": "text", "text": f"{name}!" if text is None else text}]
    return {"type": "steering-message", "id": name, "parts": parts}


class Given:
    """Messages for a run: what `RunSteers` is to an agent."""

    undelivered: str | None = None

    def __init__(self) -> None:
        self.waiting: list[UIMessage] = []
        self.confirmed: dict[str, int | None] = {}
        self.refused: dict[str, str] = {}
        self.changed = Pulse()

    def give(self, *names: str) -> None:
        self.waiting += map(said, names)
        self.changed.send()

    @property
    def waits(self) -> bool:
        return bool(self.waiting)

    async def arrival(self) -> None:
        while not self.waiting:
            await self.changed.wait()

    async def take(self, step: int) -> Sequence[UIMessage]:
        taken, self.waiting = self.waiting, []
        return taken

    async def confirm(self, ids: Iterable[str], step: int | None = None) -> None:
        self.confirmed |= dict.fromkeys(ids, step)

    async def refuse(self, id_: str, reason: str) -> None:
        self.refused[id_] = reason
        self.changed.send()

    async def told(self) -> UIMessage:
        raise AssertionError("a backend knows what it has said")


class Backend:
    """A backend that a test writes the answer of, and its word on each message."""

    def __init__(self, word: Word) -> None:
        self.given = Given()
        self.posts: list[Exchange] = []
        self.told: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Of each message: whether the gateway has the backend's word on it."""
        self.log: list[AnyChunk] = []
        self._word = word
        self._answering: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._answered = asyncio.Event()

    async def serve(self, exchange: Exchange) -> None:
        if exchange.path == "/v1/chat":
            await exchange.begin()
            self._answering.set_result(exchange)
            await self._answered.wait()
            return
        self.posts.append(exchange)
        self.given.changed.send()
        await self._word(exchange)
        await exchange.wait_left()  # each request has its connection, which is left once it is read
        self.told[exchange.body["message"]["id"]].set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not is_so():
                await self.given.changed.wait()

    async def until_told(self, name: str) -> None:
        await asyncio.wait_for(self.told[name].wait(), LIMIT_S)

    async def write(self, *events: dict[str, Any]) -> None:
        await (await asyncio.shield(self._answering)).send(*events)

    async def end(self) -> None:
        exchange = await asyncio.shield(self._answering)
        await exchange.write(b"data: [DONE]\n\n")
        await exchange.end()
        self._answered.set()

    @property
    def answer(self) -> list[Any]:
        return objects(self.log)

    async def read(self, agent: HttpAgent) -> None:
        async with aclosing(agent.stream(request(steering=self.given))) as stream:  # type: ignore[type-var]
            async for chunks in stream:
                self.log += chunks
                self.given.changed.send()


@asynccontextmanager
async def backend(word: Word, **config: Any) -> AsyncIterator[tuple[Backend, asyncio.Task[None]]]:
    """An answer that is being read. Its end is the test's."""
    made = Backend(word)
    async with upstream(made.serve) as url:
        agent = HttpAgent(
            HttpAgentConfig(name="a", url=f"{url}/chat", steer_url=f"{url}/steer", **config)
        )
        assert agent.traits.steers
        reading = asyncio.create_task(made.read(agent))
        try:
            yield made, reading
        finally:
            made._answered.set()
            reading.cancel()
            await asyncio.wait({reading})
            await agent.close()


def saying(status: int, body: dict[str, Any] | None = None, *headers: str) -> Word:
    async def word(exchange: Exchange) -> None:
        told = b"" if body is None else json.dumps(body).encode()
        await exchange.refuse(status, told, *headers)

    return word


async def holding(exchange: Exchange) -> None:
    await exchange.wait_left()


async def test_message_that_the_stream_shows_is_delivered_in_its_place_and_the_persons_words() -> (
    None
):
    """A backend that answers at once, and one that shows it twice."""
    async with backend(saying(202), secret_headers={"x-key": "k"}) as (made, reading):
        made.given.give("a")
        await made.write(STEP, STEP_END)
        await made.until_told("a")
        await made.write(shown("a", "something else"), STEP, shown("a"), STEP_END, FINISH)
        await made.end()
        await asyncio.wait_for(reading, LIMIT_S)
    assert made.answer == [STEP, STEP_END, shown("a"), STEP, STEP_END, FINISH]
    assert (made.given.confirmed, made.given.refused) == ({"a": 1}, {})
    [post] = made.posts
    assert post.body == {"id": "s", "runId": "r", "message": json.loads(bytes(said("a").raw))}
    assert (post.headers["x-midstream-run-id"], post.headers["x-key"]) == ("r", "k")
    assert post.headers["accept"] == "application/json"


async def test_message_that_the_backend_has_and_does_not_show_is_placed_before_a_step() -> None:
    """Before the step that it names, before the next one, and else before the end."""
    words: dict[str, dict[str, Any]] = {
        "a": {"type": "delivered", "stepNumber": 2},
        "b": {"type": "delivered"},
        "c": {"type": "delivered", "stepNumber": -1},
    }

    async def word(exchange: Exchange) -> None:
        await saying(200, words[exchange.body["message"]["id"]])(exchange)

    async with backend(word) as (made, reading):
        await made.write(STEP, STEP_END)
        made.given.give("a", "b")
        await made.until_told("a")
        await made.until_told("b")
        await made.write(STEP, STEP_END, STEP, STEP_END)
        made.given.give("c")
        await made.until_told("c")
        await made.write(FINISH, shown("c"))
        await made.end()
        await asyncio.wait_for(reading, LIMIT_S)
    assert made.answer == [
        *[STEP, STEP_END, shown("b"), STEP, STEP_END],
        *[shown("a"), STEP, STEP_END, shown("c"), FINISH],
    ]
    assert made.given.confirmed == {"b": 1, "a": 2, "c": 2}


async def test_end_of_an_answer_waits_for_the_backends_word_on_what_it_was_just_sent() -> None:
    finished = asyncio.Event()

    async def word(exchange: Exchange) -> None:
        await finished.wait()
        await saying(200, {"type": "delivered"})(exchange)

    async with backend(word) as (made, reading):
        await made.write(STEP)
        made.given.give("a")
        await made.until(lambda: len(made.posts) > 0)
        await made.write(STEP_END, FINISH)
        await made.until(lambda: len(made.log) >= 2)
        finished.set()
        await made.end()
        await asyncio.wait_for(reading, LIMIT_S)
    assert made.answer == [STEP, STEP_END, shown("a"), FINISH]


async def test_message_that_the_backend_refuses_goes_back_at_once_and_may_be_given_again() -> None:
    """A stream that shows it later does not have it twice."""
    words = [saying(404), saying(202)]

    async def word(exchange: Exchange) -> None:
        await words.pop(0)(exchange)

    async with backend(word) as (made, reading):
        await made.write(STEP, STEP_END)
        made.given.give("a")
        await made.until(lambda: "a" in made.given.refused)
        await made.write(shown("a"), STEP)
        await made.until(lambda: len(made.log) >= 3)
        made.told["a"].clear()
        made.given.give("a")
        await made.until_told("a")
        await made.write(STEP_END, shown("a"), STEP, STEP_END, FINISH)
        await made.end()
        await asyncio.wait_for(reading, LIMIT_S)
    assert made.given.refused == {"a": "finished"}
    assert made.answer == [STEP, STEP_END, STEP, STEP_END, shown("a"), STEP, STEP_END, FINISH]


@pytest.mark.parametrize("status", [200, 503])
async def test_message_that_nobody_has_said_anything_of_by_the_end_is_left_to_the_end(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that is silent or fails may have it: so it is not told to be elsewhere before."""
    monkeypatch.setattr(http_steering, "AT_END_S", 0.01)
    async with backend(holding if status == 200 else saying(status)) as (made, reading):
        await made.write(STEP)
        made.given.give("a")
        await made.until(lambda: len(made.posts) > 0)
        await made.write(STEP_END, FINISH)
        await made.end()
        await asyncio.wait_for(reading, LIMIT_S)
    assert made.answer == [STEP, STEP_END, FINISH]
    assert (made.given.confirmed, made.given.refused) == ({}, {})


async def test_silent_backend_holds_no_other_message_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its silence ends after the time that it has to answer; its stream may show both still."""
    monkeypatch.setattr(http_steering, "IN_ORDER_S", 0.01)
    monkeypatch.setattr(http_steering, "AT_END_S", 0.01)
    async with backend(holding, first_byte_s=LIMIT_S) as (made, reading):
        await made.write(STEP, STEP_END)
        made.given.give("a", "b")
        await made.until(lambda: len(made.posts) >= 2)
        assert [post.body["message"]["id"] for post in made.posts] == ["a", "b"]
        await made.write(shown("a"), shown("b"), STEP, STEP_END, FINISH)
        await made.end()
        await asyncio.wait_for(reading, LIMIT_S)
    assert made.given.confirmed == {"a": 1, "b": 1}


async def test_steer_address_that_cannot_be_reached_gives_the_message_back() -> None:
    async with backend(saying(202)) as (made, _):
        agent = HttpAgent(HttpAgentConfig(name="a", url="http://x", steer_url="http://127.0.0.1:1"))
        assert await agent._tell(request(), said("a")) == SteerReply(reason="error")
        await agent.close()
    assert not made.posts


async def test_answer_that_breaks_sends_no_more_messages() -> None:
    async with backend(saying(202)) as (made, reading):
        await made.write(STEP, {"type": "error", "errorText": "No"})
        with pytest.raises(AgentError):
            await asyncio.wait_for(reading, LIMIT_S)
        made.given.give("late")
        await asyncio.sleep(0)
        assert made.given.waits
    assert not made.posts


def test_backends_word_is_its_outcome_or_what_its_status_means(subtests: pytest.Subtests) -> None:
    rows: list[tuple[int, str, SteerReply]] = [
        (200, '{"type":"delivered","stepNumber":3}', SteerReply(delivered=True, step=3)),
        (200, '{"type":"delivered","stepNumber":1000000000}', SteerReply(delivered=True)),
        (200, '{"type":"delivered","stepNumber":"3"}', SteerReply()),
        (200, '{"type":"not-delivered","reason":"aborted"}', SteerReply(reason="aborted")),
        (200, '{"type":"not-delivered","reason":"?"}', SteerReply(reason="unsupported")),
        (409, '{"type":"not-delivered","reason":"finished"}', SteerReply(reason="finished")),
        (500, '{"type":"not-delivered","reason":"error"}', SteerReply(reason="error")),
        (200, "[]", SteerReply()),
        (202, "", SteerReply()),
        (204, "", SteerReply()),
        (302, "", SteerReply(reason="unsupported")),
        (400, "", SteerReply(reason="unsupported")),
        (404, '{"type":"delivered"}', SteerReply(reason="finished")),
        (405, "", SteerReply(reason="unsupported")),
        (408, "", SteerReply()),
        (410, "", SteerReply(reason="finished")),
        (429, "", SteerReply()),
        (503, "", SteerReply()),
    ]
    for status, body, word in rows:
        with subtests.test(status=status, body=body):
            assert reply_of(status, body) == word


def test_message_of_the_backends_own_is_shown_once() -> None:
    """One that came to it by another way."""
    places, own = Places(), SteeringMessageChunk(id="own", parts=Raw(b"[]"))
    assert [places.place(own), places.place(own)] == [[own], []]
    assert not places.take_back("own")
    places.deliver("own", 0)
    step, finish = StartStepChunk(), FinishChunk()
    assert [*places.place(step), *places.place(finish)] == [step, finish]
    assert not places.fresh
    assert encode(own)
