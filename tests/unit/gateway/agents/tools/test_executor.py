"""Calls of Python tools: side by side, within their limits, and never the run's failure."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest
from midstream.agents.tools.api import ToolContext, ToolError, ToolFile, ToolOutput
from midstream.agents.tools.executor import Tools
from midstream.agents.tools.python_tool import PythonTool
from midstream.agents.tools.threads import Threads
from midstream.ids import RunId, SessionId, TenantId, UserId
from midstream.protocol.chunks import ToolOutputAvailableChunk, ToolOutputErrorChunk
from midstream.providers.base import PendingCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.protocol.chunks import AnyChunk

pytestmark = pytest.mark.anyio

REQUEST = AgentRequest(
    session_id=SessionId("s"),
    run_id=RunId("r"),
    message_id="m",
    user=UserId("ada"),
    tenant=TenantId("acme"),
    history=(),
    model=None,
    body=Raw(b"{}"),
    new_id=lambda: "question",
)


def called(tool: str, call_id: str = "t", **given: object) -> PendingCall:
    metadata = Raw(b'{"p":{}}')
    return PendingCall(
        id=call_id, name=tool, input=Raw(json.dumps(given).encode()), metadata=metadata
    )


async def outputs(tools: Tools, *calls: PendingCall) -> list[AnyChunk]:
    async with aclosing(tools.execute(calls, REQUEST)) as chunks:
        return [chunk async for some in chunks for chunk in some]


async def output_of(function: Callable[..., Any], **given: object) -> AnyChunk:
    """Return the one chunk that a call of a function comes to."""
    tools = Tools([PythonTool(function, name="tool", limit_s=5)])
    [chunk] = await outputs(tools, called("tool", "t", **given))
    return chunk


def failed(text: str) -> ToolOutputErrorChunk:
    return ToolOutputErrorChunk(
        tool_call_id="t", error_text=text, provider_metadata=Raw(b'{"p":{}}')
    )


INTERNAL = failed("The tool tool failed because of an internal error.")


async def test_half_a_character_in_a_result_is_replaced() -> None:
    """At any depth; the result is not lost for it."""
    output = await output_of(lambda: {"a": ["b\ud83d", "\ud83d\ude00"]})
    assert isinstance(output, ToolOutputAvailableChunk)
    assert msgspec.json.decode(output.output) == {"a": ["b\ufffd", "\U0001f600"]}


async def test_output_is_json_and_repeats_the_calls_metadata() -> None:
    """As the AI SDK's."""

    async def tool(city: str) -> dict[str, object]:
        return {"city": city, "none": None}

    assert await output_of(tool, city="Bonn") == ToolOutputAvailableChunk(
        tool_call_id="t",
        output=Raw(b'{"city":"Bonn","none":null}'),
        provider_metadata=Raw(b'{"p":{}}'),
    )


async def test_plain_function_runs_off_the_event_loop() -> None:
    """It may block."""

    def tool() -> bool:
        return threading.current_thread() is threading.main_thread()

    chunk = await output_of(tool)
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert bytes(chunk.output) == b"false"


async def test_plain_function_may_return_a_coroutine() -> None:
    """As a decorated one does."""

    async def later() -> int:
        return 7

    chunk = await output_of(lambda: later())
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert bytes(chunk.output) == b"7"


async def test_tool_learns_who_calls_it() -> None:
    """The tool gets the run's user, not a name from the model."""

    def tool(context: ToolContext) -> list[str]:
        return [context.user, context.session_id, context.run_id, context.tool_call_id]

    chunk = await output_of(tool)
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert json.loads(bytes(chunk.output)) == ["ada", "s", "r", "t"]


async def test_yielded_values_are_preliminary_and_the_last_is_the_result() -> None:
    """Each takes the place of the one before."""

    async def tool() -> AsyncIterator[int]:
        yield 1
        yield 2

    chunks = await outputs(Tools([PythonTool(tool)]), called("tool"))
    seen = [(bytes(c.output), c.preliminary is True) for c in chunks]  # type: ignore[union-attr]
    assert seen == [(b"1", True), (b"2", True), (b"2", False)]


async def test_calls_of_a_step_run_side_by_side() -> None:
    """Each waits here for the other, on the event loop and in threads."""
    meeting = asyncio.Barrier(2)
    blocking = threading.Barrier(2)

    async def meet() -> str:
        await meeting.wait()
        return "met"

    def block() -> str:
        blocking.wait(30)
        return "met"

    tools = Tools([PythonTool(meet), PythonTool(block)])
    calls = [called(name, f"{name}{n}") for name in ("meet", "block") for n in (1, 2)]
    chunks = await outputs(tools, *calls)
    assert {chunk.tool_call_id for chunk in chunks} == {call.id for call in calls}  # type: ignore[union-attr]
    assert all(isinstance(chunk, ToolOutputAvailableChunk) for chunk in chunks)


async def test_threads_are_used_again() -> None:
    """More blocking calls than there may be threads wait for their turn."""
    threads = Threads(limit=1)
    assert [await threads.run(lambda: 1, "blocking") for _ in range(3)] == [1, 1, 1]


async def test_large_result_passes() -> None:
    """5 MB are unusual, and fine."""
    chunk = await output_of(lambda: "x" * 5_000_000)
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert len(chunk.output) == 5_000_002


@pytest.mark.parametrize("limit_s", [0.05])
async def test_call_over_its_time_is_given_up(limit_s: float) -> None:
    """A blocking tool, too: its thread runs on, and the run does not wait for it."""
    release = threading.Event()

    async def hang() -> None:
        await asyncio.Event().wait()

    def block() -> None:
        release.wait(30)

    tools = Tools([PythonTool(hang, limit_s=limit_s), PythonTool(block, limit_s=limit_s)])
    try:
        chunks = await outputs(tools, called("hang"), called("block"))
    finally:
        release.set()
    texts = sorted(chunk.error_text for chunk in chunks)  # type: ignore[union-attr]
    assert texts == [
        f"The tool {name} was given up; it took longer than 0.05 seconds."
        for name in ("block", "hang")
    ]


async def test_time_limit_holds_for_a_tool_that_yields() -> None:
    """The yielded output stays as preliminary; then the call fails."""

    async def tool() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    first, last = await outputs(Tools([PythonTool(tool, limit_s=1.0)]), called("tool"))
    assert isinstance(first, ToolOutputAvailableChunk)
    assert isinstance(last, ToolOutputErrorChunk)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the password is swordfish"),
        TimeoutError(),
        asyncio.CancelledError(),
        StopIteration(),
        RecursionError(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_exception_is_logged_and_told_in_general(
    error: BaseException, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may be about what no person should read."""

    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    with caplog.at_level(logging.ERROR):
        assert await output_of(plain if kind == "plain" else coroutine) == INTERNAL
    assert "tool_failed tool=tool" in caplog.text


async def test_tool_may_fail_in_its_own_words() -> None:
    """A `ToolError` is written for the model and the person."""

    def tool() -> None:
        raise ToolError("No such city; ask for another.")

    assert await output_of(tool) == failed("No such city; ask for another.")


@pytest.mark.parametrize(
    "value",
    [object(), {"a": {1, object()}}, Raw(b"{no json"), float, 1 + 2j],
    ids=["object", "set of objects", "broken raw JSON", "class", "complex"],
)
async def test_result_that_is_not_json_fails_the_call(value: object) -> None:
    """And not the run, nor what is stored of it."""
    assert await output_of(lambda: value) == failed(
        "The tool tool returned something that is not JSON."
    )


async def test_input_that_does_not_fit_any_more_fails_the_call() -> None:
    """A call allowed today may be one of yesterday's function."""

    def tool(city: str) -> str:
        return city

    chunk = await output_of(tool, town="Bonn")
    assert isinstance(chunk, ToolOutputErrorChunk)
    assert "town" in chunk.error_text


async def test_failure_leaves_the_other_calls_alone() -> None:
    """Every call gets its own."""

    def good() -> int:
        return 1

    def bad() -> int:
        raise ValueError

    tools = Tools([PythonTool(good), PythonTool(bad)])
    chunks = await outputs(tools, called("bad"), called("good"), called("gone"))
    kinds = {type(chunk).__name__ for chunk in chunks}
    assert (len(chunks), kinds) == (3, {"ToolOutputAvailableChunk", "ToolOutputErrorChunk"})


async def test_cancellation_ends_the_calls() -> None:
    """A stop waits for no tool, and no task is left."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = asyncio.all_tasks()
    run = asyncio.create_task(outputs(Tools([PythonTool(hang)]), called("hang")))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert ended.is_set()
    assert asyncio.all_tasks() == before


async def test_closing_ends_the_calls() -> None:
    """Also in the middle of results."""
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    tools = Tools([PythonTool(endless)])
    async with aclosing(tools.execute([called("endless")], REQUEST)) as chunks:
        assert await anext(chunks)
    assert ended.is_set()


def over_ten(amount: float) -> bool:
    return amount > 10


async def over_twenty(amount: float, context: ToolContext) -> bool:
    assert (context.tenant, context.user) == ("acme", "ada")
    return amount > 20


def undecided(amount: float) -> bool:
    raise ValueError(amount)


@pytest.mark.parametrize(
    ("decides", "asked"),
    [
        (False, []),
        (True, ["5", "15", "25"]),
        (over_ten, ["15", "25"]),
        (over_twenty, ["25"]),
        (undecided, ["5", "15", "25"]),
    ],
)
async def test_person_is_asked_before_calls_that_need_it(
    decides: bool | Callable[..., Any], asked: list[str]
) -> None:
    """Always, never, or as a function says; when in doubt, too."""

    def pay(amount: float, to: str = "") -> None: ...

    tools = Tools([PythonTool(pay, needs_approval=decides)])
    calls = [called("pay", str(amount), amount=amount) for amount in (5, 15, 25)]
    questions = await tools.ask([*calls, called("gone")], REQUEST)
    assert [question.tool_call_id for question in questions] == asked


async def test_result_in_parts_is_json_with_a_mark() -> None:
    """Beside what the provider said of the call."""
    file = ToolFile(media_type="image/png", data=b"png")
    chunk = await output_of(lambda: ToolOutput(["a", file]))
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert json.loads(bytes(chunk.output)) == {
        "type": "content",
        "value": [
            {"type": "text", "text": "a"},
            {"type": "file", "mediaType": "image/png", "data": {"type": "data", "data": "cG5n"}},
        ],
    }
    assert json.loads(bytes(chunk.provider_metadata)) == {  # type: ignore[arg-type]
        "p": {},
        "midstream": {"modelOutput": True},
    }


async def test_people_may_be_shown_something_else() -> None:
    """The output for the model is kept beside the shown one."""
    chunk = await output_of(lambda: ToolOutput("a", shown=[1]))
    assert isinstance(chunk, ToolOutputAvailableChunk)
    assert bytes(chunk.output) == b"[1]"
    metadata = json.loads(bytes(chunk.provider_metadata))  # type: ignore[arg-type]
    assert metadata["midstream"]["modelOutput"] == {
        "type": "content",
        "value": [{"type": "text", "text": "a"}],
    }


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "one of"),
        ({"data": b"", "url": "https://a.example"}, "one of"),
        ({"data": "text"}, "bytes"),
        ({"url": b"https://a.example"}, "text"),
    ],
)
def test_file_that_is_none_is_refused_where_it_is_made(given: Any, named: str) -> None:
    """The error names the fields of a file."""
    with pytest.raises(TypeError, match=named):
        ToolFile(media_type="image/png", **given)


def test_parts_that_are_none_are_refused_where_they_are_made() -> None:
    """As of a file's bytes without their type."""
    with pytest.raises(TypeError, match="bytes"):
        ToolOutput([b"png"])  # type: ignore[list-item]
