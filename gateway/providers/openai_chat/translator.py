"""Chat Completions chunks to UI message chunks.

One text part for the whole stream, closed at its end; tool calls are completed there, too.
Only the first choice counts. Nothing is shown before the first real output: an error until
then is an error of the request.

Source: @ai-sdk/openai 4.0.118, `chat/openai-chat-language-model.ts`. Deviation: an event
that cannot be read makes no `error` chunk, which would end the message for the client, but
a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import (
    AnyChunk,
    FinishReason,
    SourceUrlChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.providers.base import StepResult
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in, reports_failure
from midstream.providers.openai.failures import UNREADABLE_EVENT
from midstream.providers.openai.usage import chat_usage
from midstream.providers.openai_chat.tool_deltas import ToolCallDelta, ToolCallDeltas
from midstream.providers.part_ids import PartIds
from midstream.providers.stream.loose import Side, read_loosely
from midstream.providers.stream.odd_events import OddEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.errors import ProviderError
    from midstream.providers.base import Usage
    from midstream.providers.conversation.tool_calls import ToolCalls

_FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "function_call": "tool-calls",
    "tool_calls": "tool-calls",
}


NO_JSON: Final = Raw()


class _UrlCitation(Struct):
    """A source; its address is what it is made of."""

    url: str
    title: Side[str | UnsetType] = UNSET


class Annotation(Struct):
    """A web page that the answer leans on."""

    url_citation: _UrlCitation | None = None


class _PlainDelta(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    annotations: Side[list[Annotation] | None] = None


DeltaT = TypeVar("DeltaT")
ChoiceT = TypeVar("ChoiceT")


class ChatChoice(Struct, Generic[DeltaT]):
    """One of the answers; only the first one is read."""

    delta: DeltaT | None = None
    finish_reason: Side[str | None] = None
    error: Raw = NO_JSON


class ChatChunk(Struct, Generic[ChoiceT]):
    """An event. Its fields have the order in which they come: they are found without a search."""

    id: Side[str | None] = None
    model: Side[str | None] = None
    choices: list[ChoiceT] | UnsetType | None = UNSET
    usage: Raw = NO_JSON
    error: Raw = NO_JSON


class _PlainChoice(ChatChoice[_PlainDelta]):
    pass


class _PlainChunk(ChatChunk[_PlainChoice]):
    pass


_decoder = msgspec.json.Decoder(_PlainChunk)


class OpenAIChatTranslator(OddEvents):
    """Turns one completion's events into chunks.

    Args:
        calls: the step's tool calls; knows the declared tools.
        new_id: makes ids of sources, and of calls that have none.
        part_ids: the run's, so that no step uses an id of another.
        send_sources: whether sources are wanted.
    """

    event_type: ClassVar[type[Struct]] = _PlainChunk
    """Type of events: `_PlainChunk`, or one with its fields."""

    decoder: ClassVar[msgspec.json.Decoder[Any]] = _decoder
    """Of such events."""

    text_part: ClassVar[str] = "0"
    """The id of the text, if it is free."""

    def __init__(
        self,
        calls: ToolCalls,
        *,
        new_id: Callable[[], str],
        part_ids: PartIds | None = None,
        send_sources: bool = False,
    ) -> None:
        """Begin a step."""
        super().__init__(StepResult(finish_reason="interrupted"))
        self._decode = self.decoder.decode
        self._calls = calls
        self._deltas = ToolCallDeltas(calls, new_id)
        self._new_id = new_id
        self._part_ids = part_ids or PartIds()
        self._text_id = ""
        self._send_sources = send_sources
        self._held: list[AnyChunk] | None = [StartStepChunk()]
        self._text_open = False
        self._refused = False
        self._began = self._named = False

    def receive(self, event: bytes) -> list[AnyChunk]:
        """Take one event's JSON and return its chunks. See `Translator.receive`."""
        if self._odd:
            return self._take_oddly(event)
        try:
            # In two steps: CPython calls an attribute of an instance more slowly.
            decode = self._decode
            chunk = decode(event)
        except UNREADABLE:
            return self._take_oddly(event)
        choices = chunk.choices
        if choices and chunk.error is NO_JSON and self._named:
            if chunk.usage is not NO_JSON:
                self._take_usage(chunk.usage)
            return self._translate(choices[0])
        return self._take_chunk(event, chunk)

    def _take(self, event: bytes) -> list[AnyChunk]:
        return self._take_chunk(event, self._decode(event))

    def _take_chunk(self, event: bytes, chunk: Any) -> list[AnyChunk]:
        choices = chunk.choices
        if choices is UNSET or not choices:
            return self._without_choices(event, chunk)
        choice = choices[0]
        self._take_metadata(chunk)
        chunks = self._translate(choice)
        self._take_error(chunk.error)
        return chunks

    def _take_loosely(self, event: bytes) -> list[AnyChunk]:
        try:
            return self._take_chunk(event, read_loosely(self.event_type, event))
        except UNREADABLE:
            self._warn()
            return []

    def _take_mark(self) -> None:
        # Before the reason, it may be a stray one: what follows is still read.
        self.closing = True
        if self.result.raw_finish_reason is not None:
            self._end()

    def _warn(self) -> None:
        self.result.warning = UNREADABLE_EVENT
        self.result.finish_reason = "error"
        self.result.raw_finish_reason = None

    def receive_eof(self) -> list[AnyChunk]:
        """The response ended. See `Translator.receive_eof`."""
        marked = self._marked
        chunks = self._take_halves()
        if not self._began:
            fault = Fault.EMPTY if self.result.warning is None else Fault.BROKEN
            self._fail(fault.error())
            return []
        known = self.result.raw_finish_reason is not None or marked
        chunks += self._close(cut=not known)
        self._finish(marked=marked)
        return chunks

    def _close(self, *, cut: bool) -> list[AnyChunk]:
        """Close what is open, at the answer's end."""
        chunks, self._held = self._held or [], None
        self._close_text(chunks)
        return chunks + self._deltas.complete(cut=cut)

    def _finish(self, *, marked: bool) -> None:
        result = self.result
        result.tool_calls = tuple(self._calls.pending)
        if result.raw_finish_reason is not None:
            result.finish_reason = _FINISH_REASONS.get(result.raw_finish_reason, "other")
            if result.finish_reason == "stop" and self._refused:
                result.finish_reason = "content-filter"
        elif marked and result.warning is None:
            # It has its last event, and says not why.
            result.finish_reason = "tool-calls" if result.tool_calls else "other"

    def _without_choices(self, event: bytes, chunk: Any) -> list[AnyChunk]:
        """Take an error, the usage, or what a compatible server sends besides."""
        if chunk.error is not NO_JSON:
            self._take_error(chunk.error)
        elif chunk.choices is UNSET and reports_failure(event):
            self._fail(failure_in(event))
        self._take_metadata(chunk)
        return []

    def _take_error(self, error: Raw) -> None:
        if bytes(error) not in (b"", b"null"):
            self._fail(failure_in(bytes(error)))

    def _fail(self, failure: ProviderError) -> None:
        if self.ended:
            return
        self._end()
        self.result.failure = failure
        self.result.finish_reason = "error"
        self.result.raw_finish_reason = None

    def _take_metadata(self, chunk: Any) -> None:
        self._began = self._began or chunk.choices is not UNSET
        if not self._is_named():
            self.result.response_id = chunk.id
            self.result.model = chunk.model
        self._named = self._began and self._is_named()
        self._take_usage(chunk.usage)

    def _is_named(self) -> bool:
        return self.result.response_id is not None

    def _take_usage(self, usage: Raw) -> None:
        # Null in all chunks but the last, with OpenAI's own `include_usage`.
        if bytes(usage) not in (b"null", b""):
            self.result.usage = self._usage_in(usage) or self.result.usage

    def _usage_in(self, usage: Raw) -> Usage | None:
        return chat_usage(usage)

    def _translate(self, choice: _PlainChoice) -> list[AnyChunk]:
        if choice.finish_reason is not None:
            self._take_reason(choice)
        delta = choice.delta
        if delta is None:
            return []
        chunks: list[AnyChunk] = []
        if delta.content is not None:
            self._text(delta.content, chunks)
        if delta.refusal:
            self._refused = True
            self._text(delta.refusal, chunks)
        for call in delta.tool_calls or ():
            try:
                chunks += self._deltas.receive(call)
            except ValueError:
                self._warn()
        if delta.annotations and self._send_sources:
            chunks += self._sources(delta.annotations)
        if self._held is None:
            return chunks
        self._held += chunks
        if not (delta.content or delta.refusal or delta.tool_calls or delta.annotations):
            return []
        held, self._held = self._held, None
        return held

    def _take_reason(self, choice: Any) -> None:
        self.closing = True
        self.result.raw_finish_reason = choice.finish_reason
        self._take_error(choice.error)

    def _text(self, text: str, chunks: list[AnyChunk]) -> None:
        """Write text; an empty one opens the part all the same."""
        if not self._text_open:
            self._text_open = True
            self._text_id = self._part_ids.text(self.text_part, self._new_id)
            chunks.append(TextStartChunk(id=self._text_id))
        if text:
            chunks.append(TextDeltaChunk(id=self._text_id, delta=text))

    def _close_text(self, chunks: list[AnyChunk]) -> None:
        if self._text_open:
            self._text_open = False
            chunks.append(TextEndChunk(id=self._text_id))

    def _sources(self, annotations: list[Annotation]) -> list[AnyChunk]:
        return [
            SourceUrlChunk(
                source_id=self._new_id(),
                url=annotation.url_citation.url,
                title=annotation.url_citation.title,
            )
            for annotation in annotations
            if annotation.url_citation is not None
        ]
