"""OpenAI's own SDK against the simulated Chat Completions API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    from tests.integration.simulator.conftest import Simulated

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"days": {"type": "integer"}},
            "required": ["days"],
        },
    },
}


async def whole(sim: Simulated, prompt: str, **more: Any) -> ChatCompletion:
    """Return an answer that is not streamed."""
    request: dict[str, Any] = {"model": "sim-instant", **more}
    request.setdefault("messages", [{"role": "user", "content": prompt}])
    answer: ChatCompletion = await sim.openai.chat.completions.create(**request)
    return answer


async def chunks(sim: Simulated, prompt: str, **more: Any) -> list[ChatCompletionChunk]:
    """Return a streamed answer's chunks."""
    request: dict[str, Any] = {"model": "sim-instant", "stream": True, **more}
    request.setdefault("messages", [{"role": "user", "content": prompt}])
    stream = await sim.openai.chat.completions.create(**request)
    return [chunk async for chunk in stream]


async def test_sdk_reads_text_and_the_usage_it_asked_for(sim: Simulated) -> None:
    """A stream ends with a usage chunk that adds up, when asked for."""
    got = await chunks(sim, "Hi [[tokens=30]]", stream_options={"include_usage": True})
    deltas = [c.choices[0].delta.content for c in got if c.choices and c.choices[0].delta.content]
    usage = got[-1].usage
    assert usage is not None
    assert len(deltas) == usage.completion_tokens == 30
    assert usage.total_tokens == usage.prompt_tokens + 30
    assert got[-2].choices[0].finish_reason == "stop"


async def test_sdk_gets_no_usage_unasked(sim: Simulated) -> None:
    """Without `include_usage` no chunk has usage."""
    assert all(chunk.usage is None for chunk in await chunks(sim, "Hi [[tokens=3]]"))


async def test_sdk_gets_the_same_answer_without_streaming(sim: Simulated) -> None:
    """Streamed and whole answers to a prompt are the same text."""
    streamed = "".join(
        c.choices[0].delta.content or "" for c in await chunks(sim, "Hi") if c.choices
    )
    assert (await whole(sim, "Hi")).choices[0].message.content == streamed


async def test_sdk_runs_parallel_tools_and_gets_an_answer_that_uses_them(sim: Simulated) -> None:
    """Two calls of one step have their own index; their results are used."""
    prompt = 'Go [[tool=weather {"days": 2}]] [[tool=weather]]'
    got = await chunks(sim, prompt, tools=[WEATHER])
    inputs = {0: "", 1: ""}
    ids: dict[int, str] = {}
    for chunk in got:
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function is not None
            ids[call.index] = call.id or ids[call.index]
            inputs[call.index] += call.function.arguments or ""
    assert inputs == {0: '{"days": 2}', 1: '{"days": 1}'}
    assert got[-1].choices[0].finish_reason == "tool_calls"
    calls = [
        {"id": ids[n], "type": "function", "function": {"name": "weather", "arguments": inputs[n]}}
        for n in inputs
    ]
    results = [{"role": "tool", "tool_call_id": ids[n], "content": f"sun {n}"} for n in inputs]
    history = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": None, "tool_calls": calls},
        *results,
    ]
    answer = await whole(sim, "", messages=history, tools=[WEATHER])
    text = answer.choices[0].message.content or ""
    assert "answered: sun 0" in text and "answered: sun 1" in text


async def test_sdk_reads_a_refusal(sim: Simulated) -> None:
    """A refusal is its own field, and the reason is `stop`."""
    got = await chunks(sim, "[[refuse]]")
    assert "".join(c.choices[0].delta.refusal or "" for c in got).startswith("I cannot help")
    assert got[-1].choices[0].finish_reason == "stop"


async def test_sdk_pays_for_reasoning_it_does_not_see(sim: Simulated) -> None:
    """Reasoning counts in the usage and shows nowhere."""
    answer = await whole(sim, "Hi [[reasoning=25 tokens=5]]")
    assert answer.usage is not None and answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 25
    assert answer.usage.completion_tokens == 30


async def test_sdk_reads_citations(sim: Simulated) -> None:
    """Annotations point at the quoted part of the text."""
    message = (await whole(sim, "News [[sources=2]]")).choices[0].message
    assert message.annotations is not None and len(message.annotations) == 2
    cited = message.annotations[0].url_citation
    quoted = (message.content or "")[cited.start_index : cited.end_index]
    assert quoted.endswith(".") and quoted[0].isupper()


async def test_sdk_is_cut_off_at_max_completion_tokens(sim: Simulated) -> None:
    """The limit ends an answer with `length`."""
    answer = await whole(sim, "Hi [[tokens=40]]", max_completion_tokens=4)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens == 4


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"messages": []}, openai.BadRequestError),
        ({"messages": "Hi"}, openai.BadRequestError),
        (
            {"messages": [{"role": "tool", "tool_call_id": "call_x", "content": "?"}]},
            openai.BadRequestError,
        ),
        ({"model": "sim-missing"}, openai.NotFoundError),
        ({"extra_headers": {"authorization": "Bearer invalid"}}, openai.AuthenticationError),
        ({"extra_headers": {"authorization": ""}}, openai.AuthenticationError),
    ],
)
async def test_sdk_meets_the_apis_errors(
    sim: Simulated, change: dict[str, Any], error: type[openai.APIStatusError]
) -> None:
    """Bad requests are refused in OpenAI's shape, with a request id."""
    with pytest.raises(error) as caught:
        await whole(sim, "Hi", **change)
    body: Any = caught.value.body
    assert set(body) == {"message", "type", "param", "code"}
    assert caught.value.request_id
