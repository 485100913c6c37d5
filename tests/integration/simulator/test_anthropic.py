"""Anthropic's own SDK against the simulated Messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import pytest

if TYPE_CHECKING:
    from anthropic.types import Message

    from tests.integration.simulator.conftest import Simulated

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "name": "weather",
    "description": "The weather somewhere.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


async def ask(sim: Simulated, prompt: str, **more: Any) -> Message:
    """Return the streamed answer as the SDK puts it together."""
    request: dict[str, Any] = {"model": "sim-instant", "max_tokens": 5000, **more}
    request.setdefault("messages", [{"role": "user", "content": prompt}])
    async with sim.anthropic.messages.stream(**request) as stream:
        return await stream.get_final_message()


async def test_sdk_reads_text_with_usage_that_counts_the_deltas(sim: Simulated) -> None:
    """A stream of 40 tokens has 40 deltas and says 40 in its usage."""
    deltas = []
    messages: Any = [{"role": "user", "content": "Hi [[tokens=40]]"}]
    async with sim.anthropic.messages.stream(
        model="sim-instant", max_tokens=500, messages=messages
    ) as stream:
        deltas = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert len(deltas) == message.usage.output_tokens == 40
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.id.startswith("msg_01")


async def test_sdk_gets_the_same_answer_without_streaming(sim: Simulated) -> None:
    """The body of a request that does not stream has the streamed content."""
    streamed = await ask(sim, "Tell me [[reasoning=10 sources=2]]")
    whole = await sim.anthropic.messages.create(
        model="sim-instant",
        max_tokens=5000,
        messages=[{"role": "user", "content": "Tell me [[reasoning=10 sources=2]]"}],
    )
    assert [b.type for b in whole.content] == [b.type for b in streamed.content]
    # The search's id is made for each answer.
    assert [b.to_dict() for b in whole.content[3:]] == [b.to_dict() for b in streamed.content[3:]]
    assert whole.usage.output_tokens == streamed.usage.output_tokens


async def test_sdk_is_cut_off_at_max_tokens(sim: Simulated) -> None:
    """`max_tokens` ends an answer that is longer."""
    message = await ask(sim, "Hi [[tokens=40]]", max_tokens=7)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 7


async def test_sdk_is_stopped_at_a_stop_sequence(sim: Simulated) -> None:
    """Text ends before a stop sequence, which is named."""
    message = await ask(sim, "Hello there", stop_sequences=["subject"])
    assert message.stop_reason == "stop_sequence"
    assert message.stop_sequence == "subject"
    assert message.content[0].type == "text"
    assert message.content[0].text.endswith("there is one ")


async def test_sdk_hands_back_thinking_with_its_signature(sim: Simulated) -> None:
    """Thinking comes first and signed; the API takes it back as it was."""
    first = await ask(sim, "Think [[reasoning=12 tokens=5]]")
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert first.content[0].type == "thinking" and len(first.content[0].signature) > 200
    history = [
        {"role": "user", "content": "Think"},
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": "more [[tokens=3]]"},
    ]
    assert (await ask(sim, "", messages=history)).stop_reason == "end_turn"


async def test_sdk_is_refused_thinking_that_was_changed(sim: Simulated) -> None:
    """A thinking block that does not fit its signature is a 400, as it is in earnest."""
    first = await ask(sim, "Think [[reasoning=12 tokens=5]]")
    blocks = [block.to_dict() for block in first.content]
    blocks[0]["thinking"] = "something else"
    history = [
        {"role": "user", "content": "Think"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": "more"},
    ]
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        await ask(sim, "", messages=history)


async def test_sdk_runs_a_tool_and_gets_an_answer_that_uses_the_result(sim: Simulated) -> None:
    """A tool is called with the input asked for; its result is in the next answer."""
    prompt = 'What is it like? [[tool=weather {"city": "Paris [[1]]"}]]'
    first = await ask(sim, prompt, tools=[WEATHER])
    assert first.stop_reason == "tool_use"
    call = first.content[0]
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("weather", {"city": "Paris [[1]]"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees"}
    history = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": [call.to_dict()]},
        {"role": "user", "content": [result]},
    ]
    second = await ask(sim, "", messages=history, tools=[WEATHER])
    assert second.stop_reason == "end_turn"
    assert second.content[0].type == "text"
    assert "The tool `weather` answered: 18 degrees" in second.content[0].text


async def test_tool_model_makes_an_input_from_the_schema(sim: Simulated) -> None:
    """`sim-tools` calls the first declared tool with its required properties."""
    message = await ask(sim, "Go", model="sim-tools", tools=[WEATHER])
    assert message.content[0].type == "tool_use"
    assert message.content[0].input == {"city": "example"}


async def test_sdk_is_refused_a_tool_call_without_result(sim: Simulated) -> None:
    """A history with an unanswered `tool_use` is a 400."""
    history = [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}],
        },
        {"role": "user", "content": "and?"},
    ]
    with pytest.raises(anthropic.BadRequestError, match="without `tool_result`"):
        await ask(sim, "", messages=history)


async def test_sdk_reads_a_search_and_its_citations(sim: Simulated) -> None:
    """Sources come as a server tool, its results, and citations on the quoting blocks."""
    message = await ask(sim, "News? [[sources=3]]")
    assert [block.type for block in message.content[:3]] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
    ]
    cited = [b.citations[0] for b in message.content if b.type == "text" and b.citations]
    assert len(cited) == 3
    assert message.usage.server_tool_use is not None
    assert message.usage.server_tool_use.web_search_requests == 1


async def test_sdk_reads_a_refusal(sim: Simulated) -> None:
    """A refusal is a stop reason with details, and no content."""
    message = await ask(sim, "[[refuse]]")
    assert message.stop_reason == "refusal"
    assert message.content == []


async def test_sdk_lists_models_and_counts_tokens(sim: Simulated) -> None:
    """The list holds the presets; counting answers without a call."""
    models = [model.id async for model in sim.anthropic.models.list()]
    assert "sim-reasoner" in models
    counted = await sim.anthropic.messages.count_tokens(
        model="sim", messages=[{"role": "user", "content": "x" * 400}]
    )
    assert counted.input_tokens == 104


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"messages": [{"role": "user", "content": 5}]}, anthropic.BadRequestError),
        ({"model": "sim-missing"}, anthropic.NotFoundError),
        ({"extra_headers": {"x-api-key": "invalid"}}, anthropic.AuthenticationError),
        (
            {"messages": [{"role": "user", "content": "[[tokns=5]]"}]},
            anthropic.BadRequestError,
        ),
    ],
)
async def test_sdk_meets_the_apis_errors(
    sim: Simulated, change: dict[str, Any], error: type[anthropic.APIStatusError]
) -> None:
    """Bad requests are refused in Anthropic's shape, with a request id."""
    with pytest.raises(error) as caught:
        await ask(sim, "Hi", **change)
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["request_id"] == caught.value.request_id


@pytest.mark.parametrize(
    "thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_01x"}]
)
async def test_thread_is_refused_as_the_api_refuses_what_it_cannot_keep(
    sim: Simulated, thread: Any
) -> None:
    """Never answered without the conversation that it stands for; null is none."""
    asked: dict[str, Any] = {
        "model": "sim-instant",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "And then? [[tokens=3]]"}],
        "betas": ["message-threads-2026-08-12"],
    }
    with pytest.raises(anthropic.types.ThreadUnsupportedRequestError) as refused:
        await sim.anthropic.beta.messages.create(**asked, thread=thread)
    assert refused.value.error_code == "thread_unsupported_request"
    assert "full conversation" in str(refused.value)
    assert (await sim.anthropic.beta.messages.create(**asked, thread=None)).content
