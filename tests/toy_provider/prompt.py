"""A conversation as a request of the toy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midstream.providers.conversation.messages import (
    AssistantMessage,
    ModelText,
    UserMessage,
    model_messages,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from midstream.providers.base import StepRequest


def toy_request(request: StepRequest) -> dict[str, Any]:
    """Return the body of `POST /speak`."""
    return {"model": request.model, **sdk_prompt(request), "stream": True}


def sdk_prompt(request: StepRequest) -> dict[str, Any]:
    """Return the conversation as the argument of the SDK."""
    return {"turns": list(_turns(request))}


def _turns(request: StepRequest) -> Iterator[dict[str, str]]:
    for message in model_messages(request.messages):
        if isinstance(message, UserMessage | AssistantMessage):
            texts = (part.text for part in message.content if isinstance(part, ModelText))
            who = "user" if isinstance(message, UserMessage) else "toy"
            yield {"who": who, "says": "".join(texts)}
