"""The providers' far end: real providers of ours, whose SDK's client answers from memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import httpx2

from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.sdk_client import ClientOptions
from tests.fuzz.strict_apis import RefusedError, check_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from midstream.providers.base import Provider
    from tests.fuzz.corpus import Wire

GOOD_TEXT: Final = "All is well."

GOOD: Final[Mapping[Wire, list[dict[str, Any]]]] = {
    "anthropic": [
        {
            "type": "message_start",
            "message": {"id": "msg_g", "model": "m", "usage": {"input_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": GOOD_TEXT},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
    ],
    "openai-chat": [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": GOOD_TEXT}}]},
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ],
    "openai-responses": [
        {"type": "response.created", "response": {"id": "resp_g", "created_at": 1, "model": "m"}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "message", "id": "msg_g"},
        },
        {
            "type": "response.output_text.delta",
            "item_id": "msg_g",
            "output_index": 0,
            "content_index": 0,
            "delta": GOOD_TEXT,
        },
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {
                "type": "message",
                "id": "msg_g",
                "role": "assistant",
                "content": [{"type": "output_text", "text": GOOD_TEXT, "annotations": []}],
            },
        },
        {
            "type": "response.completed",
            "response": {
                "id": "resp_g",
                "usage": {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4},
            },
        },
    ],
}


_SPOKEN: Final[Mapping[Wire, Wire]] = {
    "openai-compatible": "openai-chat",
    "openai-plain": "openai-responses",
}
"""Providers that share the good answer of another."""


def good_stream(wire: Wire) -> bytes:
    """Return an answer that nothing is wrong with."""
    return b"".join(
        b"event: %b\ndata: %b\n\n"
        % (event.get("type", "message").encode(), json.dumps(event).encode())
        for event in GOOD[_SPOKEN.get(wire, wire)]
    )


class _Body(httpx2.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def aclose(self) -> None:
        """Nothing is held."""


class FarEnd:
    """A provider's API, and the SDK's client for it.

    Attributes:
        provider: ours, which asks it.
        answers: what it says next, in pieces; when there is none, a good answer.
        refusals: why it has refused requests.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire: Wire = wire
        self.answers: list[Iterable[bytes]] = []
        self.refusals: list[str] = []
        self.provider = _provider(wire, self)

    async def post(
        self, path: str, *, body: object = None, content: bytes = b"", **_: object
    ) -> httpx2.Response:
        """Answer a request, as the SDKs' `post` does with `cast_to=httpx2.Response`."""
        sent = content
        if body is not None:
            # As the SDK encodes it.
            sent = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        try:
            check_request(self.wire, sent)
        except RefusedError as refused:
            self.refusals.append(str(refused))
        answer = self.answers.pop(0) if self.answers else (good_stream(self.wire),)
        return httpx2.Response(
            200,
            headers={"content-type": "text/event-stream"},
            stream=_Body(answer),
            request=httpx2.Request("POST", f"http://far.example{path}"),
        )

    async def close(self) -> None:
        """Nothing is held."""


def _provider(wire: Wire, client: FarEnd) -> Provider:
    if wire == "anthropic":
        anthropic = AnthropicProvider(ClientOptions(api_key="k"))
        anthropic._client._client = cast("Any", client)
        return anthropic
    is_chat = wire in ("openai-chat", "openai-compatible")
    kind = OpenAIChatProvider if is_chat else OpenAIResponsesProvider
    openai = kind(ClientOptions(api_key="k"), compatible=wire in _SPOKEN)
    openai._client._client = cast("Any", client)
    return openai
