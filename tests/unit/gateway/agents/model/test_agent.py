"""The configured agent: its steps, its metadata, and how it ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream.agents.base import AgentRequest
from midstream.agents.model.agent import ModelAgent
from midstream.agents.model.config import ModelAgentConfig
from midstream.agents.tools.executor import Tools
from midstream.agents.tools.python_tool import PythonTool
from midstream.errors import AgentNotFoundError, ProviderError, ProviderUnavailableError
from midstream.ids import ANONYMOUS, RunId, SessionId
from midstream.protocol.chunks import (
    AnyChunk,
    FinishChunk,
    FinishStepChunk,
    MessageMetadataChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.cut_calls import INTERRUPTED_CALL
from midstream.protocol.messages import UIMessage
from midstream.providers.base import PendingCall, StepResult, ToolSpec, Usage
from midstream.providers.failures.errors import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from midstream.providers.base import Room, StepRequest, Take

TEXT: list[AnyChunk] = [
    StartStepChunk(),
    TextStartChunk(id="0"),
    TextDeltaChunk(id="0", delta="Hi"),
    TextEndChunk(id="0"),
]
USED = Usage(input_tokens=2, output_tokens=3, total_tokens=5)


def call(name: str, call_id: str = "t") -> tuple[list[AnyChunk], PendingCall]:
    given = Raw(b"{}")
    chunk = ToolInputAvailableChunk(tool_call_id=call_id, tool_name=name, input=given)
    return [StartStepChunk(), chunk], PendingCall(id=call_id, name=name, input=given)


def stopped(**fields: Any) -> StepResult:
    return StepResult(**{"finish_reason": "stop", "usage": USED, "model": "model-1", **fields})


class Step:
    """A step that was written down; an exception in it is raised where it stands."""

    def __init__(self, chunks: Sequence[AnyChunk | Exception], result: StepResult) -> None:
        self.chunks = chunks
        self.result = result

    async def __aiter__(self) -> AsyncIterator[list[AnyChunk]]:
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield [chunk]

    async def pump(self, take: Take, room: Room) -> None:
        async for chunks in self:
            if take(chunks):
                await room()


class Provider:
    """Plays steps, one after the other."""

    name = "played"
    durable = None

    deferring_tools = ("web_search_20250305",)

    def __init__(self, *steps: Step | Exception) -> None:
        self.steps = list(steps)
        self.requests: list[StepRequest] = []
        self.open = 0

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[Step]:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        self.open += 1
        try:
            yield step
        finally:
            self.open -= 1

    async def warm_up(self) -> None:
        """There is nothing to import."""

    async def close(self) -> None:
        pass


def add() -> int:
    return 3


def our_tools(*others: PythonTool, **settings: Any) -> Tools:
    """`add`, which is executed here, and `ask`, which the client answers."""
    return Tools([PythonTool(add, **settings), *others], [ToolSpec(name="ask")])


def message(role: str, *parts: dict[str, Any]) -> UIMessage:
    return UIMessage.parse(json.dumps({"id": role, "role": role, "parts": parts}).encode())


def request(**fields: Any) -> AgentRequest:
    values = {
        "session_id": SessionId("s"),
        "run_id": RunId("r"),
        "message_id": "assistant",
        "user": ANONYMOUS,
        "history": [message("user", {"type": "text", "text": "1 + 2?"})],
        "model": None,
        "body": Raw(b"{}"),
        "new_id": lambda: "made-up",
    }
    return AgentRequest(**{**values, **fields})


def agent(provider: Provider, tools: Tools | None = None, **config: Any) -> ModelAgent:
    values = {"name": "a", "model": "model-0", "message_metadata": False}
    return ModelAgent(ModelAgentConfig(**{**values, **config}), provider, tools)


async def run(target: ModelAgent, asked: AgentRequest | None = None) -> list[AnyChunk]:
    return [chunk async for chunks in target.stream(asked or request()) for chunk in chunks]


def play(target: ModelAgent, asked: AgentRequest | None = None) -> list[AnyChunk]:
    return asyncio.run(run(target, asked))


async def until_error(target: ModelAgent) -> tuple[list[AnyChunk], ProviderError]:
    chunks: list[AnyChunk] = []
    with pytest.raises(ProviderError) as raised:
        async for some in target.stream(request()):
            chunks += some
    return chunks, raised.value


def test_answer_is_a_step_and_a_finish() -> None:
    """The step's chunks, its end, and the reason."""
    chunks = play(agent(Provider(Step(TEXT, stopped()))))
    assert chunks == [*TEXT, FinishStepChunk(), FinishChunk(finish_reason="stop")]


def test_request_is_what_was_configured() -> None:
    """Instructions, parameters and options reach the provider with the history."""
    provider = Provider(Step(TEXT, stopped()))
    settings: dict[str, Any] = {"parameters": {"temperature": 0.1}, "provider_options": {"x": 1}}
    play(agent(provider, system="Be brief.", send_sources=True, send_reasoning=False, **settings))
    (sent,) = provider.requests
    assert (sent.model, sent.system) == ("model-0", "Be brief.")
    assert (sent.send_sources, sent.send_reasoning) == (True, False)
    assert {"parameters": sent.parameters, "provider_options": sent.provider_options} == settings
    assert [each.id for each in sent.messages] == ["user"]


def test_client_may_choose_a_configured_model() -> None:
    """One of the agent's others is used when it is asked for."""
    provider = Provider(Step(TEXT, stopped()))
    play(agent(provider, models=["model-9"]), request(model="model-9"))
    assert provider.requests[0].model == "model-9"


def test_client_may_not_choose_another_model() -> None:
    """A model that is not configured is refused before the provider is called."""
    provider = Provider()
    with pytest.raises(AgentNotFoundError):
        play(agent(provider, models=["model-9"]), request(model="model-dear"))
    assert provider.requests == []


def test_call_that_nobody_executes_here_ends_the_run() -> None:
    """The client answers it, and sends the message again."""
    chunks, tool_call = call("ask")
    result = stopped(finish_reason="tool-calls", tool_calls=[tool_call])
    provider = Provider(Step(chunks, result))
    played = play(agent(provider, our_tools()))
    assert played[-2:] == [FinishStepChunk(), FinishChunk(finish_reason="tool-calls")]


def test_call_that_is_executed_here_leads_to_another_step() -> None:
    """Its output belongs to its step, and the model is called again with both."""
    chunks, tool_call = call("add")
    first = Step(chunks, stopped(finish_reason="tool-calls", tool_calls=[tool_call]))
    provider = Provider(first, Step(TEXT, stopped()))
    played = play(agent(provider, our_tools()))
    output = ToolOutputAvailableChunk(tool_call_id="t", output=Raw(b"3"))
    finish = FinishChunk(finish_reason="stop")
    assert played == [*chunks, output, FinishStepChunk(), *TEXT, FinishStepChunk(), finish]
    user, so_far = provider.requests[1].messages
    assert (user.id, so_far.id) == ("user", "assistant")
    assert json.loads(bytes(so_far.parts[1]))["output"] == 3
    assert provider.requests[0].part_ids is provider.requests[1].part_ids


def test_call_for_the_client_waits_while_ours_is_executed() -> None:
    """The run ends with the one's result, and without the other's."""
    chunks, ours = call("add", "t1")
    more, theirs = call("ask", "t2")
    result = stopped(finish_reason="tool-calls", tool_calls=[ours, theirs])
    played = play(agent(Provider(Step([*chunks, *more[1:]], result)), our_tools()))
    output = ToolOutputAvailableChunk(tool_call_id="t1", output=Raw(b"3"))
    finish = FinishChunk(finish_reason="tool-calls")
    assert played == [*chunks, *more[1:], output, FinishStepChunk(), finish]


def test_provider_is_told_of_the_tools_and_how_to_check_their_inputs() -> None:
    """Ours and the client's; the check is ours."""
    provider = Provider(Step(TEXT, stopped()))
    play(agent(provider, our_tools()))
    (sent,) = provider.requests
    assert [tool.name for tool in sent.tools] == ["add", "ask"]
    assert sent.check_input("add", Raw(b'{"one":1}')) is not None
    assert sent.check_input("ask", Raw(b'{"one":1}')) is None


def test_unusable_call_is_answered_by_its_error() -> None:
    """The model gets the error as the call's result, and is called again."""
    chunk = ToolInputErrorChunk(
        tool_call_id="t", tool_name="add", input=Raw(b'"x"'), error_text="not JSON"
    )
    wrong = Step([StartStepChunk(), chunk], stopped(finish_reason="tool-calls"))
    provider = Provider(wrong, Step(TEXT, stopped()))
    played = play(agent(provider, our_tools()))
    assert played[-1] == FinishChunk(finish_reason="stop")
    assert json.loads(bytes(provider.requests[1].messages[-1].parts[1]))["errorText"] == "not JSON"


def test_call_that_needs_approval_ends_the_run_with_a_question() -> None:
    """It is not executed, though others of its step are."""
    chunks, first = call("add", "t1")
    more, second = call("late", "t2")
    result = stopped(finish_reason="tool-calls", tool_calls=[first, second])
    tools = our_tools(PythonTool(add, name="late", needs_approval=True))
    played = play(agent(Provider(Step([*chunks, *more[1:]], result)), tools))
    assert played[3:] == [
        ToolApprovalRequestChunk(approval_id="made-up", tool_call_id="t2"),
        ToolOutputAvailableChunk(tool_call_id="t1", output=Raw(b"3")),
        FinishStepChunk(),
        FinishChunk(finish_reason="tool-calls"),
    ]


HOSTED = ToolSpec(name="search", provider_type="web_search_20250305")


def hosted_call() -> list[AnyChunk]:
    """A search that the provider begins, and does not end in this response."""
    given = Raw(b"{}")
    call = ToolInputAvailableChunk(
        tool_call_id="s", tool_name="search", input=given, provider_executed=True
    )
    return [StartStepChunk(), call]


def test_step_follows_while_the_provider_owes_a_result() -> None:
    """It paused (`pause_turn`): the model is called again, with its call."""
    found = ToolOutputAvailableChunk(tool_call_id="s", output=Raw(b"1"), provider_executed=True)
    steps = [Step(hosted_call(), stopped()), Step([*TEXT, found], stopped())]
    provider = Provider(*steps)
    played = play(agent(provider, Tools([], [HOSTED])))
    assert played.count(FinishStepChunk()) == 2
    last = json.loads(bytes(provider.requests[1].messages[-1].parts[1]))
    assert (last["state"], last["providerExecuted"]) == ("input-available", True)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("mcp", "stop"), ("code_execution_20250522", "stop"), (HOSTED.provider_type, "interrupted")],
)
def test_run_ends_where_nothing_is_owed(kind: str, reason: str) -> None:
    """A tool that never answers later, or a response that was cut."""
    tools = Tools([], [ToolSpec(name="search", provider_type=kind)])
    provider = Provider(Step(hosted_call(), stopped(finish_reason=reason)))
    play(agent(provider, tools))
    assert len(provider.requests) == 1


def answered(*parts: dict[str, Any]) -> AgentRequest:
    """A request that goes on with a message whose last step has these calls."""
    before = message("assistant", {"type": "step-start"}, *parts)
    return request(history=[message("user"), before])


def tool_part(call_id: str, state: str, name: str = "add", **fields: Any) -> dict[str, Any]:
    return {"type": f"tool-{name}", "toolCallId": call_id, "state": state, "input": {}, **fields}


def responded(call_id: str, *, approved: bool) -> dict[str, Any]:
    approval = {"id": "q", "approved": approved, "reason": "because"}
    return tool_part(call_id, "approval-responded", approval=approval)


def test_allowed_call_is_executed_before_the_next_step() -> None:
    """Its result is the first chunk, and the model reads it."""
    provider = Provider(Step(TEXT, stopped()))
    played = play(agent(provider, our_tools()), answered(responded("t", approved=True)))
    output = ToolOutputAvailableChunk(tool_call_id="t", output=Raw(b"3"))
    assert played[:2] == [output, StartStepChunk()]
    assert json.loads(bytes(provider.requests[0].messages[-1].parts[1]))["output"] == 3


def test_refused_call_is_denied_and_the_model_is_told_why() -> None:
    """The person's reason stays with the call."""
    provider = Provider(Step(TEXT, stopped()))
    played = play(agent(provider, our_tools()), answered(responded("t", approved=False)))
    assert played[:2] == [ToolOutputDeniedChunk(tool_call_id="t"), StartStepChunk()]
    part = json.loads(bytes(provider.requests[0].messages[-1].parts[1]))
    assert part["approval"]["reason"] == "because"
    assert "output" not in part


@pytest.mark.parametrize(
    "waiting",
    [
        tool_part("t2", "approval-requested", approval={"id": "other"}),
        tool_part("t2", "input-available", name="ask"),
    ],
    ids=["a question", "a call for the client"],
)
def test_model_is_not_called_while_something_waits(waiting: dict[str, Any]) -> None:
    """The approved call is executed at once; the others may be answered later."""
    provider = Provider()
    asked = answered(responded("t", approved=True), waiting)
    assert play(agent(provider, our_tools()), asked) == [
        ToolOutputAvailableChunk(tool_call_id="t", output=Raw(b"3")),
        FinishChunk(finish_reason="tool-calls"),
    ]


def test_call_cut_by_a_crash_is_told_and_not_repeated() -> None:
    """It may have done its work: once is enough."""
    provider = Provider(Step(TEXT, stopped()))
    asked = answered(
        tool_part("t1", "input-available"), tool_part("t2", "output-available", output=1)
    )
    played = play(agent(provider, our_tools()), asked)
    assert played[:2] == [
        ToolOutputErrorChunk(tool_call_id="t1", error_text=INTERRUPTED_CALL),
        StartStepChunk(),
    ]


def test_retry_says_again_what_was_cut_in_its_words() -> None:
    """The model reads the calls, and not the beginning of the step that failed."""
    provider = Provider(Step(TEXT, stopped()))
    cut = ({"type": "step-start"}, {"type": "text", "text": "I was ab"})
    play(
        agent(provider, our_tools()),
        answered(tool_part("t1", "output-available", output=1), *cut),
    )
    types = [json.loads(bytes(part))["type"] for part in provider.requests[0].messages[-1].parts]
    assert types == ["step-start", "tool-add"]


def test_allowed_call_of_a_tool_that_is_gone_fails() -> None:
    """The settings changed while the question was open."""
    provider = Provider(Step(TEXT, stopped()))
    part = {**responded("t", approved=True), "type": "tool-removed"}
    first, *_ = play(agent(provider, our_tools()), answered(part))
    assert isinstance(first, ToolOutputErrorChunk)
    assert "removed" in first.error_text


def test_cut_step_executes_nothing() -> None:
    """A call before the limit was reached is left alone, as the AI SDK does."""
    chunks, tool_call = call("add")
    result = stopped(finish_reason="length", tool_calls=[tool_call])
    played = play(agent(Provider(Step(chunks, result)), our_tools()))
    assert played[-1] == FinishChunk(finish_reason="length")


def test_steps_have_a_limit() -> None:
    """A model that never stops calling is stopped."""
    chunks, tool_call = call("add")
    step = Step(chunks, stopped(finish_reason="tool-calls", tool_calls=[tool_call]))
    provider = Provider(*[step] * 9)
    played = play(agent(provider, our_tools(), max_steps=3))
    assert len(provider.requests) == 3
    assert played[-1] == FinishChunk(finish_reason="tool-calls")


def test_continued_message_goes_on_in_the_next_step() -> None:
    """The prompt contains the earlier parts of the message."""
    chunks, tool_call = call("add")
    first = Step(chunks, stopped(finish_reason="tool-calls", tool_calls=[tool_call]))
    provider = Provider(first, Step(TEXT, stopped()))
    before = message("assistant", {"type": "step-start"}, {"type": "text", "text": "so"})
    play(agent(provider, our_tools()), request(history=[message("user"), before]))
    user, so_far = provider.requests[1].messages
    assert (user.id, so_far.id) == ("user", "assistant")
    assert [json.loads(bytes(part))["type"] for part in so_far.parts] == [
        "step-start",
        "text",
        "step-start",
        "tool-add",
    ]


def test_interrupted_step_is_left_open() -> None:
    """The end of the run closes its parts, and the step with them."""
    chunks = play(agent(Provider(Step(TEXT[:3], stopped(finish_reason="interrupted")))))
    assert chunks == [*TEXT[:3], FinishChunk(finish_reason="interrupted")]


@pytest.mark.parametrize("where", ["entering", "reading", "the result"])
def test_failure_of_the_provider_is_raised_after_what_came(where: str) -> None:
    """Chunks before it stay, and the metadata comes before the error."""
    failure = Fault.OVERLOADED.error()
    step: Step | Exception = failure
    if where == "reading":
        step = Step([*TEXT[:3], failure], stopped())
    elif where == "the result":
        step = Step(TEXT[:3], stopped(failure=failure))
    target = agent(Provider(step), message_metadata=True)
    chunks, error = asyncio.run(until_error(target))
    assert error is failure
    assert chunks[:-1] == ([] if where == "entering" else TEXT[:3])
    assert isinstance(chunks[-1], MessageMetadataChunk)


def test_answer_with_a_hole_ends_in_an_error() -> None:
    """The error at the end names the unreadable part; it is not dropped silently."""
    target = agent(Provider(Step(TEXT, stopped(warning="a part is missing"))))
    chunks, error = asyncio.run(until_error(target))
    assert chunks == TEXT
    assert isinstance(error, ProviderUnavailableError)
    assert error.message == "a part is missing"


def test_metadata_says_who_answered_what_it_used_and_how_long_it_took() -> None:
    """Usage is the sum of the steps', the model the provider's own name of it."""
    chunks, tool_call = call("add")
    first = Step(chunks, stopped(finish_reason="tool-calls", tool_calls=[tool_call]))
    provider = Provider(first, Step(TEXT, stopped(model="model-0-snapshot")))
    finish = play(agent(provider, our_tools(), message_metadata=True))[-1]
    assert isinstance(finish, FinishChunk)
    assert isinstance(finish.message_metadata, Raw)
    metadata = json.loads(bytes(finish.message_metadata))
    assert metadata["model"] == "model-0-snapshot"
    assert metadata["finishReason"] == "stop"
    assert metadata["usage"] == {"inputTokens": 4, "outputTokens": 6, "totalTokens": 10}
    assert 0 <= metadata["firstChunkMs"] <= metadata["durationMs"]


def test_closing_the_stream_leaves_the_step_at_once() -> None:
    """The upstream connection is released before the close returns."""

    async def close_early() -> int:
        provider = Provider(Step(TEXT, stopped()))
        async with aclosing(agent(provider).stream(request())) as stream:
            async for _ in stream:
                assert provider.open == 1
                break
        return provider.open

    assert asyncio.run(close_early()) == 0
