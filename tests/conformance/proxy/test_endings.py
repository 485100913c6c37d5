"""The end that a stop gives to a stream is one to the Node SDKs' helpers too."""

from __future__ import annotations

import base64

import pytest

from tests.support.node_program import node_program
from tests.support.provider_calls import APIS, events_in
from tests.unit.gateway.providers.passthrough.test_proxied_answers import (
    PLAIN,
    PROMPT,
    answer_of,
    reader_for,
)

pytestmark = pytest.mark.anyio

_TEXT = {
    "chat": lambda event: event["choices"][0]["delta"].get("content") or "",
    "responses": lambda event: (
        event["delta"] if event["type"] == "response.output_text.delta" else ""
    ),
    "messages": lambda event: event.get("delta", {}).get("text", ""),
}


@pytest.mark.parametrize("api", APIS)
async def test_answer_stopped_after_any_event_is_a_whole_one_to_nodes_sdk(api: str) -> None:
    """Its helper finds an end, and all the text that had come."""
    streams, said = [], []
    for prompt in (PROMPT, PLAIN):
        data = await answer_of(api, prompt)
        frames = [frame + b"\n\n" for frame in data.split(b"\n\n")[:-1]]
        for count in range(len(frames)):
            reader = reader_for(api)
            passed, _ = reader.receive_data(b"".join(frames[:count]))
            last = reader.close()
            assert last is not None
            encoded = base64.b64encode(passed + last).decode()
            streams.append({"api": api, "data": encoded})
            came = [event for event in events_in(passed) if event != "[DONE]"]
            said.append("".join(_TEXT[api](event) for event in came))  # type: ignore[no-untyped-call]
    with node_program("stopped_streams.mjs") as sdks:
        finals = sdks.ask_all(streams)

    assert [final for final in finals if "error" in final] == []
    assert [final["text"] for final in finals] == said
    assert None not in [final["reason"] for final in finals]
