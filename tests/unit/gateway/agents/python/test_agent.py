"""An agent in Python: what its function says, and how it ends."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream import Agent, AgentError, Run, ToolError
from midstream.agents.base import AgentRequest
from midstream.agents.python.outbox import MAX_WAITING, LateWriteError
from midstream.errors import SettingsError
from midstream.ids import RunId, SessionId, TenantId, UserId
from midstream.protocol import (
    AbortChunk,
    ErrorChunk,
    IllegalChunkError,
    MalformedFrameError,
    TextDeltaChunk,
    UIMessage,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from midstream.protocol import AnyChunk

pytestmark = pytest.mark.anyio

QUESTION = UIMessage.parse(
    b'{"id":"q","role":"user","parts":[{"type":"text","text":"How is it in Rome?"}]}'
)
ASKING = UIMessage.parse(
    b'{"id":"m","role":"assistant","parts":[{"type":"step-start"},{"type":"tool-where",'
    b'"toolCallId":"c","state":"input-available","input":{}}]}'
)


def request(**fields: Any) -> AgentRequest:
    numbers = itertools.count(1)
    values = {
        "session_id": SessionId("s"),
        "run_id": RunId("r"),
        "message_id": "m",
        "user": UserId("ada"),
        "tenant": TenantId("acme"),
        "history": (QUESTION,),
        "model": None,
        "body": Raw(b'{"mood":"calm"}'),
        "new_id": lambda: str(next(numbers)),
    }
    return AgentRequest(**{**values, **fields})


async def chunks_of(answer: Callable[[Run], Any], **fields: Any) -> list[AnyChunk]:
    agent = Agent("a", answer)
    return [chunk async for chunks in agent.stream(request(**fields)) for chunk in chunks]


async def said(answer: Callable[[Run], Any], **fields: Any) -> list[Any]:
    return [json.loads(encode(chunk)) for chunk in await chunks_of(answer, **fields)]


def kinds(chunks: Sequence[dict[str, Any]]) -> list[str]:
    return [chunk["type"] for chunk in chunks]


async def test_function_writes_and_the_run_does_the_rest() -> None:
    """Steps and parts open and close by themselves, and the answer is finished."""

    async def answer(run: Run) -> None:
        await run.reasoning("Hm.")
        await run.text("Fine")
        await run.text(".")

    assert kinds(await said(answer)) == [
        *("start-step", "reasoning-start", "reasoning-delta", "reasoning-end"),
        *("text-start", "text-delta", "text-delta", "text-end", "finish-step", "finish"),
    ]


async def test_generator_yields_text_and_chunks_and_lists_and_may_write_too() -> None:
    """Yielded and written parts keep the order of the function's lines."""

    async def answer(run: Run) -> AsyncIterator[Any]:
        yield "a"
        await run.text("b")
        yield ["c", {"type": "data-note", "data": 1}]
        yield TextDeltaChunk(id="1", delta="d")

    seen = await said(answer)
    assert "".join(chunk["delta"] for chunk in seen if chunk["type"] == "text-delta") == "abcd"
    assert [chunk["data"] for chunk in seen if chunk["type"] == "data-note"] == [1]


async def test_everything_else_has_its_method() -> None:
    """Sources, documents, files, data, status, metadata, steps, and any chunk."""

    async def answer(run: Run) -> None:
        await run.source("https://a.example", "A")
        await run.document("B", "application/pdf", filename="b.pdf")
        await run.file("data:image/png;base64,AA==", "image/png")
        await run.data("weather", {"t": 20}, part_id="w")
        await run.status("Looking.")
        await run.metadata({"cost": 1})
        await run.step()
        await run.chunk('{"type":"custom","kind":"a.b"}')

    seen = await said(answer)
    assert kinds(seen) == [
        *("start-step", "source-url", "source-document", "file", "data-weather", "data-status"),
        *("message-metadata", "finish-step", "start-step", "custom", "finish-step", "finish"),
    ]
    assert seen[5]["transient"] is True


async def test_run_tells_what_was_asked() -> None:
    """The conversation, who asks, the body's further fields, and the prompt for a provider."""
    seen: list[Run] = []

    async def answer(run: Run) -> None:
        seen.append(run)

    await said(answer, model="m-1", headers={"x-tenant": "t"})
    [run] = seen
    assert (run.id, run.session_id, run.message_id) == ("r", "s", "m")
    assert (run.tenant, run.user) == ("acme", "ada")
    assert (run.model, run.body["mood"], run.raw_body) == ("m-1", "calm", b'{"mood":"calm"}')
    assert run.headers == {"x-tenant": "t"}
    assert [message.text for message in run.messages] == ["How is it in Rome?"]
    assert json.loads(run.request) == {
        "mood": "calm",
        "id": "s",
        "messages": [json.loads(bytes(QUESTION.raw))],
        "trigger": "submit-message",
        "model": "m-1",
    }


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        (
            "anthropic",
            {
                "system": [{"type": "text", "text": "Be brief."}],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "How is it in Rome?"}]}
                ],
            },
        ),
        (
            "openai",
            {
                "input": [
                    {"role": "system", "content": "Be brief."},
                    {
                        "role": "user",
                        "content": [{"type": "input_text", "text": "How is it in Rome?"}],
                    },
                ],
            },
        ),
        (
            "openai-chat",
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "How is it in Rome?"},
                ],
            },
        ),
    ],
)
async def test_prompt_is_what_the_providers_sdk_takes(provider: Any, expected: Any) -> None:
    """The arguments of its call that say what was said so far, and nothing else."""
    prompts: list[Any] = []

    async def answer(run: Run) -> None:
        prompts.append(run.prompt(provider, system="Be brief."))

    await said(answer)
    assert prompts == [expected]


async def test_prompt_for_an_unknown_provider_is_refused() -> None:
    """The sentence names the known ones."""

    async def answer(run: Run) -> None:
        run.prompt("else")

    with pytest.raises(ValueError, match="openai-chat"):
        await said(answer)


async def test_tool_shows_its_call_and_its_results() -> None:
    """Streamed or whole, its input comes first; preliminary results replace each other."""

    async def answer(run: Run) -> None:
        async with run.tool("weather", {"city": "Rome"}, call_id="c1") as call:
            await call.output({"state": "asking"}, preliminary=True)
            await call.output({"t": 20})
        async with run.tool("search", call_id="c2", title="Search") as call:
            await call.input('{"q":')
            await call.input('"x"}')
            await call.output([])
        await run.tool("roll", call_id="c3").output(4)
        await run.text("Fine.")

    seen = await said(answer)
    assert kinds(seen) == [
        *("start-step", "tool-input-available", "tool-output-available", "tool-output-available"),
        *("finish-step", "start-step", "tool-input-start", "tool-input-delta", "tool-input-delta"),
        *("tool-input-available", "tool-output-available", "finish-step", "start-step"),
        *("tool-input-available", "tool-output-available", "finish-step", "start-step"),
        *("text-start", "text-delta", "text-end", "finish-step", "finish"),
    ]
    inputs = [chunk["input"] for chunk in seen if chunk["type"] == "tool-input-available"]
    assert inputs == [{"city": "Rome"}, {"q": "x"}, {}]
    assert seen[-1]["finishReason"] == "stop"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ToolError("There is no station."), "There is no station."),
        (OSError("x"), "The tool failed."),
    ],
)
async def test_tool_that_raises_is_a_failed_call_and_the_exception_goes_on(
    error: Exception, told: str
) -> None:
    """The agent decides what comes of it."""

    async def answer(run: Run) -> None:
        with pytest.raises(type(error)):
            async with run.tool("weather", {}):
                raise error
        await run.text("I do not know.")

    seen = await said(answer)
    [failed] = [chunk for chunk in seen if chunk["type"] == "tool-output-error"]
    assert failed["errorText"] == told
    assert seen[-1]["finishReason"] == "stop"


async def test_tool_without_a_result_is_left_to_the_client() -> None:
    """The run ends with `tool-calls`; the client's answer goes on with the message."""

    async def ask(run: Run) -> None:
        async with run.tool("where", {}):
            pass

    seen = await said(ask)
    assert seen[-1] == {"type": "finish", "finishReason": "tool-calls"}

    async def go_on(run: Run) -> None:
        await run.chunk({"type": "tool-output-available", "toolCallId": "c", "output": "Rome"})
        await run.text("Fine.")

    seen = await said(go_on, history=(QUESTION, ASKING))
    assert kinds(seen)[:2] == ["tool-output-available", "start-step"]


async def test_streamed_input_that_is_no_json_is_refused_where_it_is_completed() -> None:
    """The run has it as an unusable input, when it ends."""

    async def answer(run: Run) -> None:
        async with run.tool("search") as call:
            await call.input('{"q":')
            await call.output(1)

    with pytest.raises(ValueError, match="search"):
        await said(answer)


async def test_illegal_chunk_raises_where_it_was_made_and_the_agent_may_go_on() -> None:
    """Nothing of it is sent."""
    raised: list[str] = []

    async def answer(run: Run) -> None:
        for bad in ({"type": "text-delta", "id": "x", "delta": "y"}, {"kind": "none"}, b"["):
            try:
                await run.chunk(bad)
            except (IllegalChunkError, MalformedFrameError) as error:
                raised.append(type(error).__name__)
        await run.text("Fine.")

    seen = await said(answer)
    assert raised == ["IllegalChunkError", "MalformedFrameError", "MalformedFrameError"]
    assert kinds(seen)[-4:] == ["text-delta", "text-end", "finish-step", "finish"]


async def test_start_and_finish_of_another_stream_give_what_they_bring() -> None:
    """Their metadata and reason; the run writes its own."""

    async def answer(run: Run) -> None:
        await run.chunk({"type": "start", "messageId": "other", "messageMetadata": {"a": 1}})
        await run.chunk({"type": "finish", "finishReason": "length", "messageMetadata": {"b": 2}})
        await run.chunk("[DONE]")

    assert await said(answer) == [
        {"type": "message-metadata", "messageMetadata": {"a": 1}},
        {"type": "finish", "finishReason": "length", "messageMetadata": {"b": 2}},
    ]


@pytest.mark.parametrize("last", [ErrorChunk(error_text="no"), AbortChunk()])
async def test_error_and_abort_of_another_stream_are_the_last_word(last: AnyChunk) -> None:
    """Later writes raise."""
    told = asyncio.Event()

    async def answer(run: Run) -> None:
        await run.text("a")
        await run.chunk(last)
        with pytest.raises(LateWriteError):
            await run.text("b")
        told.set()

    seen = await chunks_of(answer)
    assert seen[3] == last
    assert told.is_set()


async def test_failure_comes_after_what_was_said() -> None:
    """Earlier parts are kept; the exception is the run's."""

    async def answer(run: Run) -> None:
        await run.text("a")
        raise AgentError("The printer is out of paper.")

    seen: list[AnyChunk] = []
    with pytest.raises(AgentError, match="paper"):
        async for chunks in Agent("a", answer).stream(request()):
            seen += chunks
    assert isinstance(seen[-1], TextDeltaChunk)


async def test_stop_cancels_the_agent_and_tells_its_own_tasks() -> None:
    """The agent's own tasks are cancelled, too; nothing can be written any more."""
    heard: list[object] = []

    async def watch(run: Run) -> None:
        heard.append((await run.stopped(), run.is_stopped))

    async def answer(run: Run) -> None:
        watching = asyncio.create_task(watch(run))
        try:
            await run.text("a")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with pytest.raises(LateWriteError):
                await run.text("b")
            await watching
            heard.append("cancelled")
            raise

    async with aclosing(Agent("a", answer).stream(request())) as stream:  # type: ignore[type-var]
        await anext(stream)
    assert heard == [(True, True), "cancelled"]


async def test_task_that_waits_for_a_stop_is_let_go_when_the_answer_ends() -> None:
    """Nothing waits for ever, and nothing was stopped."""
    tasks: list[asyncio.Task[bool]] = []

    async def answer(run: Run) -> None:
        tasks.append(asyncio.create_task(run.stopped()))
        await run.text("a")

    await said(answer)
    assert await tasks[0] is False


async def test_fast_agent_waits_while_nothing_is_taken() -> None:
    """At most so many chunks wait, however many it has."""
    written = 0

    async def answer(run: Run) -> None:
        nonlocal written
        for _ in range(10 * MAX_WAITING):
            await run.text("word ")
            written += 1

    sizes: list[int] = []
    async for chunks in Agent("a", answer).stream(request()):
        await asyncio.sleep(0)
        sizes.append(len(chunks))
        assert written <= sum(sizes) + MAX_WAITING
    assert max(sizes) <= MAX_WAITING + 2
    assert written == 10 * MAX_WAITING


async def test_other_thread_is_refused_and_told_how_to_write() -> None:
    """Handed to the run's loop, the same call is safe."""

    async def answer(run: Run) -> None:
        def work() -> None:
            with pytest.raises(RuntimeError, match="run_coroutine_threadsafe"):
                asyncio.run(run.text("a"))
            asyncio.run_coroutine_threadsafe(run.text("b"), run.loop).result(10)

        await asyncio.to_thread(work)

    seen = await said(answer)
    assert [chunk["delta"] for chunk in seen if chunk["type"] == "text-delta"] == ["b"]


async def whole(run: Run) -> None:
    await run.text("a")


class Callable_:
    async def __call__(self, run: Run) -> None:
        await run.text("a")


async def test_methods_partials_and_objects_are_functions_too() -> None:
    """Any callable that takes a run and returns an awaitable."""

    async def with_more(more: str, run: Run) -> None:
        await run.text(more)

    for answer in (whole, Callable_(), functools.partial(with_more, "a")):
        seen = await said(answer)
        assert seen[2]["delta"] == "a"


def not_async(run: Run) -> None: ...


async def two(run: Run, more: str) -> None: ...


async def none() -> None: ...


@pytest.mark.parametrize("answer", [not_async, two, none, 7, "text", None, Callable_])
async def test_what_cannot_answer_is_refused_when_it_is_made(answer: Any) -> None:
    """One sentence that names the agent."""
    with pytest.raises(SettingsError, match="`mine`"):
        Agent("mine", answer)


async def test_agent_has_a_name() -> None:
    """Clients ask for it by that."""
    with pytest.raises(SettingsError, match="name"):
        Agent("", whole)


async def test_failure_while_the_agent_lets_go_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The run has ended without it; writing to it then is no failure."""
    raised: list[Exception] = [OSError("the disk is full"), LateWriteError("the run has ended")]

    async def answer(run: Run) -> None:
        try:
            await run.text("a")
            await asyncio.Event().wait()
        finally:
            raise raised.pop(0)

    for expected in (1, 1):
        async with aclosing(Agent("a", answer).stream(request())) as stream:  # type: ignore[type-var]
            await anext(stream)
        assert caplog.text.count("agent_failed_after_its_end") == expected


async def test_agent_that_cancels_itself_has_a_bug() -> None:
    """It is no stop."""

    async def answer(run: Run) -> Awaitable[None]:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled itself"):
        await said(answer)
