"""Chat Completions chunks of a compatible server to UI message chunks.

What OpenAI's own API has not: thinking. Servers send it as `reasoning_content`, as `reasoning`,
as a part of a `content` that is a list, or as `reasoning_details`. Text and thinking close each
other; what comes later opens a part anew.

Source: @ai-sdk/openai-compatible 3.0.92, `chat/openai-compatible-chat-language-model.ts`.
Deviations: those of `openai_chat.py`; thinking that comes in `reasoning_details` alone is shown;
the details are kept, for the server to have them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import (
    AnyChunk,
    Json,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    TextDeltaChunk,
)
from midstream.providers.openai.usage import chat_usage
from midstream.providers.openai_chat.compatible.reasoning_details import ReasoningDetails
from midstream.providers.openai_chat.compatible.tool_deltas import (
    CompatibleToolCallDelta,
    CompatibleToolCalls,
)
from midstream.providers.openai_chat.translator import (
    Annotation,
    ChatChoice,
    ChatChunk,
    OpenAIChatTranslator,
)
from midstream.providers.stream.loose import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from midstream.providers.base import Usage
    from midstream.providers.conversation.tool_calls import ToolCalls
    from midstream.providers.openai_chat.compatible.dialect import ThinkingField
    from midstream.providers.part_ids import PartIds


class _CompatibleDelta(Struct):
    # Parts and details may be anything, and a thought of another shape is no reason to lose the
    # words beside it: what cannot be read is passed over.
    content: str | list[Any] | None = None
    reasoning_content: Side[str | None] = None
    reasoning: Side[str | None] = None
    reasoning_details: Side[list[Any] | None] = None
    refusal: str | bool | None = None
    tool_calls: list[CompatibleToolCallDelta] | None = None
    annotations: Side[list[Annotation] | None] = None


class _CompatibleChoice(ChatChoice[_CompatibleDelta]):
    pass


class _CompatibleChunk(ChatChunk[_CompatibleChoice]):
    pass


_decoder: Final = msgspec.json.Decoder(_CompatibleChunk)


class OpenAICompatibleTranslator(OpenAIChatTranslator):
    """Turns one completion's events into chunks.

    Args:
        calls, new_id, part_ids, send_sources: see OpenAIChatTranslator.
        name: the provider's, under which metadata is kept.
        send_reasoning: whether thinking is wanted.

    Attributes:
        thinking_field: where thinking was found; None if there was none.
    """

    event_type = _CompatibleChunk
    decoder: ClassVar[msgspec.json.Decoder[_CompatibleChunk]] = _decoder
    text_part = "txt-0"

    def __init__(
        self,
        calls: ToolCalls,
        *,
        new_id: Callable[[], str],
        name: str = "openai-chat",
        part_ids: PartIds | None = None,
        send_reasoning: bool = True,
        send_sources: bool = False,
    ) -> None:
        """Begin a step."""
        super().__init__(calls, new_id=new_id, part_ids=part_ids, send_sources=send_sources)
        self.thinking_field: ThinkingField | None = None
        self._name = name
        self._compatible_calls = CompatibleToolCalls(calls, new_id, name)
        self._send_reasoning = send_reasoning
        self._thought_id: str | None = None
        self._details = ReasoningDetails()

    def _close(self, *, cut: bool) -> list[AnyChunk]:
        chunks = self._start()
        self._close_thought(chunks)
        if self._details:
            # They came after their thought had ended, or without any.
            self._open_thought(chunks)
            self._close_thought(chunks)
        self._close_text(chunks)
        chunks += self._compatible_calls.complete(cut=cut)
        if self._compatible_calls.nameless and not cut:
            self._warn()
        return chunks

    def _is_named(self) -> bool:
        # Some begin with an event in which all of it is empty.
        return bool(self.result.response_id or self.result.model)

    def _usage_in(self, usage: Raw) -> Usage | None:
        return chat_usage(usage, counts_cache_writes=False)

    def _translate(self, choice: _CompatibleChoice) -> list[AnyChunk]:  # type: ignore[override]
        if choice.finish_reason is not None:
            self._take_reason(choice)
        chunks = [] if self._held is None else self._start()
        delta = choice.delta
        if delta is None:
            return chunks
        if delta.reasoning_details:
            self._details.add(delta.reasoning_details)
        if delta.reasoning_content is not None or delta.reasoning or delta.reasoning_details:
            self._think_beside(delta, chunks)
        content = delta.content
        if content:
            if not isinstance(content, str):
                self._take_parts(content, chunks)
            elif self._text_open:
                # A thought that is open has closed the text.
                chunks.append(TextDeltaChunk(id=self._text_id, delta=content))
            else:
                self._say(content, chunks)
        if delta.refusal and isinstance(delta.refusal, str):
            self._refused = True
            self._say(delta.refusal, chunks)
        if delta.tool_calls:
            self._close_thought(chunks)
            for call in delta.tool_calls:
                try:
                    chunks += self._compatible_calls.receive(call)
                except ValueError:
                    self._warn()
        if delta.annotations and self._send_sources:
            chunks += self._sources(delta.annotations)
        return chunks

    def _start(self) -> list[AnyChunk]:
        held, self._held = self._held or [], None
        return held

    # -- text

    def _say(self, text: str, chunks: list[AnyChunk]) -> None:
        self._close_thought(chunks)
        self._text(text, chunks)

    def _take_parts(self, parts: list[Any], chunks: list[AnyChunk]) -> None:
        for part in parts:
            if text := "".join(_texts((part,))):
                self._say(text, chunks)
            elif thought := "".join(_thoughts(part)):
                self._think(thought, "content", chunks)

    # -- thinking

    def _think_beside(self, delta: _CompatibleDelta, chunks: list[AnyChunk]) -> None:
        """Take the thinking that does not stand in the content."""
        if delta.reasoning_content is not None:
            if delta.reasoning_content:
                self._think(delta.reasoning_content, "reasoning_content", chunks)
        elif delta.reasoning:
            self._think(delta.reasoning, "reasoning", chunks)
        elif delta.reasoning_details and self.thinking_field is None:
            # A plain field with the same text is read instead.
            self._think(self._details.text_of(delta.reasoning_details), None, chunks)

    def _think(self, text: str, field: ThinkingField | None, chunks: list[AnyChunk]) -> None:
        self.thinking_field = field or self.thinking_field
        if not text:
            return
        thought_id = self._thought_id or self._open_thought(chunks)
        if self._send_reasoning:
            chunks.append(ReasoningDeltaChunk(id=thought_id, delta=text))

    def _open_thought(self, chunks: list[AnyChunk]) -> str:
        self._close_text(chunks)
        thought_id = self._part_ids.reasoning("reasoning-0", self._new_id)
        self._thought_id = thought_id
        if self._send_reasoning:
            chunks.append(ReasoningStartChunk(id=thought_id))
        return thought_id

    def _close_thought(self, chunks: list[AnyChunk]) -> None:
        if self._thought_id is None:
            return
        if self._send_reasoning:
            chunks.append(
                ReasoningEndChunk(id=self._thought_id, provider_metadata=self._metadata())
            )
        self._thought_id = None

    def _metadata(self) -> Json | UnsetType:
        """Return what belongs to the thought that ends, to be given back."""
        if not self._details:
            return UNSET
        return Raw(msgspec.json.encode({self._name: {"reasoning_details": self._details.take()}}))


def _texts(parts: Iterable[Any]) -> Iterator[str]:
    """Yield the texts of text parts; others are passed over."""
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "text":
            text = part.get("text")
            if isinstance(text, str):
                yield text


def _thoughts(part: Any) -> Iterator[str]:
    """Yield the texts of a part that is thinking."""
    if isinstance(part, dict) and part.get("type") == "thinking":
        parts = part.get("thinking")
        yield from _texts(parts if isinstance(parts, list) else ())
