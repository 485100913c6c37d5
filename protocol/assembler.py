"""Assembles chunks into the message that a client holds after them.

Source: `processUIMessageStream` and `createStreamingUIMessageState` in ai 7.0.173
(`src/ui/process-ui-message-stream.ts`). Each chunk changes the parts as it does there, odd
cases included: the conformance tests compare the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from midstream.protocol.chunks import (
    AbortChunk,
    AnyChunk,
    Chunk,
    CustomChunk,
    ErrorChunk,
    FileChunk,
    FinishChunk,
    FinishStepChunk,
    Json,
    MessageMetadataChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningFileChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    SourceDocumentChunk,
    SourceUrlChunk,
    StartChunk,
    StartStepChunk,
    SteeringMessageChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolApprovalResponseChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import encode, one_line
from midstream.protocol.errors import LocalProtocolError
from midstream.protocol.parts import (
    DataSoFar,
    Fields,
    InputSoFar,
    PartSoFar,
    StepEnd,
    StepStart,
    TextSoFar,
    ToolSoFar,
    Value,
    Whole,
    fields_from,
    fields_of,
    json_of,
    kept_from,
    merge,
    string_of,
)
from midstream.protocol.replay import parts_of, replay_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midstream.protocol.messages import UIMessage


class Assembler:
    """The message of one run, made of the chunks so far.

    Taking a delta costs the same however long the message is. Chunks must be in legal
    order (see `ChunkWriter`).

    Args:
        message_id: the message's id, until a `start` names another.
        base: if the run continues a message: that message before the run.
    """

    __slots__ = (
        "_by_call",
        "_data",
        "_fields",
        "_in_step",
        "_inputs",
        "_metadata",
        "_parts",
        "_reasoning",
        "_step_at",
        "_step_tools",
        "_texts",
        "message_id",
    )

    def __init__(self, message_id: str, base: UIMessage | None = None) -> None:
        self.message_id = message_id
        self._fields: Fields = {} if base is None else fields_of(base.raw)
        self._metadata: Json | UnsetType = UNSET if base is None else base.metadata
        self._parts: list[PartSoFar | StepEnd] = []
        self._texts: dict[str, TextSoFar] = {}
        self._reasoning: dict[str, TextSoFar] = {}
        self._inputs: dict[str, InputSoFar] = {}
        self._reindex(() if base is None else parts_of(base.parts))

    def apply(self, chunk: AnyChunk) -> None:
        """Take the next chunk.

        Raises:
            LocalProtocolError: the chunk names a part that the message does not have.
        """
        _APPLY[type(chunk)](self, chunk)

    def apply_all(self, chunks: Iterable[AnyChunk]) -> None:
        """Take the next chunks, in order. Raises as `apply` does."""
        for chunk in chunks:
            _APPLY[type(chunk)](self, chunk)

    @property
    def is_empty(self) -> bool:
        """Whether the message has no parts but step starts."""
        return all(isinstance(part, StepStart | StepEnd) for part in self._parts)

    def message(self) -> bytes:
        """Return the UIMessage as JSON, on one line."""
        fields: dict[str, object] = {**self._fields, "id": self.message_id, "role": "assistant"}
        if self._metadata is not UNSET:
            fields["metadata"] = self._metadata
        fields["parts"] = [part.json() for part in self._parts if not isinstance(part, StepEnd)]
        return one_line(msgspec.json.encode(fields))

    def replay(self) -> list[AnyChunk]:
        """Return the fewest chunks that bring a new client to this state.

        `start` with all metadata comes first, then each part, its text in one delta. Open
        parts stay open under the ids that later chunks use: a client that takes these
        chunks and then the run's next ones ends with the same message as one that saw all.

        A call that has its result is replayed without `tool-input-available`, which would
        make clients run the tool again.
        """
        start = StartChunk(message_id=self.message_id, message_metadata=self._metadata)
        return [start, *replay_parts(self._parts)]

    # -- parts ------------------------------------------------------------------------------

    def _reindex(self, parts: Iterable[PartSoFar | StepEnd]) -> None:
        """Make these the message's parts."""
        self._parts = []
        self._step_at = 0
        self._by_call: dict[str, ToolSoFar] = {}
        self._step_tools: dict[tuple[str, bool], ToolSoFar] = {}
        self._in_step: dict[str, ToolSoFar] = {}
        self._data: dict[tuple[str, str], DataSoFar] = {}
        for part in parts:
            self._add(part)

    def _add(self, part: PartSoFar | StepEnd) -> None:
        self._parts.append(part)
        if isinstance(part, StepStart):
            self._step_at = len(self._parts)
            self._step_tools.clear()
            self._in_step.clear()
        elif isinstance(part, ToolSoFar):
            self._by_call[part.call_id] = part
            self._in_step.setdefault(part.call_id, part)
            self._step_tools.setdefault((part.call_id, part.dynamic), part)
        elif isinstance(part, DataSoFar) and part.id is not None:
            self._data.setdefault((part.kind, part.id), part)

    def _tool(self, call_id: str) -> ToolSoFar:
        """Find a call: the current step's first of that id, else the message's last."""
        part = self._in_step.get(call_id) or self._by_call.get(call_id)
        return part or _missing("tool call", call_id)

    def _tool_in_step(self, call_id: str, dynamic: bool) -> ToolSoFar:
        """Find a call of the current step by its id and kind, or add it."""
        part = self._step_tools.get((call_id, dynamic))
        if part is None:
            part = ToolSoFar(call_id, dynamic)
            self._add(part)
        return part

    # -- one for each chunk -----------------------------------------------------------------

    def _start(self, chunk: StartChunk) -> None:
        if chunk.message_id is not UNSET:
            self.message_id = chunk.message_id
        self._merge_metadata(chunk)

    def _merge_metadata(self, chunk: StartChunk | FinishChunk | MessageMetadataChunk) -> None:
        self._metadata = merge(self._metadata, chunk.message_metadata)

    def _start_step(self, chunk: StartStepChunk) -> None:
        self._add(StepStart())

    def _finish_step(self, chunk: FinishStepChunk) -> None:
        self._add(StepEnd())

    def _reset_step(self, chunk: ResetStepChunk) -> None:
        self._texts.clear()
        self._reasoning.clear()
        self._inputs.clear()
        self._reindex(self._parts[: self._step_at])

    def _text_start(self, chunk: TextStartChunk) -> None:
        part = TextSoFar(chunk.id, fields_from("text", chunk, state="streaming"))
        self._texts[chunk.id] = part
        self._add(part)

    def _reasoning_start(self, chunk: ReasoningStartChunk) -> None:
        part = TextSoFar(chunk.id, fields_from("reasoning", chunk, id=chunk.id, state="streaming"))
        self._reasoning[chunk.id] = part
        self._add(part)

    def _text_delta(self, chunk: TextDeltaChunk) -> None:
        part = self._texts.get(chunk.id) or _missing("text part", chunk.id)
        part.append(chunk.delta)
        if chunk.provider_metadata is not UNSET:
            part.fields["providerMetadata"] = chunk.provider_metadata

    def _reasoning_delta(self, chunk: ReasoningDeltaChunk) -> None:
        part = self._reasoning.get(chunk.id) or _missing("reasoning part", chunk.id)
        part.append(chunk.delta)
        if chunk.provider_metadata is not UNSET:
            part.fields["providerMetadata"] = chunk.provider_metadata

    def _text_end(self, chunk: TextEndChunk) -> None:
        part = self._texts.pop(chunk.id, None) or _missing("text part", chunk.id)
        part.fields |= fields_from("text", chunk, state="done", citations=chunk.citations)

    def _reasoning_end(self, chunk: ReasoningEndChunk) -> None:
        part = self._reasoning.pop(chunk.id, None) or _missing("reasoning part", chunk.id)
        part.fields |= fields_from("reasoning", chunk, state="done")

    def _tool_input_start(self, chunk: ToolInputStartChunk) -> None:
        self._inputs[chunk.tool_call_id] = InputSoFar(chunk)
        self._tool_in_step(chunk.tool_call_id, chunk.dynamic is True).update(
            chunk.tool_name,
            "input-streaming",
            chunk.provider_metadata,
            inputEncoding=chunk.input_encoding,
            **kept_from(chunk),
        )

    def _tool_input_delta(self, chunk: ToolInputDeltaChunk) -> None:
        streaming = self._inputs.get(chunk.tool_call_id)
        if streaming is None:
            _missing("tool input", chunk.tool_call_id)
        streaming.pieces.append(chunk.input_text_delta)
        dynamic = streaming.start.dynamic is True
        self._tool_in_step(chunk.tool_call_id, dynamic).stream(streaming)

    def _tool_input_available(self, chunk: ToolInputAvailableChunk) -> None:
        self._tool_in_step(chunk.tool_call_id, chunk.dynamic is True).update(
            chunk.tool_name,
            "input-available",
            chunk.provider_metadata,
            input=chunk.input,
            **kept_from(chunk),
        )

    def _tool_input_error(self, chunk: ToolInputErrorChunk) -> None:
        known = self._in_step.get(chunk.tool_call_id)
        dynamic = chunk.dynamic is True if known is None else known.dynamic
        self._tool_in_step(chunk.tool_call_id, dynamic).update(
            chunk.tool_name,
            "output-error",
            chunk.provider_metadata,
            input=chunk.input,
            errorText=chunk.error_text,
            toolMetadata=chunk.tool_metadata,
            providerExecuted=chunk.provider_executed,
        )

    def _tool_output_available(self, chunk: ToolOutputAvailableChunk) -> None:
        part = self._tool(chunk.tool_call_id)
        part.update(
            part.name,
            "output-available",
            chunk.provider_metadata,
            input=part.settle().get("input", UNSET),
            output=chunk.output,
            preliminary=chunk.preliminary,
            providerExecuted=chunk.provider_executed,
            toolMetadata=chunk.tool_metadata,
        )

    def _tool_output_error(self, chunk: ToolOutputErrorChunk) -> None:
        part = self._tool(chunk.tool_call_id)
        fields = part.settle()
        part.update(
            part.name,
            "output-error",
            chunk.provider_metadata,
            input=fields.get("input", UNSET),
            rawInput=UNSET if part.dynamic else fields.get("rawInput", UNSET),
            errorText=chunk.error_text,
            providerExecuted=chunk.provider_executed,
            toolMetadata=chunk.tool_metadata,
        )

    def _tool_output_denied(self, chunk: ToolOutputDeniedChunk) -> None:
        self._tool(chunk.tool_call_id).state = "output-denied"

    def _tool_approval_request(self, chunk: ToolApprovalRequestChunk) -> None:
        part = self._tool(chunk.tool_call_id)
        part.state = "approval-requested"
        approval: dict[str, Value] = {
            "id": chunk.approval_id,
            "descriptor": chunk.approval_descriptor,
            "inputSchemaInput": chunk.input_schema_input,
            "requestReason": chunk.reason,
            "isAutomatic": chunk.is_automatic is True or UNSET,
            "signature": chunk.signature,
        }
        part.fields["approval"] = json_of({k: v for k, v in approval.items() if v is not UNSET})

    def _tool_approval_response(self, chunk: ToolApprovalResponseChunk) -> None:
        part, approval = self._approval(chunk.approval_id)
        part.state = "approval-responded"
        approval["approved"] = json_of(chunk.approved)
        if chunk.reason is not UNSET:
            approval["reason"] = json_of(chunk.reason)
        part.fields["approval"] = json_of(approval)
        if chunk.provider_executed is not UNSET:
            part.fields["providerExecuted"] = json_of(chunk.provider_executed)
        if chunk.provider_metadata is not UNSET:
            part.fields["callProviderMetadata"] = chunk.provider_metadata

    def _approval(self, approval_id: str) -> tuple[ToolSoFar, Fields]:
        for part in self._parts:
            if isinstance(part, ToolSoFar) and "approval" in part.fields:
                approval = fields_of(part.fields["approval"])
                if string_of(approval["id"]) == approval_id:
                    return part, approval
        _missing("approval", approval_id)

    def _whole(self, chunk: Chunk) -> None:
        self._add(Whole(chunk, Raw(encode(chunk))))

    def _opaque(self, chunk: OpaqueChunk) -> None:
        if not chunk.is_data or chunk.transient:
            return
        known = None if chunk.id is None else self._data.get((chunk.type, chunk.id))
        if known is None:
            self._add(DataSoFar(chunk))
        else:
            known.replace(chunk)

    def _nothing(self, chunk: AbortChunk | ErrorChunk) -> None:
        """Leave the message as it is."""


_APPLY: Final[dict[type[AnyChunk], Callable[[Assembler, Any], None]]] = {
    StartChunk: Assembler._start,
    FinishChunk: Assembler._merge_metadata,
    AbortChunk: Assembler._nothing,
    ErrorChunk: Assembler._nothing,
    MessageMetadataChunk: Assembler._merge_metadata,
    StartStepChunk: Assembler._start_step,
    FinishStepChunk: Assembler._finish_step,
    ResetStepChunk: Assembler._reset_step,
    TextStartChunk: Assembler._text_start,
    TextDeltaChunk: Assembler._text_delta,
    TextEndChunk: Assembler._text_end,
    ReasoningStartChunk: Assembler._reasoning_start,
    ReasoningDeltaChunk: Assembler._reasoning_delta,
    ReasoningEndChunk: Assembler._reasoning_end,
    ToolInputStartChunk: Assembler._tool_input_start,
    ToolInputDeltaChunk: Assembler._tool_input_delta,
    ToolInputAvailableChunk: Assembler._tool_input_available,
    ToolInputErrorChunk: Assembler._tool_input_error,
    ToolApprovalRequestChunk: Assembler._tool_approval_request,
    ToolApprovalResponseChunk: Assembler._tool_approval_response,
    ToolOutputAvailableChunk: Assembler._tool_output_available,
    ToolOutputErrorChunk: Assembler._tool_output_error,
    ToolOutputDeniedChunk: Assembler._tool_output_denied,
    SourceUrlChunk: Assembler._whole,
    SourceDocumentChunk: Assembler._whole,
    FileChunk: Assembler._whole,
    ReasoningFileChunk: Assembler._whole,
    CustomChunk: Assembler._whole,
    SteeringMessageChunk: Assembler._whole,
    OpaqueChunk: Assembler._opaque,
}


def _missing(thing: str, key: str) -> NoReturn:
    raise LocalProtocolError(f'unable to apply a chunk; the message has no {thing} "{key}"')
