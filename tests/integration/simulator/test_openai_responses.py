"""OpenAI's own SDK against the simulated Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

if TYPE_CHECKING:
    from openai.types.responses import Response, ResponseStreamEvent

    from tests.integration.simulator.conftest import Simulated

pytestmark = pytest.mark.anyio

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}},
        "required": ["city"],
    },
}


async def whole(sim: Simulated, prompt: Any, **more: Any) -> Response:
    """Return an answer that is not streamed."""
    request: dict[str, Any] = {"model": "sim-instant", "input": prompt, **more}
    response: Response = await sim.openai.responses.create(**request)
    return response


async def events(sim: Simulated, prompt: Any, **more: Any) -> list[ResponseStreamEvent]:
    """Return a streamed answer's events."""
    request: dict[str, Any] = {"model": "sim-instant", "input": prompt, "stream": True, **more}
    stream = await sim.openai.responses.create(**request)
    return [event async for event in stream]


def final(got: list[ResponseStreamEvent]) -> Response:
    """Return the response of the last event."""
    last = got[-1]
    assert last.type in ("response.completed", "response.incomplete"), last
    return last.response


async def test_sdk_reads_text_and_its_usage_in_sequence(sim: Simulated) -> None:
    """Events are numbered without a gap; the usage counts the deltas."""
    got = await events(sim, "Hi [[tokens=30]]")
    numbered: list[Any] = list(got)
    assert [event.sequence_number for event in numbered] == list(range(len(got)))
    response = final(got)
    text = "".join(e.delta for e in got if e.type == "response.output_text.delta")
    assert response.output_text == text
    assert response.usage is not None
    assert sum(e.type == "response.output_text.delta" for e in got) == 30
    assert response.usage.output_tokens == 30
    assert response.usage.total_tokens == response.usage.input_tokens + 30


async def test_sdk_gets_the_same_answer_without_streaming(sim: Simulated) -> None:
    """Streamed and whole answers to a prompt are the same text."""
    assert (await whole(sim, "Hello")).output_text == final(await events(sim, "Hello")).output_text


async def test_sdk_hands_back_sealed_reasoning(sim: Simulated) -> None:
    """Reasoning comes with encrypted content on request, and is taken back as it was."""
    first = await whole(
        sim,
        "Think [[reasoning=40 tokens=5]]",
        store=False,
        include=["reasoning.encrypted_content"],
    )
    reasoning = first.output[0]
    assert reasoning.type == "reasoning"
    assert len(reasoning.summary) == 2
    history = [{"role": "user", "content": "Think"}, *(item.to_dict() for item in first.output)]
    history.append({"role": "user", "content": "more [[tokens=3]]"})
    assert (await whole(sim, history)).status == "completed"
    reasoning.summary[0].text = "something else"
    history[1] = reasoning.to_dict()
    with pytest.raises(openai.BadRequestError, match="could not be verified"):
        await whole(sim, history)


async def test_sdk_runs_a_tool_in_a_stored_conversation(sim: Simulated) -> None:
    """A call's output is sent with `previous_response_id`; the answer uses it."""
    first = final(await events(sim, "Go [[tool=weather]]", tools=[WEATHER]))
    call = first.output[0]
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("weather", '{"city": "Rome"}')
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = await whole(sim, [output], previous_response_id=first.id, tools=[WEATHER])
    assert "The tool `weather` answered: sunny" in second.output_text


async def test_sdk_points_at_stored_items(sim: Simulated) -> None:
    """An item reference stands for the item; one that was not stored is a 404."""
    first = await whole(sim, "Hi [[tokens=5]]")
    assert first.output[0].id is not None
    history: list[Any] = [
        {"role": "user", "content": "Hi"},
        {"type": "item_reference", "id": first.output[0].id},
        {"role": "user", "content": "[[echo]]"},
    ]
    assert f"assistant: {first.output_text}" in (await whole(sim, history)).output_text
    history[1]["id"] = "msg_unknown"
    with pytest.raises(openai.NotFoundError):
        await whole(sim, history)


async def test_sdk_retrieves_a_stored_response(sim: Simulated) -> None:
    """A response is kept unless `store` is false."""
    kept = await whole(sim, "Hi [[tokens=5]]")
    assert (await sim.openai.responses.retrieve(kept.id)).output_text == kept.output_text
    gone = await whole(sim, "Hi [[tokens=5]]", store=False)
    with pytest.raises(openai.NotFoundError):
        await sim.openai.responses.retrieve(gone.id)


async def test_sdk_is_refused_a_call_without_output(sim: Simulated) -> None:
    """A history with an unanswered call is a 400."""
    call = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
    with pytest.raises(openai.BadRequestError, match="No tool output found"):
        await whole(sim, [{"role": "user", "content": "go"}, call])


async def test_sdk_reads_a_search_and_its_citations(sim: Simulated) -> None:
    """A search call comes first; annotations point at what the text quotes."""
    response = final(await events(sim, "News [[sources=2]]"))
    assert [item.type for item in response.output] == ["web_search_call", "message"]
    message = response.output[1]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text" and len(part.annotations) == 2
    cited = part.annotations[0]
    assert cited.type == "url_citation"
    assert part.text[cited.start_index : cited.end_index].endswith(".")


async def test_sdk_reads_a_refusal(sim: Simulated) -> None:
    """A refusal is a content part of its own."""
    response = final(await events(sim, "[[refuse]]"))
    assert response.output[0].type == "message"
    assert response.output[0].content[0].type == "refusal"


async def test_sdk_is_cut_off_at_max_output_tokens(sim: Simulated) -> None:
    """The limit makes the response incomplete."""
    got = await events(sim, "Hi [[tokens=40]]", max_output_tokens=16)
    response = final(got)
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None and response.usage.output_tokens == 16


async def test_sdk_lists_models(sim: Simulated) -> None:
    """The list holds the presets."""
    assert "sim-slow" in [model.id async for model in sim.openai.models.list()]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"input": []}, openai.BadRequestError),
        ({"background": True, "store": False}, openai.BadRequestError),
        ({"max_output_tokens": 1}, openai.BadRequestError),
        ({"previous_response_id": "resp_x"}, openai.BadRequestError),
        ({"model": "sim-missing"}, openai.NotFoundError),
        ({"extra_headers": {"authorization": ""}}, openai.AuthenticationError),
    ],
)
async def test_sdk_meets_the_apis_errors(
    sim: Simulated, change: dict[str, Any], error: type[openai.APIStatusError]
) -> None:
    """Bad requests are refused in OpenAI's shape."""
    request: dict[str, Any] = {"model": "sim", "input": "Hi", **change}
    with pytest.raises(error) as caught:
        await sim.openai.responses.create(**request)
    body: Any = caught.value.body
    assert set(body) == {"message", "type", "param", "code"}
