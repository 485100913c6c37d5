"""One question in each of the three APIs, and answers as their SDKs parse them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anthropic
import httpx2
import openai

if TYPE_CHECKING:
    from collections.abc import Callable

APIS: Final = ("chat", "responses", "messages")
PATHS: Final = {
    "chat": "openai/v1/chat/completions",
    "responses": "openai/v1/responses",
    "messages": "anthropic/v1/messages",
}
"""API -> its path below the simulator, and below `/proxy`."""

_PARAMETERS: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
_TOOLS: Final[dict[str, dict[str, Any]]] = {
    "chat": {"type": "function", "function": {"name": "weather", "parameters": _PARAMETERS}},
    "responses": {"type": "function", "name": "weather", "parameters": _PARAMETERS},
    "messages": {"name": "weather", "input_schema": _PARAMETERS},
}


def body_for(api: str, prompt: str, *, stream: bool = True) -> dict[str, Any]:
    """Return a request's body, which declares a tool `weather`."""
    body: dict[str, Any] = {"model": "sim-instant", "tools": [_TOOLS[api]], "stream": stream}
    if api == "responses":
        return {**body, "input": prompt, "reasoning": {"effort": "low", "summary": "auto"}}
    messages = [{"role": "user", "content": prompt}]
    if api == "chat":
        return {**body, "messages": messages}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    return {**body, "messages": messages, "max_tokens": 4000, "thinking": thinking}


class _Canned(httpx2.MockTransport):
    def __init__(self, data: bytes) -> None:
        headers = {"content-type": "text/event-stream"}
        super().__init__(lambda _: httpx2.Response(200, headers=headers, content=data))


def final_of(api: str, data: bytes) -> Any:
    """Return the whole answer as the SDK's own stream helper parses it.

    Raises the helper's errors for a stream without a proper end.
    """
    return _FINAL[api](httpx2.Client(transport=_Canned(data)))


def _final_chat(client: httpx2.Client) -> Any:
    sdk = openai.OpenAI(api_key="x", http_client=client)
    with sdk.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "x"}]
    ) as stream:
        stream.until_done()
        return stream.get_final_completion()


def _final_response(client: httpx2.Client) -> Any:
    sdk = openai.OpenAI(api_key="x", http_client=client)
    with sdk.responses.stream(model="m", input="x") as stream:
        stream.until_done()
        return stream.get_final_response()


def _final_message(client: httpx2.Client) -> Any:
    sdk = anthropic.Anthropic(api_key="x", http_client=client)
    with sdk.messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
    ) as stream:
        return stream.get_final_message()


_FINAL: Final[dict[str, Callable[[httpx2.Client], Any]]] = {
    "chat": _final_chat,
    "responses": _final_response,
    "messages": _final_message,
}


def events_in(data: bytes) -> list[Any]:
    """Return the events' JSON; `[DONE]` as text."""
    found = [
        line.removeprefix("data: ")
        for line in data.decode().split("\n")
        if line.startswith("data: ")
    ]
    return [each if each == "[DONE]" else json.loads(each) for each in found]
