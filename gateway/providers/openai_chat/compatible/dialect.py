"""Differences between servers that are compatible with OpenAI's API.

They agree on text and calls. A model's thinking has no place in OpenAI's Chat Completions, so
that each server has found one, and some refuse a request that has it in another.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from midstream.providers.hosts import is_one_of

ThinkingField: TypeAlias = Literal["reasoning_content", "reasoning", "content", "none"]
"""Field of an assistant's message with its thinking; `content`: a part of that; `none`: none."""

_THINKING_FIELDS: Final[dict[str, ThinkingField]] = {
    "api.groq.com": "reasoning",
    "api.cerebras.ai": "reasoning",
    "openrouter.ai": "reasoning",
    "api.mistral.ai": "content",
    "api.deepseek.com": "reasoning_content",
    "api.moonshot.ai": "reasoning_content",
    "api.moonshot.cn": "reasoning_content",
}
"""Host -> its field. The first two and Mistral refuse a request that has any other."""

_ALWAYS_THINKING: Final = ("api.deepseek.com",)
"""Hosts that want the field in each message of the assistant's, if only an empty one.

Source: @ai-sdk/deepseek 3.0.56, `convert-to-deepseek-chat-messages.ts`.
"""


class Dialect(Struct, frozen=True, kw_only=True):
    """Form of the requests to one server.

    Attributes:
        name: whose metadata a part's is: the provider's name, as in settings.
        thinking: where the model's thinking goes in a request.
        always_thinking: messages without any thinking have the field, too.
    """

    name: str = "openai-chat"
    thinking: ThinkingField = "reasoning_content"
    always_thinking: bool = False


def known_thinking_field(base_url: str | None) -> ThinkingField | None:
    """Return the field of a server that is known by its address."""
    for host, field in _THINKING_FIELDS.items():
        if base_url is not None and is_one_of((host,), base_url):
            return field
    return None


def wants_thinking_always(base_url: str | None) -> bool:
    """Whether a server refuses a message of the assistant's that has no thinking field."""
    return base_url is not None and is_one_of(_ALWAYS_THINKING, base_url)
