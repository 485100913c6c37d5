"""Makes the fewest chunks that bring a client to a message's parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw

from midstream.protocol.chunks import (
    AnyChunk,
    FinishStepChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    StartStepChunk,
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
)
from midstream.protocol.codec import decode
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import parse_part
from midstream.protocol.parts import (
    NULL,
    DataSoFar,
    Fields,
    PartSoFar,
    StepEnd,
    StepStart,
    TextSoFar,
    ToolSoFar,
    Whole,
    fields_of,
    string_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STATES_AFTER_THE_INPUT: Final = frozenset(
    {"approval-requested", "approval-responded", "output-denied"}
)
"""States that do not change a call's input and result."""


def parts_of(raws: Iterable[Raw]) -> Iterator[PartSoFar | StepEnd]:
    """Yield the parts of a stored message, whose steps have ended."""
    in_step = False
    for raw in raws:
        part = _part_of(raw)
        if in_step and isinstance(part, StepStart):
            yield StepEnd()
        in_step |= isinstance(part, StepStart)
        yield part
    if in_step:
        yield StepEnd()


def replay_parts(parts: Iterable[PartSoFar | StepEnd]) -> Iterator[AnyChunk]:
    """Yield the parts' chunks, in the order of the parts."""
    for index, part in enumerate(parts):
        match part:
            case StepStart():
                yield StartStepChunk()
            case StepEnd():
                yield FinishStepChunk()
            case TextSoFar():
                yield from _text(part, part.key or f"part-{index}")
            case ToolSoFar():
                yield from _tool(part)
            case DataSoFar():
                yield decode(bytes(part.json()))
            case Whole(chunk=chunk) if chunk is not None:
                yield chunk


def _part_of(raw: Raw) -> PartSoFar:
    """Return a part of a stored message; an unreadable one stays unchanged."""
    try:
        parse_part(raw)
    except MalformedFrameError:
        return Whole(None, raw)
    fields = fields_of(raw)
    kind = string_of(fields["type"])
    if kind == "step-start":
        return StepStart()
    if kind in ("text", "reasoning"):
        key = fields.get("id")
        return TextSoFar("" if key is None else string_of(key), fields)
    if kind == "dynamic-tool" or kind.startswith("tool-"):
        return ToolSoFar.of(fields)
    try:
        chunk = decode(bytes(raw))
    except MalformedFrameError:
        return Whole(None, raw)
    if not isinstance(chunk, OpaqueChunk):
        return Whole(chunk, raw)
    return DataSoFar(chunk) if chunk.is_data else Whole(None, raw)


def _text(part: TextSoFar, key: str) -> Iterator[AnyChunk]:
    metadata = part.fields.get("providerMetadata", UNSET)
    is_text = string_of(part.fields["type"]) == "text"
    kinds = (
        (TextStartChunk, TextDeltaChunk) if is_text else (ReasoningStartChunk, ReasoningDeltaChunk)
    )
    yield kinds[0](id=key, provider_metadata=metadata)
    if text := part.text:
        yield kinds[1](id=key, delta=text)
    if part.done and is_text:
        yield TextEndChunk(id=key, citations=part.fields.get("citations", UNSET))
    elif part.done:
        yield ReasoningEndChunk(id=key)


def _tool(part: ToolSoFar) -> Iterator[AnyChunk]:
    """Yield a call's chunks.

    A later chunk replaces most fields of earlier ones, but neither an approval nor a result's
    metadata. So the chunks that set those come first.
    """
    fields = part.settle()
    approval = list(_approval(part.call_id, fields)) if "approval" in fields else []
    approval_is_older = part.state not in _STATES_AFTER_THE_INPUT
    if approval and approval_is_older:
        yield _input_start(part, fields)
        yield from approval
    yield from _input_and_result(part, fields)
    if not approval_is_older:
        yield from approval
    if part.state == "output-denied":
        yield ToolOutputDeniedChunk(tool_call_id=part.call_id)


def _input_and_result(part: ToolSoFar, fields: Fields) -> Iterator[AnyChunk]:
    result_metadata = fields.get("resultProviderMetadata", UNSET)
    if "output" in fields:
        # Its input is sent as a delta: `tool-input-available` would run a client's tool again.
        yield _input_start(part, fields)
        if "input" in fields:
            yield _input_delta(part, bytes(fields["input"]).decode())
        yield ToolOutputAvailableChunk(
            tool_call_id=part.call_id,
            output=fields["output"],
            provider_metadata=result_metadata,
            preliminary=_value(fields, "preliminary"),
            dynamic=part.dynamic or UNSET,
        )
    elif "errorText" in fields:
        yield _input_start(part, fields)
        yield _input_error(part, fields)
    else:
        if result_metadata is not UNSET:
            yield _input_start(part, fields)
            yield _input_error(part, fields | {"errorText": Raw(b'""')})
        yield from _input(part, fields)


def _input(part: ToolSoFar, fields: Fields) -> Iterator[AnyChunk]:
    if "input" in fields and "rawInput" not in fields:
        yield ToolInputAvailableChunk(
            tool_call_id=part.call_id,
            tool_name=part.name,
            input=fields["input"],
            provider_metadata=fields.get("callProviderMetadata", UNSET),
            **_common(part, fields),
        )
        return
    yield _input_start(part, fields)
    if "rawInput" in fields:
        yield _input_delta(part, string_of(fields["rawInput"]))


def _input_start(part: ToolSoFar, fields: Fields) -> ToolInputStartChunk:
    return ToolInputStartChunk(
        tool_call_id=part.call_id,
        tool_name=part.name,
        input_encoding=_value(fields, "inputEncoding"),
        provider_metadata=fields.get("callProviderMetadata", UNSET),
        **_common(part, fields),
    )


def _input_delta(part: ToolSoFar, text: str) -> ToolInputDeltaChunk:
    return ToolInputDeltaChunk(tool_call_id=part.call_id, input_text_delta=text)


def _input_error(part: ToolSoFar, fields: Fields) -> ToolInputErrorChunk:
    return ToolInputErrorChunk(
        tool_call_id=part.call_id,
        tool_name=part.name,
        input=fields.get("input", Raw(NULL)),
        error_text=_value(fields, "errorText"),
        provider_metadata=fields.get("resultProviderMetadata", UNSET),
        dynamic=part.dynamic or UNSET,
    )


def _common(part: ToolSoFar, fields: Fields) -> dict[str, Any]:
    return {
        "dynamic": part.dynamic or UNSET,
        "title": _value(fields, "title"),
        "tool_metadata": fields.get("toolMetadata", UNSET),
        "provider_executed": _value(fields, "providerExecuted"),
    }


def _value(fields: Fields, name: str) -> Any:
    return msgspec.json.decode(fields[name]) if name in fields else UNSET


def _approval(call_id: str, fields: Fields) -> Iterator[AnyChunk]:
    approval = fields_of(fields["approval"])
    approval_id = string_of(approval["id"])
    yield ToolApprovalRequestChunk(
        approval_id=approval_id,
        tool_call_id=call_id,
        approval_descriptor=approval.get("descriptor", UNSET),
        input_schema_input=approval.get("inputSchemaInput", UNSET),
        reason=_value(approval, "requestReason"),
        is_automatic=_value(approval, "isAutomatic"),
        signature=_value(approval, "signature"),
    )
    if "approved" in approval:
        yield ToolApprovalResponseChunk(
            approval_id=approval_id,
            approved=_value(approval, "approved"),
            reason=_value(approval, "reason"),
        )
