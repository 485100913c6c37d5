"""Anthropic Messages, as streamed, in chunks: what the AI SDK makes of the same events.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts`, `doStream`; ai 7.0.173,
`generate-text/stream-text.ts`. Where it differs, it does so to keep clients reading: they
stop at the first `error` chunk, so none is written in the middle of a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import UNSET, UnsetType

from midstream.protocol.chunks import (
    AnyChunk,
    CustomChunk,
    Json,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    StartStepChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.providers.anthropic.stream import blocks as wire
from midstream.providers.anthropic.stream import events
from midstream.providers.anthropic.stream.calls import CallStream, OpenCall
from midstream.providers.anthropic.stream.citations import Citations, CitedDocument
from midstream.providers.anthropic.stream.endings import FINISH_REASONS, GOES_ON
from midstream.providers.anthropic.stream.metadata import anthropic_metadata
from midstream.providers.anthropic.stream.results import mcp_result_chunk, result_chunk
from midstream.providers.anthropic.stream.texts import OpenReasoning, OpenText, TextStream
from midstream.providers.anthropic.stream.usage import UsageCount
from midstream.providers.base import StepResult
from midstream.providers.failures.faults import Fault
from midstream.providers.failures.reported import failure_in, tells_of_failure
from midstream.providers.stream.odd_events import OddEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midstream.errors import ProviderError
    from midstream.providers.anthropic.tool_names import ToolNames
    from midstream.providers.conversation.tool_calls import ToolCalls
    from midstream.providers.part_ids import PartIds

UNREADABLE_EVENT: Final = (
    "unable to read a part of what the model provider answered; the answer may be incomplete"
)

JSON_TOOL: Final = "json"
"""The tool that makes models without structured output answer in JSON."""

_decode = events.event_decoder.decode


class AnthropicTranslator(OddEvents):
    """Translates one step. Implements `Translator`.

    Args:
        names: of the provider's tools.
        calls: the step's calls.
        new_id: makes ids of sources, and of parts whose own id is taken.
        part_ids: of the whole run.
        documents: those of the request with citations enabled, in its order.
        json_tool: whether the answer is asked for by a tool named `json`: its input is the
            text, and other texts are dropped if it is called.
    """

    begins = b'"message_start"'

    def __init__(
        self,
        *,
        names: ToolNames,
        calls: ToolCalls,
        new_id: Callable[[], str],
        part_ids: PartIds,
        documents: Iterable[CitedDocument] = (),
        json_tool: bool = False,
        send_reasoning: bool = True,
        send_sources: bool = False,
    ) -> None:
        """Begin a step."""
        super().__init__(StepResult())
        self._calls = calls
        self._call_stream = CallStream(names, calls)
        self._new_id = new_id
        self._part_ids = part_ids
        self._citations = Citations(documents, new_id, send=send_sources)
        self._texts = TextStream(self._citations, part_ids, new_id, hold=json_tool)
        self._json_tool = json_tool
        self._send_reasoning = send_reasoning
        self._usage = UsageCount()
        self._blocks: dict[int, OpenText | OpenReasoning | OpenCall] = {}
        self._message_id: str | None = None
        self._answered_by_json_tool = self._started = False
        self._in_message = self._has_output = self._finished = False

    def receive(self, event: bytes) -> list[AnyChunk]:
        """Take one event's JSON and return its chunks. See `Translator.receive`."""
        if self._odd:
            return self._take_oddly(event)
        try:
            value = _decode(event)
            return self._ON_EVENT[type(value)](self, value)
        except UNREADABLE:
            return self._take_oddly(event)

    def _take(self, event: bytes) -> list[AnyChunk]:
        value = _decode(event)
        return self._ON_EVENT[type(value)](self, value)

    def _take_loosely(self, event: bytes) -> list[AnyChunk]:
        try:
            value = events.read_event_loosely(event)
            return self._ON_EVENT[type(value)](self, value)
        except UNREADABLE:
            if tells_of_failure(event):
                self._fail(failure_in(event))
            elif not events.is_unknown(event):
                self.result.warning = UNREADABLE_EVENT
            return []

    def receive_eof(self) -> list[AnyChunk]:
        """The response ended. See `Translator.receive_eof`."""
        chunks = self._take_halves()
        result = self.result
        result.tool_calls = tuple(self._calls.pending)
        if result.failure is not None:
            return chunks
        if self._has_output:
            result.finish_reason, result.raw_finish_reason = "interrupted", None
        elif not self._finished and result.warning is None:
            self._fail(Fault.EMPTY.error())
        return chunks

    # --- the message ------------------------------------------------------------------------

    def _message_start(self, event: events.MessageStart) -> list[AnyChunk]:
        message = event.message
        if self._in_message:
            if message.id != self._message_id:
                self._fail(Fault.BROKEN.error())
            return []
        self._usage.start(message.usage)
        self._in_message = True
        self.closing = self.ended = False
        self._has_output = False
        self._message_id = message.id
        self.result.response_id = message.id
        self.result.model = message.model
        if message.stop_reason is not None:
            self._set_finish_reason(message.stop_reason)
        metadata = anthropic_metadata(id=message.id, model=message.model, usage=self._usage.raw)
        chunks = self._start_step()
        chunks.append(CustomChunk(kind="anthropic.message_start", provider_metadata=metadata))
        for block in message.content or ():
            chunks += self._call_stream.whole_tool(block)
            self._has_output = True
        return chunks

    def _message_delta(self, event: events.MessageDelta) -> list[AnyChunk]:
        self._usage.update(event.usage)
        self._set_finish_reason(event.delta.stop_reason)
        self.closing = self.closing or event.delta.stop_reason is not None
        return []

    def _message_stop(self, _event: events.MessageStop) -> list[AnyChunk]:
        self._in_message = False
        self._has_output = False
        self._finished = True
        self._end()
        self.result.usage = self._usage.total()
        return self._citations.remaining_sources() + self._release_texts()

    def _error(self, event: events.ErrorEvent) -> list[AnyChunk]:
        return self.receive_error(bytes(event.error))

    def _fail(self, failure: ProviderError) -> None:
        self._end()
        self.result.failure = failure
        self.result.finish_reason = "error"

    def _set_finish_reason(self, raw: str | None) -> None:
        reason = FINISH_REASONS.get(raw, "other")
        if raw == "tool_use" and self._answered_by_json_tool:
            reason = "stop"
        self.result.finish_reason = reason
        self.result.raw_finish_reason = raw

    def _start_step(self) -> list[AnyChunk]:
        if self._started:
            return []
        self._started = True
        return [StartStepChunk()]

    # --- blocks -----------------------------------------------------------------------------

    def _block_start(self, event: events.ContentBlockStart) -> list[AnyChunk]:
        block = event.content_block
        chunks = self._start_step()
        if not isinstance(
            block,
            wire.TextBlock | wire.ThinkingBlock | wire.RedactedThinkingBlock | wire.FallbackBlock,
        ):
            self._texts.drop_held()
        take = self._ON_BLOCK.get(type(block), AnthropicTranslator._result)
        return chunks + take(self, event.index, block)

    def _block_delta(self, event: events.ContentBlockDelta) -> list[AnyChunk]:
        return self._ON_DELTA[type(event.delta)](self, event.index, event.delta)

    def _block_stop(self, event: events.ContentBlockStop) -> list[AnyChunk]:
        block = self._blocks.pop(event.index, None)
        if block is None:
            return []
        if isinstance(block, OpenCall):
            self._has_output = True
            return self._call_stream.close(block)
        if isinstance(block, OpenReasoning):
            return [ReasoningEndChunk(id=block.id)] if self._send_reasoning else []
        return self._texts.close(block)

    # --- text -------------------------------------------------------------------------------

    def _text_start(self, index: int, _block: wire.TextBlock) -> list[AnyChunk]:
        self._blocks[index], chunks = self._texts.open_spoken(index)
        return chunks

    def _text_delta(self, index: int, delta: events.TextDelta) -> list[AnyChunk]:
        return self._extend_text(index, delta.text)

    def _extend_text(self, index: int, text: str) -> list[AnyChunk]:
        block = self._blocks.get(index)
        if type(block) is not OpenText:
            return []
        chunks = self._texts.extend(block, text)
        if chunks:
            self._has_output = True
        return chunks

    def _compaction_start(self, index: int, block: wire.CompactionBlock) -> list[AnyChunk]:
        signature = UNSET if block.signature is None else block.signature
        metadata = anthropic_metadata(type="compaction", signature=signature)
        self._blocks[index], chunks = self._texts.open(index, metadata)
        if block.signature is not None:
            chunks += self._extend_text(index, block.content or "")
        return chunks

    def _compaction_delta(self, index: int, delta: events.CompactionDelta) -> list[AnyChunk]:
        return self._extend_text(index, delta.content or "")

    def _citation(self, index: int, delta: events.CitationsDelta) -> list[AnyChunk]:
        if delta.citation is None:
            return []
        block = self._blocks.get(index)
        if type(block) is OpenText:
            block.citations.append(delta.citation)
        return self._citations.add(delta.citation)

    def _release_texts(self) -> list[AnyChunk]:
        if self._answered_by_json_tool or self.result.raw_finish_reason in GOES_ON:
            self._texts.drop_held()
        return self._texts.release_held()

    # --- reasoning --------------------------------------------------------------------------

    def _thinking_start(self, index: int, _block: wire.ThinkingBlock) -> list[AnyChunk]:
        return self._open_reasoning(index, UNSET, signable=True)

    def _redacted_start(self, index: int, block: wire.RedactedThinkingBlock) -> list[AnyChunk]:
        metadata = anthropic_metadata(redactedData=block.data)
        return self._open_reasoning(index, metadata, signable=False)

    def _open_reasoning(
        self, index: int, metadata: Json | UnsetType, *, signable: bool
    ) -> list[AnyChunk]:
        block = OpenReasoning(self._part_ids.reasoning(str(index), self._new_id), signable=signable)
        self._blocks[index] = block
        if not self._send_reasoning:
            return []
        return [ReasoningStartChunk(id=block.id, provider_metadata=metadata)]

    def _thinking_delta(self, index: int, delta: events.ThinkingDelta) -> list[AnyChunk]:
        block = self._blocks.get(index)
        if type(block) is not OpenReasoning:
            return []
        self._has_output = self._has_output or bool(delta.thinking)
        if not self._send_reasoning:
            return []
        return [ReasoningDeltaChunk(id=block.id, delta=delta.thinking)]

    def _signature_delta(self, index: int, delta: events.SignatureDelta) -> list[AnyChunk]:
        block = self._blocks.get(index)
        if type(block) is not OpenReasoning or not block.signable or not self._send_reasoning:
            return []
        metadata = anthropic_metadata(signature=delta.signature)
        return [ReasoningDeltaChunk(id=block.id, delta="", provider_metadata=metadata)]

    # --- tools ------------------------------------------------------------------------------

    def _tool_start(self, index: int, block: wire.ToolUseBlock) -> list[AnyChunk]:
        if self._json_tool and block.name == JSON_TOOL:
            self._answered_by_json_tool = True
            self._blocks[index], chunks = self._texts.open(index)
            return chunks
        self._blocks[index], chunks = self._call_stream.open_tool(block)
        return chunks

    def _server_tool_start(self, index: int, block: wire.ServerToolUseBlock) -> list[AnyChunk]:
        opened = self._call_stream.open_server_tool(block)
        if opened is None:
            return []
        self._blocks[index], chunks = opened
        return chunks

    def _input_delta(self, index: int, delta: events.InputJsonDelta) -> list[AnyChunk]:
        text = delta.partial_json
        if self._answered_by_json_tool:
            return self._extend_text(index, text)
        block = self._blocks.get(index)
        if not text or type(block) is not OpenCall:
            return []
        self._has_output = True
        return self._call_stream.extend(block, text)

    def _mcp_tool(self, _index: int, block: wire.McpToolUseBlock) -> list[AnyChunk]:
        self._has_output = True
        return self._call_stream.whole_mcp_tool(block)

    def _mcp_result(self, _index: int, block: wire.McpToolResultBlock) -> list[AnyChunk]:
        call = self._call_stream.mcp_call(block.tool_use_id)
        # Without its call, clients reject it.
        if call is None:
            return []
        return [mcp_result_chunk(block, call)]

    def _web_search_result(self, _index: int, block: wire.WebSearchBlock) -> list[AnyChunk]:
        pages = block.content if isinstance(block.content, list) else []
        return [result_chunk(block), *self._citations.list_pages(pages)]

    def _web_fetch_result(self, _index: int, block: wire.WebFetchBlock) -> list[AnyChunk]:
        if isinstance(block.content, wire.WebFetchResult):
            self._citations.add_document(block.content)
        return [result_chunk(block)]

    def _result(self, _index: int, block: wire.ResultBlock) -> list[AnyChunk]:
        return [result_chunk(block)]

    def _fallback(self, _index: int, block: wire.FallbackBlock) -> list[AnyChunk]:
        metadata = anthropic_metadata(**{"type": "fallback", "from": block.from_, "to": block.to})
        return [CustomChunk(kind="anthropic.fallback", provider_metadata=metadata)]

    def _ping(self, _event: events.Ping) -> list[AnyChunk]:
        return []

    # Of the class: in each step, these would be 25 bound methods.
    _ON_EVENT: ClassVar[dict[type, Callable[[AnthropicTranslator, Any], list[AnyChunk]]]] = {
        events.MessageStart: _message_start,
        events.ContentBlockStart: _block_start,
        events.ContentBlockDelta: _block_delta,
        events.ContentBlockStop: _block_stop,
        events.MessageDelta: _message_delta,
        events.MessageStop: _message_stop,
        events.Ping: _ping,
        events.ErrorEvent: _error,
    }
    _ON_BLOCK: ClassVar[dict[type, Callable[[AnthropicTranslator, int, Any], list[AnyChunk]]]] = {
        wire.TextBlock: _text_start,
        wire.ThinkingBlock: _thinking_start,
        wire.RedactedThinkingBlock: _redacted_start,
        wire.CompactionBlock: _compaction_start,
        wire.ToolUseBlock: _tool_start,
        wire.ServerToolUseBlock: _server_tool_start,
        wire.McpToolUseBlock: _mcp_tool,
        wire.McpToolResultBlock: _mcp_result,
        wire.WebSearchBlock: _web_search_result,
        wire.WebFetchBlock: _web_fetch_result,
        wire.FallbackBlock: _fallback,
    }
    _ON_DELTA: ClassVar[dict[type, Callable[[AnthropicTranslator, int, Any], list[AnyChunk]]]] = {
        events.TextDelta: _text_delta,
        events.ThinkingDelta: _thinking_delta,
        events.SignatureDelta: _signature_delta,
        events.InputJsonDelta: _input_delta,
        events.CompactionDelta: _compaction_delta,
        events.CitationsDelta: _citation,
    }
