"""An agent behind HTTP: the request it gets, the answers it may give, and the refused ones."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest
from midstream.agents.http.agent import HttpAgent, HttpAgentConfig
from midstream.agents.http.answer_stream import BackendAnswer
from midstream.errors import AgentError
from midstream.ids import RunId, SessionId, UserId
from midstream.protocol import FinishChunk, UIMessage, encode
from tests.unit.gateway.providers.openai.upstream import Exchange, upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from midstream.protocol import AnyChunk

    Answer = Callable[[Exchange], Awaitable[None]]

pytestmark = pytest.mark.anyio

QUESTION = b'{"id":"q","role":"user","parts":[{"type":"text","text":"Hi"}],"metadata":{"a":1}}'
WHOLE: list[dict[str, Any]] = [
    {"type": "start", "messageId": "theirs", "messageMetadata": {"m": 1}},
    {"type": "start-step"},
    {"type": "text-start", "id": "0"},
    {"type": "text-delta", "id": "0", "delta": "Hello"},
    {"type": "text-end", "id": "0"},
    {"type": "finish-step"},
    {"type": "finish", "finishReason": "length", "messageMetadata": {"n": 2}},
]
SECRET = "what the backend says of itself"  # noqa: S105


def request(**fields: Any) -> AgentRequest:
    values = {
        "session_id": SessionId("s"),
        "run_id": RunId("r"),
        "message_id": "ours",
        "user": UserId("ada"),
        "history": (UIMessage.parse(QUESTION),),
        "model": None,
        "body": Raw(b'{"mood":"calm"}'),
        "new_id": lambda: "x",
    }
    return AgentRequest(**{**values, **fields})


@asynccontextmanager
async def calling(answer: Answer, **config: Any) -> AsyncIterator[HttpAgent]:
    """An agent whose backend answers so."""
    async with upstream(answer) as url:
        agent = HttpAgent(HttpAgentConfig(name="a", url=f"{url}/chat", **config))
        try:
            yield agent
        finally:
            await agent.close()


async def read(agent: HttpAgent, asked: AgentRequest | None = None) -> list[AnyChunk]:
    return [chunk async for chunks in agent.stream(asked or request()) for chunk in chunks]


def objects(chunks: list[AnyChunk]) -> list[Any]:
    return [json.loads(encode(chunk)) for chunk in chunks]


def saying(*events: dict[str, Any], done: bool = True) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        if events:
            await exchange.send(*events)
        if done:
            await exchange.write(b"data: [DONE]\n\n")
        await exchange.end()

    return answer


async def failing(answer: Answer, **config: Any) -> tuple[str, list[Any]]:
    """Return the sentence that a run ends with, and what came before."""
    seen: list[AnyChunk] = []
    async with calling(answer, **config) as agent:
        with pytest.raises(AgentError) as failed:
            async for chunks in agent.stream(request()):
                seen += chunks
    assert SECRET not in failed.value.message
    return failed.value.message, objects(seen)


async def test_backend_is_sent_what_the_ai_sdks_transport_sends() -> None:
    """The server's history, the client's own fields, and of its headers the allowed ones."""
    exchanges: list[Exchange] = []

    async def answer(exchange: Exchange) -> None:
        exchanges.append(exchange)
        await saying(*WHOLE)(exchange)

    asked = request(
        model="m-1",
        trigger="regenerate-message",
        target_id="old",
        headers={"x-tenant": "t", "cookie": "c", "authorization": "client", "x-key": "theirs"},
    )
    async with calling(
        answer, forward_headers=("x-tenant", "x-key"), secret_headers={"x-key": "k"}
    ) as agent:
        await read(agent, asked)
    [exchange] = exchanges
    assert exchange.path == "/v1/chat"
    assert exchange.body == {
        "mood": "calm",
        "id": "s",
        "messages": [json.loads(QUESTION)],
        "trigger": "regenerate-message",
        "messageId": "old",
        "model": "m-1",
    }
    headers = exchange.headers
    assert (headers["x-tenant"], headers["x-key"]) == ("t", "k")
    assert (headers["content-type"], headers["accept"]) == ("application/json", "text/event-stream")
    assert headers["x-midstream-run-id"] == "r"
    assert not {"cookie", "authorization"} & set(headers)


async def test_answer_is_the_runs_but_for_what_the_run_itself_says() -> None:
    """Its message id is ours; its metadata, chunks, and how it ended are kept."""
    async with calling(saying(*WHOLE)) as agent:
        assert objects(await read(agent)) == [
            {"type": "message-metadata", "messageMetadata": {"m": 1}},
            *WHOLE[1:],
        ]


async def test_each_request_has_a_connection_of_its_own() -> None:
    """None that the backend may just be closing."""
    peers: list[object] = []

    async def answer(exchange: Exchange) -> None:
        peers.append(exchange._writer)
        await saying(*WHOLE)(exchange)

    async with calling(answer) as agent:
        await read(agent)
        await read(agent)
    assert peers[0] is not peers[1]


async def test_leaving_closes_the_connection_at_once() -> None:
    """A stop reaches a backend that is silent."""
    left = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*WHOLE[:4])
        await exchange.wait_left()
        left.set()

    async with calling(answer) as agent:
        async with aclosing(agent.stream(request())) as stream:  # type: ignore[type-var]
            await anext(stream)
        async with asyncio.timeout(30):
            await left.wait()


async def test_illegal_chunk_is_named_with_its_index_and_what_was_valid_stays() -> None:
    """Also one in the same network read."""
    sentence, before = await failing(
        saying(*WHOLE[:4], {"type": "text-delta", "id": "9", "delta": SECRET})
    )
    assert "index 4" in sentence
    assert "text-delta" in sentence
    assert before[-1] == WHOLE[3]


@pytest.mark.parametrize(
    "data",
    [
        b"{not json",
        b'"text"',
        b'{"no":"type"}',
        b'{"type":"text-delta","id":1,"delta":""}',
    ],
)
async def test_what_is_no_chunk_is_named_with_its_index(data: bytes) -> None:
    """The error names the place of the chunk, for every kind of mistake."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*WHOLE[:4])
        await exchange.write(b"data: " + data + b"\n\n")
        await exchange.wait_left()

    sentence, before = await failing(answer)
    assert "index 4" in sentence
    assert before[-1] == WHOLE[3]


async def test_backends_own_error_is_the_runs() -> None:
    """The AI SDK has it written for people; what comes after it is not read."""
    sentence, before = await failing(
        saying(*WHOLE[:4], {"type": "error", "errorText": "Out of paper."}, *WHOLE[4:])
    )
    assert sentence == "Out of paper."
    assert before[-1] == WHOLE[3]


async def test_backends_own_abort_ends_the_run_as_a_stop_does() -> None:
    """The producer closes what is open; nothing is read after it."""
    async with calling(saying(*WHOLE[:4], {"type": "abort"}, *WHOLE[4:])) as agent:
        assert objects(await read(agent))[-2:] == [WHOLE[3], {"type": "abort"}]


async def test_streams_that_were_merged_may_start_and_finish_twice() -> None:
    """The last reason counts: the producer takes it so."""
    again = [{**chunk, "id": "1"} if "id" in chunk else chunk for chunk in WHOLE]
    again[-1] = {"type": "finish", "finishReason": "stop"}
    async with calling(saying(*WHOLE, *again)) as agent:
        chunks = await read(agent)
    reasons = [chunk.finish_reason for chunk in chunks if isinstance(chunk, FinishChunk)]
    assert reasons == ["length", "stop"]


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (lambda exchange: exchange.refuse(500, SECRET.encode()), "500"),
        (lambda exchange: exchange.refuse(401, SECRET.encode()), "401"),
        (lambda exchange: exchange.refuse(204, b""), "204"),
        (lambda exchange: exchange.refuse(307, b"", "location: http://x.example/"), "redirects"),
        (
            lambda exchange: exchange.refuse(200, SECRET.encode(), "content-type: text/html"),
            "text/html",
        ),
        (
            lambda exchange: exchange.refuse(
                200, b"x", "content-type: text/event-stream", "content-encoding: gzip"
            ),
            "compresses",
        ),
        (saying(), "empty"),
        (saying(done=False), "empty"),
        (saying(*WHOLE[:5]), "without `finish`"),
        (saying(*WHOLE[:5], done=False), "without `finish`"),
    ],
)
async def test_what_is_no_answer_is_a_sentence(answer: Answer, named: str) -> None:
    """The sentence names the kind of answer, and quotes nothing of it."""
    sentence, _ = await failing(answer)
    assert named in sentence


async def test_answer_without_its_end_of_stream_mark_is_an_answer() -> None:
    """`finish` says that it was finished."""
    async with calling(saying(*WHOLE, done=False)) as agent:
        assert len(await read(agent)) == len(WHOLE)


async def test_connection_that_breaks_is_a_sentence_and_what_came_stays() -> None:
    """Before the answer, and in it."""

    async def broken(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*WHOLE[:4])
        exchange.reset()

    async def closed(exchange: Exchange) -> None:
        exchange.reset()

    sentence, before = await failing(broken)
    assert "lost" in sentence
    assert before[-1] == WHOLE[3]
    sentence, before = await failing(closed)
    assert "lost" in sentence
    assert before == []


@pytest.mark.parametrize("how", ["a reset", "silence"])
async def test_connection_behind_the_finish_changes_nothing(how: str) -> None:
    """The answer is finished, though no mark says so, and the connection never ends well."""

    async def finished(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*WHOLE)
        if how == "a reset":
            exchange.reset()
        await exchange.wait_left()

    async with calling(finished, between_bytes_s=1.0) as agent:
        assert isinstance((await read(agent))[-1], FinishChunk)


async def test_operator_is_told_what_the_backend_says_and_no_key() -> None:
    """Status, request id and the beginning of the body; the person reads none of it."""

    async def answer(exchange: Exchange) -> None:
        body = b'{"detail":"no model for my-secret-header"}' + b"x" * 9000
        await exchange.refuse(503, body, "x-request-id: req_7")

    async with calling(answer, secret_headers={"x-key": "my-secret-header"}) as agent:
        with pytest.raises(AgentError) as failed:
            await read(agent)
    note = failed.value.note
    assert note.startswith('status=503 request_id="req_7" message=')
    assert "no model for [redacted]" in note
    assert len(note) < 400
    assert "no model" not in failed.value.message


async def test_backend_that_is_not_there_is_a_sentence() -> None:
    """The port has no listener."""
    async with upstream(saying()) as url:
        pass
    agent = HttpAgent(HttpAgentConfig(name="a", url=url))
    with pytest.raises(AgentError, match="cannot be reached"):
        await read(agent)
    await agent.close()


async def test_backend_that_is_silent_is_given_up() -> None:
    """Before its first byte, and between two."""

    async def silent(exchange: Exchange) -> None:
        await exchange.wait_left()

    async def stalled(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.send(*WHOLE[:4])
        await exchange.wait_left()

    sentence, _ = await failing(silent, first_byte_s=0.05)
    assert "unable to answer" in sentence
    assert "silent" in sentence
    sentence, before = await failing(stalled, between_bytes_s=1.0)
    assert "silent" in sentence
    assert before[-1] == WHOLE[3]


async def test_answer_without_end_is_given_up_at_its_limit() -> None:
    """No memory is spent on it: the connection is closed there."""
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.begin()
        await exchange.send(*WHOLE[:3])
        while True:
            await exchange.send(*[{"type": "text-delta", "id": "0", "delta": "x" * 1000}] * 10)
            sent += 10_000

    sentence, before = await failing(endless, max_bytes=100_000)
    assert "100000 bytes" in sentence
    assert 50_000 < sum(len(chunk.get("delta", "")) for chunk in before) < 100_000


def test_event_without_end_is_given_up_at_its_limit() -> None:
    """However long the whole answer may be."""
    answer = BackendAnswer("m", None, max_bytes=2**40)
    piece = b"data: " + b"x" * (1 << 20)
    for _ in range(20):
        answer.receive_data(piece)
        if answer.ended:
            break
    assert answer.failure is not None
    assert "over" in answer.failure.message


async def test_large_history_is_sent_whole() -> None:
    """Over a megabyte, in pieces."""
    bodies: list[Any] = []

    async def answer(exchange: Exchange) -> None:
        bodies.append(exchange.body)
        await saying(*WHOLE)(exchange)

    text = "x" * 3_000_000
    message = {"id": "q", "role": "user", "parts": [{"type": "text", "text": text}]}
    async with calling(answer) as agent:
        await read(agent, request(history=(UIMessage.parse(json.dumps(message).encode()),)))
    assert bodies[0]["messages"] == [message]


async def test_result_of_an_earlier_call_goes_on_with_its_message() -> None:
    """As the AI SDK's own route answers it: no second call, only its result."""
    asking = {
        "id": "ours",
        "role": "assistant",
        "parts": [
            {"type": "step-start"},
            {"type": "tool-book", "toolCallId": "c", "state": "approval-responded", "input": {}}
            | {"approval": {"id": "ap", "approved": True}},
        ],
    }
    history = tuple(UIMessage.parse(each) for each in (QUESTION, json.dumps(asking).encode()))
    result = {"type": "tool-output-available", "toolCallId": "c", "output": "booked"}
    async with calling(saying(WHOLE[0], result, *WHOLE[1:])) as agent:
        assert result in objects(await read(agent, request(history=history)))
