"""A history as Responses input for a server that keeps nothing.

Nothing is referred to: each item is whole, and says what it is. Thinking is an item's content,
as the server streamed it; an encrypted thought goes back as it was.

Source: @ai-sdk/open-responses 2.0.36, `convert-to-open-responses-input.ts`; what llama.cpp takes,
`server-chat.cpp`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.providers.conversation.messages import (
    AssistantMessage,
    ModelReasoning,
    ModelText,
    ModelToolCall,
)
from midstream.providers.openai.options import part_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from midstream.providers.openai.options import PartOptions

Item = dict[str, object]


def plain_step(
    message: AssistantMessage, call: Callable[[ModelToolCall, PartOptions], Item]
) -> Iterator[Item]:
    """Yield the items of one step of the model's; none if nothing came of it.

    Args:
        message: the step.
        call: makes the item of a function call.
    """
    if not any(_says_something(part) for part in message.content):
        return
    thought: list[str] = []
    for part in message.content:
        options = part_options(part.metadata)
        if isinstance(part, ModelReasoning):
            if encrypted := options.reasoning_encrypted_content:
                summary = [{"type": "summary_text", "text": part.text}] if part.text else []
                yield {"type": "reasoning", "summary": summary, "encrypted_content": encrypted}
            else:
                thought.append(part.text)
            continue
        yield from _thought(thought)
        thought = []
        if isinstance(part, ModelText) and part.text:
            content = [{"type": "output_text", "text": part.text}]
            yield {"type": "message", "role": "assistant", "content": content}
        elif isinstance(part, ModelToolCall) and not part.is_open and not part.provider_executed:
            yield call(part, options)


def _says_something(part: object) -> bool:
    if isinstance(part, ModelText):
        return bool(part.text)
    return isinstance(part, ModelToolCall) and not part.is_open and not part.provider_executed


def _thought(texts: list[str]) -> Iterator[Item]:
    """Yield what the model thought in one go: servers read one text of it."""
    if text := "".join(texts):
        content = [{"type": "reasoning_text", "text": text}]
        yield {"type": "reasoning", "summary": [], "content": content}
