"""A run that another process resumes: cut at any chunk, it ends with the same message."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx2
import msgspec
import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest, Interrupted
from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.model.progress import read_point
from midstream.agents.tools.executor import Tools
from midstream.agents.tools.python_tool import PythonTool
from midstream.errors import ProviderRejectedError
from midstream.ids import ANONYMOUS, RunId, SessionId
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    AnyChunk,
    FinishChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import encode
from midstream.protocol.cut_calls import INTERRUPTED_CALL
from midstream.protocol.messages import UIMessage
from midstream.protocol.writer import ChunkWriter
from midstream.providers.base import PendingCall, StepResult, ToolSpec
from midstream.providers.conversation.tool_calls import declared_calls
from midstream.providers.failures.errors import Fault
from midstream.providers.failures.retries import retry_hooks
from midstream.providers.openai_responses import background as openai_background
from midstream.providers.openai_responses.background import open_background
from midstream.providers.openai_responses.stream.translator import OpenAIResponsesTranslator
from midstream.providers.sdk_client import ClientOptions
from midstream.providers.stream.drains import Drains

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from midstream.providers.base import DurableResponses, StepRequest, StepStream
    from midstream.providers.openai.client import OpenAIClient

QUESTION = UIMessage.parse(b'{"id":"u","role":"user","parts":[{"type":"text","text":"Add."}]}')
START = StartChunk(message_id="a")


class Memory:
    """A log and the points beside it, as a process that dies leaves them."""

    def __init__(self, interrupted: Interrupted | None = None) -> None:
        self.interrupted = interrupted
        self.next = 1 if interrupted is None else interrupted.next
        self.points: list[tuple[int, bytes]] = [(1, b"")]

    async def reached(self) -> int:
        return self.next

    async def remember(self, point: bytes, *, required: bool = True) -> None:
        self.points.append((self.next, point))


class Executions:
    """The number of times that the tool was executed."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        """Add."""
        self.count += 1
        return 3


async def produce(
    make: Callable[[Executions], ModelAgent],
    tool: Executions,
    interrupted: Interrupted | None = None,
) -> tuple[list[AnyChunk], Memory]:
    """Run an agent to its end, as the producer does; return the log and the points."""
    memory = Memory(interrupted)
    log: list[AnyChunk] = [START] if interrupted is None else list(interrupted.chunks)
    writer = ChunkWriter.resume_from(log[: memory.next], "a")
    request = AgentRequest(
        session_id=SessionId("s"),
        run_id=RunId("r"),
        message_id="a",
        user=ANONYMOUS,
        history=[QUESTION],
        model=None,
        body=Raw(b"{}"),
        new_id=lambda: "from-another-process",
        memory=memory,
    )
    async for chunks in make(tool).stream(request):
        for chunk in chunks:
            if isinstance(chunk, FinishChunk):
                continue
            for admitted in writer.admit(chunk):
                if memory.next < len(log):
                    assert encode(admitted) == encode(log[memory.next]), f"at {memory.next}"
                else:
                    log.append(admitted)
                memory.next += 1
    assert memory.next == len(log)
    return [*log, *writer.finish("stop")], memory


def message_of(log: Sequence[AnyChunk]) -> Any:
    """Return the message that a client holds in the end."""
    assembler = Assembler("a")
    assembler.apply_all(log)
    return json.loads(assembler.message())


def deaths(log: Sequence[AnyChunk], points: Sequence[tuple[int, bytes]]) -> list[Interrupted]:
    """Return all that a process may leave: each point with the chunks that may follow it."""
    return [
        Interrupted(chunks=log[:length], next=at, point=point)
        for index, (at, point) in enumerate(points)
        for length in range(at, [*points, (len(log) - 1, b"")][index + 1][0] + 1)
    ]


def check_every_death(make: Callable[[Executions], ModelAgent]) -> list[list[AnyChunk]]:
    """Cut a run wherever it can be cut, twice; return the logs that came of it."""
    first = Executions()
    whole, memory = asyncio.run(produce(make, first))
    assert first.count == 1
    logs: list[list[AnyChunk]] = []
    for left in deaths(whole, memory.points):
        assert make(first).can_resume(left)
        tool = Executions()
        log, again = asyncio.run(produce(make, tool, left))
        point = read_point(left.point)
        answered = point is not None and (point.step > 0 or point.answered is not None)
        assert tool.count == (0 if answered else 1), "it was executed before that point, or not"
        check_result(log, whole, tool)
        logs.append(log)
        # The next one dies, too: half-way through what it did.
        second = deaths(log, again.points[1:] or again.points)
        for later in second[len(second) // 2 :][:1]:
            if later.next >= left.next:
                log, _ = asyncio.run(produce(make, tool, later))
                assert tool.count <= 1
    return logs


def check_result(log: list[AnyChunk], whole: list[AnyChunk], tool: Executions) -> None:
    """The same message; or, cut while the tool may have run, one that says so."""
    lost = [chunk for chunk in log if isinstance(chunk, ToolOutputErrorChunk)]
    lost = [chunk for chunk in lost if chunk.error_text == INTERRUPTED_CALL]
    assert not (lost and tool.count)
    ours, expected = message_of(log), message_of(whole)
    for part, other in zip(ours["parts"], expected["parts"], strict=True):
        if lost and part["type"] == "tool-add":
            continue
        assert without_ids(part) == without_ids(other)


def without_ids(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in ("id", "providerMetadata")}


# -- begun again ------------------------------------------------------------------------------


class Played:
    """Answers with a call, and then with text; the same whenever it is asked."""

    name = "played"
    durable: DurableResponses | None = None
    deferring_tools: tuple[str, ...] = ()

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[Any]:
        yield _PlayedStep(request)

    async def warm_up(self) -> None:
        """There is nothing to import."""

    async def close(self) -> None:
        pass


class _PlayedStep:
    def __init__(self, request: StepRequest) -> None:
        self._request = request
        self.result = StepResult(finish_reason="stop")

    async def __aiter__(self) -> AsyncIterator[list[AnyChunk]]:
        request = self._request
        reasoning = request.part_ids.reasoning("0", request.new_id)
        yield [StartStepChunk(), ReasoningStartChunk(id=reasoning)]
        yield [ReasoningDeltaChunk(id=reasoning, delta="Let me see.")]
        yield [ReasoningEndChunk(id=reasoning)]
        if request.messages[-1].role == "user":
            call = PendingCall(id="c", name="add", input=Raw(b"{}"))
            yield [ToolInputAvailableChunk(tool_call_id="c", tool_name="add", input=Raw(b"{}"))]
            self.result = StepResult(finish_reason="tool-calls", tool_calls=(call,))
            return
        text = request.part_ids.text("0", request.new_id)
        yield [TextStartChunk(id=text), TextDeltaChunk(id=text, delta="It ")]
        yield [TextDeltaChunk(id=text, delta="is 3.")]
        yield [TextEndChunk(id=text)]


class Busy(Played):
    """A provider that refuses each request once; its SDK asks again."""

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[Any]:
        await be_refused()
        async with super().open_step(request) as step:
            yield step


async def be_refused() -> None:
    (look,) = retry_hooks(2)["response"]
    request = httpx2.Request("POST", "http://p/", headers={"x-stainless-retry-count": "0"})
    await look(httpx2.Response(429, request=request))


def test_restarted_run_of_a_busy_provider_comes_to_the_same_message() -> None:
    """Cut while it waits, nothing was said that has to be taken back."""

    def make(tool: Executions) -> ModelAgent:
        config = ModelAgentConfig(name="a", model="m", restarts=True, message_metadata=False)
        return ModelAgent(config, Busy(), Tools([PythonTool(tool.add)]))

    logs = check_every_death(make)

    assert all(b"provider_retry" in b"".join(map(encode, log)) for log in logs)
    assert all(check_steps(log) for log in logs)


def check_steps(log: list[AnyChunk]) -> bool:
    """Whether every reset is of a step that was begun."""
    kinds = [type(chunk) for chunk in log]
    return ResetStepChunk not in kinds or kinds.index(StartStepChunk) < kinds.index(ResetStepChunk)


def restarting(tool: Executions) -> ModelAgent:
    config = ModelAgentConfig(name="a", model="m", restarts=True, message_metadata=False)
    return ModelAgent(config, Played(), Tools([PythonTool(tool.add)]))


def test_restarted_run_comes_to_the_same_message_wherever_it_was_cut() -> None:
    """Only the cut step is reset; a tool is executed once, or reported as cut."""
    logs = check_every_death(restarting)

    assert any(isinstance(chunk, ResetStepChunk) for log in logs for chunk in log)
    assert sum(isinstance(chunk, ResetStepChunk) for log in logs for chunk in log) < len(logs)


def test_step_is_not_begun_again_after_a_call_for_the_client() -> None:
    """Its client may have executed it; so may one of another agent's tools."""
    config = ModelAgentConfig(name="a", model="m", restarts=True)
    agent = ModelAgent(config, Played(), Tools([], [ToolSpec(name="add")]))
    whole, memory = asyncio.run(produce(lambda _: agent, Executions()))
    begun = memory.points[1]
    calls = [i for i, c in enumerate(whole) if isinstance(c, ToolInputAvailableChunk)]

    def left(length: int) -> Interrupted:
        return Interrupted(chunks=whole[:length], next=begun[0], point=begun[1])

    assert agent.can_resume(left(calls[0]))
    assert not agent.can_resume(left(calls[0] + 1))
    hosted = msgspec.structs.replace(whole[calls[0]], provider_executed=True)
    by_provider = Interrupted(chunks=[*whole[: calls[0]], hosted], next=begun[0], point=begun[1])
    assert agent.can_resume(by_provider)


def test_agent_refuses_what_it_did_not_write() -> None:
    """A point of another version, or of another agent, is no place to begin at."""
    left = Interrupted(chunks=[START], next=1, point=b'{"other":true}')

    assert not restarting(Executions()).can_resume(left)


# -- read again -------------------------------------------------------------------------------


def responses() -> dict[str, list[dict[str, Any]]]:
    """Two responses: one that thinks and calls, one of text in two messages."""
    thought = {"type": "reasoning", "id": "rs", "summary": []}
    call = {"type": "function_call", "id": "f", "call_id": "c", "name": "add", "arguments": "{}"}

    def message(name: str, index: int, *texts: str) -> list[dict[str, Any]]:
        item = {"type": "message", "id": name}
        at = {"item_id": name, "output_index": index}
        return [
            {"type": "response.output_item.added", "output_index": index, "item": item},
            *({"type": "response.output_text.delta", **at, "delta": text} for text in texts),
            {"type": "response.output_item.done", "output_index": index, "item": item},
        ]

    # Both name their reasoning alike: the second gets an id that is made up.
    summary = {"item_id": "rs", "output_index": 0, "summary_index": 0}
    thinking: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": thought},
        {"type": "response.reasoning_summary_part.added", **summary},
        {"type": "response.reasoning_summary_text.delta", **summary, "delta": "Let me see."},
        {"type": "response.reasoning_summary_part.done", **summary},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
    ]
    kinds: dict[str, list[dict[str, Any]]] = {
        "first": [
            *thinking,
            {
                "type": "response.output_item.added",
                "output_index": 1,
                "item": {**call, "arguments": ""},
            },
            {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
            {"type": "response.output_item.done", "output_index": 1, "item": call},
        ],
        "second": [*thinking, *message("m1", 1, "It ", "is "), *message("m2", 2, "3", ".")],
    }
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    for name, events in kinds.items():
        response = {"id": name, "model": "m", "created_at": 1}
        events.insert(0, {"type": "response.created", "response": response})
        completed = {"type": "response.completed", "response": {**response, "usage": usage}}
        events.append(completed)
    return kinds


class FarEnd:
    """Keeps its responses, and sends them from any event on: an `OpenAIClient`'s far end."""

    options = ClientOptions()

    def __init__(self, busy: bool) -> None:
        self.begun: list[str] = []
        self._busy = busy
        self.drains = Drains()

    async def begin(self, path: str, body: bytes) -> httpx2.Response:
        self.begun.append(body.decode())
        if self._busy:
            await be_refused()
        return self._events(body.decode(), -1)

    async def follow(self, path: str, *, after: int | None) -> httpx2.Response:
        return self._events(path.rpartition("/")[2], -1 if after is None else after)

    def _events(self, name: str, after: int) -> httpx2.Response:
        numbered = [
            {**event, "sequence_number": number} for number, event in enumerate(responses()[name])
        ]

        async def body() -> AsyncIterator[bytes]:
            for event in numbered[after + 1 :]:
                yield b"data: " + json.dumps(event).encode() + b"\n\n"

        return httpx2.Response(200, content=body())


class Background(Played):
    """A provider of responses in the background, over a far end in memory."""

    def __init__(self, busy: bool = False) -> None:
        self.far_end = FarEnd(busy)
        self.durable = self

    def keeps(self, provider_options: Any) -> bool:
        return True

    async def cancel(self, point: bytes) -> None:
        """Nothing goes on here."""

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[StepStream]:
        translator = OpenAIResponsesTranslator(
            declared_calls(request.tools), new_id=request.new_id, part_ids=request.part_ids
        )
        name = "first" if request.messages[-1].role == "user" else "second"
        client = cast("OpenAIClient", self.far_end)
        assert request.memory is not None
        async with open_background(client, name.encode(), translator, request.memory) as step:
            yield step


def test_background_run_comes_to_the_same_chunks_wherever_it_was_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a point kept after every event, and with none but the response's id; at a provider
    that is busy at first, too."""
    for interval_s, busy in ((0.0, False), (1000.0, False), (1000.0, True)):
        monkeypatch.setattr(openai_background, "POINT_INTERVAL_S", interval_s)

        def make(tool: Executions) -> ModelAgent:
            config = ModelAgentConfig(name="a", model="m", message_metadata=False)
            return ModelAgent(config, Background(busy), Tools([PythonTool(tool.add)]))  # noqa: B023

        logs = check_every_death(make)

        whole, _ = asyncio.run(produce(make, Executions()))
        for log in logs:
            cut = any(isinstance(chunk, ToolOutputErrorChunk) for chunk in log)
            assert cut or busy or list(map(encode, log)) == list(map(encode, whole))


def test_response_that_is_gone_adds_nothing_to_what_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run fails with the provider's sentence: its metadata would be other words."""
    monkeypatch.setattr(openai_background, "POINT_INTERVAL_S", 1000.0)
    provider = Background()
    agent = ModelAgent(ModelAgentConfig(name="a", model="m"), provider, Tools())
    whole, memory = asyncio.run(produce(lambda _: agent, Executions()))
    at, point = next(p for p in memory.points if b'"response"' in p[1])

    async def gone(path: str, *, after: int | None) -> httpx2.Response:
        raise Fault.GONE.error()

    monkeypatch.setattr(provider.far_end, "follow", gone)
    left = Interrupted(chunks=whole[: at + 3], next=at, point=point)
    with pytest.raises(ProviderRejectedError, match="does not have it any more"):
        asyncio.run(produce(lambda _: agent, Executions(), left))
