"""OpenAI Responses events to chunks.

A response is a list of output items that stream one after another: messages (text and
refusals), reasoning, tool calls and their results. Items are told apart by `output_index`:
some compatible servers change an item's id from event to event.

Source: @ai-sdk/openai 4.0.118, `responses/openai-responses-language-model.ts`. Deviations:
an event that cannot be read makes no `error` chunk, which would end the message for the
client, but a warning; what is not open is never written to or closed; thinking that is no
summary (`reasoning_text`) is shown; of a compatible server, indices, ids and the model's name may
be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw

from midstream.protocol.chunks import (
    AnyChunk,
    CustomChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.surrogates import well_formed
from midstream.providers.base import StepResult
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in
from midstream.providers.openai.failures import UNREADABLE_EVENT, EventHead, what_is
from midstream.providers.openai.metadata import OURS, openai_metadata
from midstream.providers.openai_responses.stream import client_tools, hosted_tools
from midstream.providers.openai_responses.stream import events as wire
from midstream.providers.openai_responses.stream.annotations import Annotations
from midstream.providers.openai_responses.stream.endings import take_end
from midstream.providers.openai_responses.stream.items import ItemPlaces
from midstream.providers.openai_responses.stream.reasoning import ReasoningItems
from midstream.providers.openai_responses.stream.step_state import StepTools, Tooling
from midstream.providers.part_ids import PartIds
from midstream.providers.stream.loose import read_loosely, reader
from midstream.providers.stream.odd_events import OddEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.errors import ProviderError
    from midstream.providers.conversation.tool_calls import ToolCalls

_event_decoder = msgspec.json.Decoder(wire.ResponseEvent)
_read_head = reader(EventHead)
_read_message = reader(wire.MessageItem)
_read_reasoning = reader(wire.ReasoningItem)
_read_created = reader(wire.Created)

_ADDED: Final = client_tools.ADDED | hosted_tools.ADDED
_DONE: Final = client_tools.DONE | hosted_tools.DONE


class _ReportedError(Exception):
    """An event says that the provider failed."""


class OpenAIResponsesTranslator(OddEvents):
    """Turns one response's events into chunks.

    Args:
        calls: the step's tool calls; knows the declared tools.
        tooling: what the request says about tools.
        new_id: makes ids of sources, and of calls that wait for approval.
        stored: the request asked the provider to store the response.
        part_ids: the run's, so that no step uses an id of another.
        send_reasoning, send_sources: whether their chunks are wanted.
    """

    begins = b'"response.created"'

    def __init__(
        self,
        calls: ToolCalls,
        *,
        new_id: Callable[[], str],
        tooling: Tooling | None = None,
        stored: bool = False,
        part_ids: PartIds | None = None,
        send_reasoning: bool = True,
        send_sources: bool = False,
    ) -> None:
        """Begin a step."""
        super().__init__(StepResult(finish_reason="interrupted"))
        self._new_id = new_id
        self._annotations = Annotations(new_id, send=send_sources)
        self._part_ids = part_ids or PartIds()
        self._reasoning = ReasoningItems(self._part_ids, new_id, stored=stored)
        self._send_reasoning = send_reasoning
        tooling = tooling or Tooling()
        self._tools = StepTools(
            calls=calls,
            tooling=tooling,
            annotations=self._annotations,
            new_id=new_id,
            approvals=dict(tooling.approved),
        )
        self._begun = self._item_is_done = self._unstored = False
        self._refused = False
        self._phase: str | None = None
        self._places = ItemPlaces()
        self._item_ids: dict[int, str] = {}
        self._text_ids: dict[str, str] = {}

    def receive(self, event: bytes) -> list[AnyChunk]:
        """Take one event's JSON and return its chunks. See `Translator.receive`."""
        if self._odd:
            chunks = self._take_oddly(event)
        else:
            try:
                head = _event_decoder.decode(event)
                handler = _HANDLERS.get(head.type)
                if head.output_index is None:
                    head.output_index = self._places.find(head.item_id, head.type)
                chunks = [] if handler is None else handler(self, head)
            except _ReportedError:
                self._fail(failure_in(event))
                return []
            except UNREADABLE:
                chunks = self._take_oddly(event)
        if chunks and not self._begun:
            self._begun = True
            return [StartStepChunk(), *chunks]
        return chunks

    @property
    def stores(self) -> bool:
        """Whether nothing says that the server keeps no answers: items may be referred to."""
        return not (self._unstored or self._places.unnumbered)

    def _take(self, event: bytes, head: wire.ResponseEvent | None = None) -> list[AnyChunk]:
        if head is None:
            head = _event_decoder.decode(event)
        handler = _HANDLERS.get(head.type)
        if head.output_index is None:
            head.output_index = self._places.find(head.item_id, head.type)
        try:
            return [] if handler is None else handler(self, head)
        except _ReportedError:
            self._fail(failure_in(event))
            return []

    def _take_loosely(self, event: bytes) -> list[AnyChunk]:
        try:
            return self._take(event, read_loosely(wire.ResponseEvent, event))
        except UNREADABLE:
            self._note_unreadable(event)
            return []

    def receive_loss(self) -> list[AnyChunk]:
        """The rest is lost: what is open is closed without its id. See `Translator.receive_loss`.

        If nothing is, a mark keeps later requests from referring to a response never stored.
        """
        is_open = self._text_ids or self._tools.streaming or self._reasoning.is_open
        finished = self.ended and self.result.failure is None
        if not self._item_is_done or is_open or finished:
            return []
        self._item_is_done = False
        return [CustomChunk(kind="openai.interrupted")]

    def receive_eof(self) -> list[AnyChunk]:
        """The response ended. See `Translator.receive_eof`."""
        chunks = self._take_halves()
        if not (self._begun or self.ended):
            self._fail((Fault.EMPTY if self.result.warning is None else Fault.BROKEN).error())
            return []
        chunks += self._annotations.remaining_sources()
        chunks += client_tools.withheld_inputs(self._tools)
        chunks += self.receive_loss()
        self.result.tool_calls = tuple(self._tools.calls.pending)
        if not self._begun and self.result.failure is None:
            self._begun = True
            return [StartStepChunk(), *chunks]
        return chunks

    def _note_unreadable(self, event: bytes) -> None:
        """Remember that an event could not be read, unless it would have been ignored."""
        kind, failure = what_is(event)
        if failure is not None:
            self._fail(failure)
        elif not kind or kind in _HANDLERS:
            self.result.warning = UNREADABLE_EVENT
            self.result.finish_reason = "error"

    # -- the response

    def _created(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        self.closing = self.ended = False
        response = _read_created(wire.object_or_empty(event.response))
        self.result.response_id = response.id
        self.result.model = response.model
        self._unstored = self._unstored or response.store is False
        if self._begun:
            return []
        self._begun = True
        return [StartStepChunk()]

    def _ended(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        reports_failure = take_end(
            self.result, event, called=self._tools.called_client, refused=self._refused
        )
        self._end()
        if reports_failure:
            raise _ReportedError
        return []

    def _cancelled(self, _event: wire.ResponseEvent) -> list[AnyChunk]:
        """Somebody has cancelled the response at the provider: it is an answer that was cut."""
        self._end()
        return []

    def _error(self, _event: wire.ResponseEvent) -> list[AnyChunk]:
        raise _ReportedError

    def _fail(self, failure: ProviderError) -> None:
        self._end()
        if self.result.failure is None:
            self.result.failure = failure
            self.result.finish_reason = "error"
            self.result.raw_finish_reason = "error"

    # -- output items

    def _item_added(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        event.item = Raw(well_formed(bytes(event.item)))
        item = _read_head(event.item)
        index = self._places.begin(event.output_index, item.id or "", item.type)
        chunks = self._shown(self._reasoning.end_thoughts())
        if item.type == "message":
            message = _read_message(event.item)
            name = self._named(index, message.id, event.item_id)
            self._annotations.begin_text()
            self._phase = message.phase
            return [*chunks, self._open_text(name)]
        if item.type == "reasoning":
            reasoning = _read_reasoning(event.item)
            reasoning.id = self._named(index, reasoning.id, event.item_id)
            return [*chunks, *self._shown(self._reasoning.begin(reasoning))]
        handler = _ADDED.get(item.type)
        return chunks if handler is None else [*chunks, *handler(self._tools, index, event.item)]

    def _item_done(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        self._item_is_done = True
        event.item = Raw(well_formed(bytes(event.item)))
        item = _read_head(event.item)
        index = self._places.end(event.output_index, item.id or "", item.type)
        if item.type == "message":
            message = _read_message(event.item)
            return self._close_text(self._item_ids.pop(index, message.id), message.phase)
        if item.type == "reasoning":
            reasoning = _read_reasoning(event.item)
            item_id = self._item_ids.pop(index, reasoning.id)
            return self._shown(self._reasoning.end(item_id, reasoning.encrypted_content))
        if item.type == "compaction":
            return hosted_tools.compaction(event.item)
        handler = _DONE.get(item.type)
        chunks = [] if handler is None else handler(self._tools, index, event.item)
        self._tools.streaming.pop(index, None)
        return chunks

    def _named(self, index: int, item_id: str, of_event: str) -> str:
        """Return an item's id, the same from its begin to its end.

        One without an id gets one of ours, which no later request refers to.
        """
        name = item_id or of_event or OURS + self._new_id()
        self._item_ids[index] = name
        return name

    def _item_id(self, event: wire.ResponseEvent) -> str:
        """Return the id that an event's item had when it was added."""
        if event.output_index is None:
            return event.item_id
        return self._item_ids.get(event.output_index, event.item_id)

    # -- text

    def _open_text(self, item_id: str) -> AnyChunk:
        text_id = self._part_ids.text(item_id, self._new_id)
        self._text_ids[item_id] = text_id
        phase = UNSET if self._phase is None else self._phase
        return TextStartChunk(
            id=text_id, provider_metadata=openai_metadata(itemId=item_id, phase=phase)
        )

    def _close_text(self, item_id: str, phase: str | None) -> list[AnyChunk]:
        text_id = self._text_ids.pop(item_id, None)
        phase = phase or self._phase
        self._phase = None
        if text_id is None:
            return []
        metadata = openai_metadata(
            itemId=item_id,
            phase=UNSET if phase is None else phase,
            annotations=self._annotations.of_text() or UNSET,
        )
        return [
            TextEndChunk(
                id=text_id, citations=self._annotations.citations(), provider_metadata=metadata
            )
        ]

    def _text_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        index = event.output_index
        item_id = event.item_id
        if index is not None:
            item_id = self._item_ids.get(index, item_id)
        text_id = self._text_ids.get(item_id)
        if text_id is None or not event.delta:
            return []
        return [TextDeltaChunk(id=text_id, delta=event.delta)]

    def _refusal_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        self._refused = True
        return self._text_delta(event)

    def _refusal_done(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        self._refused = True
        return []

    def _annotation_added(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return self._annotations.add(event.annotation)

    # -- reasoning

    def _shown(self, chunks: list[AnyChunk]) -> list[AnyChunk]:
        return chunks if self._send_reasoning else []

    def _summary_part_added(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return self._shown(self._reasoning.begin_part(self._item_id(event), event.summary_index))

    def _summary_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        text = event.delta or ""
        return self._shown(self._reasoning.add(self._item_id(event), event.summary_index, text))

    def _summary_part_done(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return self._shown(self._reasoning.end_part(self._item_id(event), event.summary_index))

    def _thought_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        text = event.delta or ""
        return self._shown(self._reasoning.think(self._item_id(event), event.content_index, text))

    # -- tool inputs

    def _input_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return client_tools.input_delta(self._tools, event.output_index, event.delta or "")

    def _patch_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return client_tools.patch_delta(self._tools, event.output_index, event.delta or "")

    def _patch_done(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return client_tools.patch_done(self._tools, event.output_index, event.diff)

    def _code_delta(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return hosted_tools.code_delta(self._tools, event.output_index, event.delta or "")

    def _code_done(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return hosted_tools.code_done(self._tools, event.output_index, event.code or "")

    def _partial_image(self, event: wire.ResponseEvent) -> list[AnyChunk]:
        return hosted_tools.partial_image(event.item_id, event.partial_image_b64)


_T = OpenAIResponsesTranslator
_HANDLERS: Final[dict[str, Callable[[_T, wire.ResponseEvent], list[AnyChunk]]]] = {
    "response.output_text.delta": _T._text_delta,
    "response.function_call_arguments.delta": _T._input_delta,
    "response.custom_tool_call_input.delta": _T._input_delta,
    "response.reasoning_summary_text.delta": _T._summary_delta,
    "response.reasoning_text.delta": _T._thought_delta,
    "response.reasoning_summary_part.added": _T._summary_part_added,
    "response.reasoning_summary_part.done": _T._summary_part_done,
    "response.refusal.delta": _T._refusal_delta,
    "response.refusal.done": _T._refusal_done,
    "response.output_text.annotation.added": _T._annotation_added,
    "response.output_item.added": _T._item_added,
    "response.output_item.done": _T._item_done,
    "response.apply_patch_call_operation_diff.delta": _T._patch_delta,
    "response.apply_patch_call_operation_diff.done": _T._patch_done,
    "response.code_interpreter_call_code.delta": _T._code_delta,
    "response.code_interpreter_call_code.done": _T._code_done,
    "response.image_generation_call.partial_image": _T._partial_image,
    "response.created": _T._created,
    "response.completed": _T._ended,
    "response.incomplete": _T._ended,
    "response.failed": _T._ended,
    "response.cancelled": _T._cancelled,
    "error": _T._error,
}
"""The events that we understand; every other one is ignored."""
