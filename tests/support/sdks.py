"""The providers' own Python SDKs, with and without `await`, as a backend uses the proxy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anthropic
import openai

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.wire import Endpoint

_CLIENTS: Final[dict[tuple[bool, bool], Any]] = {
    (True, True): anthropic.AsyncAnthropic,
    (True, False): anthropic.Anthropic,
    (False, True): openai.AsyncOpenAI,
    (False, False): openai.OpenAI,
}
REFUSED: Final = (anthropic.APIStatusError, openai.APIStatusError)
BROKEN_OFF: Final = (anthropic.APIConnectionError, openai.APIConnectionError)


class Sdk(NamedTuple):
    """One of the three APIs through its SDK, with or without `await`."""

    api: str
    awaited: bool

    async def call(self, at: Endpoint, body: Mapping[str, Any], **midstream: str) -> Any:
        """Make a call; headers as `session`, `run`, `end`. Raises what the SDK raises."""
        headers = {f"x-midstream-{name}": value for name, value in midstream.items()}
        is_anthropic = self.api == "messages"
        path = "anthropic" if is_anthropic else "openai/v1"
        kind = _CLIENTS[is_anthropic, self.awaited]
        options = {"base_url": f"{at.url}/proxy/{path}", "api_key": "any", "max_retries": 0}
        if not self.awaited:
            return await asyncio.to_thread(self._block, kind, options, body, headers)
        async with kind(**options) as client:
            answer = await self._create(client)(**body, extra_headers=headers)
            return [event async for event in answer] if body.get("stream") else answer

    def _block(
        self,
        kind: Any,
        options: Mapping[str, Any],
        body: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> Any:
        with kind(**options) as client:
            answer = self._create(client)(**body, extra_headers=headers)
            return list(answer) if body.get("stream") else answer

    def _create(self, client: Any) -> Any:
        return {
            "chat": lambda: client.chat.completions.create,
            "responses": lambda: client.responses.create,
            "messages": lambda: client.messages.create,
        }[self.api]()


SDKS: Final = [
    Sdk(api, awaited) for api in ("chat", "responses", "messages") for awaited in (True, False)
]


def sdk_id(sdk: Sdk) -> str:
    """Name it in a test's id."""
    return f"{sdk.api}-{'async' if sdk.awaited else 'sync'}"


def with_results(api: str, body: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    """Return the body of the next call: the answer's tool calls, each with its result."""
    if api == "chat":
        message = answer.choices[0].message
        results: list[Any] = [
            {"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 21}'}
            for call in message.tool_calls
        ]
        said = message.to_dict(mode="json")
        return {**body, "messages": [*body["messages"], said, *results]}
    if api == "messages":
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": '{"celsius": 21}'}
            for block in answer.content
            if block.type == "tool_use"
        ]
        content = [block.to_dict(mode="json") for block in answer.content]
        assistant = {"role": "assistant", "content": content}
        return {
            **body,
            "messages": [*body["messages"], assistant, {"role": "user", "content": results}],
        }
    asked = body["input"]
    before = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": '{"celsius": 21}'}
        for item in answer.output
        if item.type == "function_call"
    ]
    items = [item.to_dict(mode="json") for item in answer.output]
    return {**body, "input": [*before, *items, *results]}
