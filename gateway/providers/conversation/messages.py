"""The history in the form that models read: the AI SDK's model messages.

An assistant message becomes, step by step, the model's words and calls, and then the calls'
results. Each call has its result, because providers refuse a request in which one is missing.
Calls that a stopped or crashed run left unfinished are left out, and so are unreadable parts.
The answer that is being continued is the exception: a call that the provider itself executes may
wait for the continuation (`pause_turn`, or code that calls the client's tools), and its result
comes in the next response. Values of foreign shapes stay JSON; each provider reads its own
metadata.

Source: ai 7.0.173, `ui/convert-to-model-messages.ts` (with `ignoreIncompleteToolCalls`) and
`prompt/convert-to-language-model-prompt.ts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import Json
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.cut_calls import CUT_TEXTS
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import (
    CustomPart,
    FilePart,
    OpaquePart,
    Part,
    ReasoningPart,
    StepStartPart,
    TextPart,
    ToolPart,
    UIMessage,
    parse_part,
)
from midstream.protocol.parts import fields_of
from midstream.providers.conversation.files import ModelFile, model_file
from midstream.providers.conversation.json_text import sound
from midstream.providers.conversation.outputs import output_content

if TYPE_CHECKING:
    from collections.abc import Iterable

Metadata: TypeAlias = Json | UnsetType
ResultKind: TypeAlias = Literal[
    "text", "json", "content", "error-text", "error-json", "execution-denied"
]


class ModelText(Struct, frozen=True, kw_only=True):
    """Text."""

    text: str
    metadata: Metadata = UNSET


class ModelReasoning(Struct, frozen=True, kw_only=True):
    """Reasoning; without its provider's metadata few providers take it back."""

    text: str
    metadata: Metadata = UNSET

    @property
    def is_cut(self) -> bool:
        """Whether it was closed for its provider, which never finished it."""
        return self.metadata is not UNSET and bytes(self.metadata) in _EMPTY_METADATA


class ModelCustom(Struct, frozen=True, kw_only=True):
    """Something that only its provider understands, `provider.kind`."""

    kind: str
    metadata: Metadata = UNSET


class ModelToolCall(Struct, frozen=True, kw_only=True):
    """A tool call.

    Attributes:
        input: UNSET if the model wrote nothing usable.
        is_open: the provider executes it, and its result is still to come.
    """

    call_id: str
    name: str
    input: Json | UnsetType = UNSET
    provider_executed: bool = False
    is_open: bool = False
    metadata: Metadata = UNSET


class ModelToolResult(Struct, frozen=True, kw_only=True):
    """Result of a call.

    Attributes:
        kind: how `value` is meant. `text`, `error-text` and `execution-denied` (the reason,
            or UNSET): a JSON string; `content`: texts and files, see `content_parts`; else
            any JSON.
    """

    call_id: str
    name: str
    kind: ResultKind
    value: Json | UnsetType = UNSET
    metadata: Metadata = UNSET

    def text(self) -> str:
        """Return a string value as text; empty without one."""
        return "" if self.value is UNSET else msgspec.json.decode(self.value, type=str)


class ModelApprovalResponse(Struct, frozen=True, kw_only=True):
    """A person's answer to a question of the provider's."""

    approval_id: str
    approved: bool
    reason: str | None = None


class SystemMessage(Struct, frozen=True, kw_only=True):
    """Instructions."""

    text: str
    metadata: Metadata = UNSET


class UserMessage(Struct, frozen=True, kw_only=True):
    """Content of a person's message."""

    content: Sequence[ModelText | ModelFile]


AssistantContent: TypeAlias = (
    ModelText | ModelReasoning | ModelFile | ModelCustom | ModelToolCall | ModelToolResult
)


class AssistantMessage(Struct, frozen=True, kw_only=True):
    """One step of the model's.

    Attributes:
        content: in order; results here are of tools that the provider executed.
        finished: the provider completed the response, so that what it stored of it can be
            referred to.
    """

    content: Sequence[AssistantContent]
    finished: bool = True


class ToolMessage(Struct, frozen=True, kw_only=True):
    """Results of the calls before it."""

    content: Sequence[ModelToolResult | ModelApprovalResponse]


ModelMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage

CUT_MARKS: Final = frozenset({"openai.interrupted"})
"""Kinds of custom parts that say that the response of their step was cut."""

_EMPTY_METADATA: Final = (b"{}", b"null")
_DENIED: Final = "Tool call execution denied."


class _Steering(Struct):
    parts: list[Raw]


_steering_decoder = msgspec.json.Decoder(_Steering)
_encode = msgspec.json.encode


def model_messages(history: Iterable[UIMessage]) -> list[ModelMessage]:
    """Convert a history, oldest first. Messages that would be empty are left out."""
    messages: list[ModelMessage] = []
    history = list(history)
    answered = _index_of_last_user(history)
    for index, message in enumerate(history):
        parts = list(_readable_parts(message.parts))
        if message.role == "system":
            messages.append(_system_message(parts))
        elif message.role == "user":
            _add_user(parts, messages)
        else:
            _add_assistant(parts, messages, goes_on=index > answered)
    return messages


def _index_of_last_user(history: Sequence[UIMessage]) -> int:
    return max((i for i, message in enumerate(history) if message.role == "user"), default=-1)


def _readable_parts(raw_parts: Iterable[Raw]) -> Iterator[Part]:
    for raw in raw_parts:
        try:
            whole = sound(raw)
            if whole is not None:
                yield parse_part(whole)
        except MalformedFrameError:
            continue


def _system_message(parts: Sequence[Part]) -> SystemMessage:
    texts = [part for part in parts if isinstance(part, TextPart)]
    merged: dict[str, Raw] = {}
    for part in texts:
        if part.provider_metadata is not UNSET:
            with suppress(*UNREADABLE):
                merged |= fields_of(part.provider_metadata)
    return SystemMessage(
        text="".join(part.text for part in texts),
        metadata=Raw(_encode(merged)) if merged else UNSET,
    )


def _add_user(parts: Iterable[Part], messages: list[ModelMessage]) -> None:
    content: list[ModelText | ModelFile] = []
    for part in parts:
        if isinstance(part, TextPart) and part.text:
            content.append(ModelText(text=part.text, metadata=part.provider_metadata))
        elif isinstance(part, FilePart):
            content.append(model_file(part))
    if content:
        messages.append(UserMessage(content=content))


def _add_assistant(parts: Sequence[Part], messages: list[ModelMessage], *, goes_on: bool) -> None:
    step: list[Part] = []
    steered = max((i for i, part in enumerate(parts) if _is_steering(part)), default=-1)
    for index, part in enumerate(parts):
        if isinstance(part, StepStartPart):
            _add_step(step, messages, goes_on=goes_on and index > steered)
            step = []
        elif isinstance(part, OpaquePart) and _is_steering(part):
            # A person's message that the run took up between two steps.
            _add_step(step, messages, goes_on=False)
            step = []
            with suppress(*UNREADABLE):
                steering = _steering_decoder.decode(part.raw).parts
                _add_user(list(_readable_parts(steering)), messages)
        else:
            step.append(part)
    _add_step(step, messages, goes_on=goes_on)


def _is_steering(part: Part) -> bool:
    return isinstance(part, OpaquePart) and part.type == "steering-message"


def _add_step(parts: Sequence[Part], messages: list[ModelMessage], *, goes_on: bool) -> None:
    """Add the model's content of one step, and its calls' results."""
    content: list[AssistantContent] = []
    results: list[ModelToolResult | ModelApprovalResponse] = []
    for part in parts:
        if isinstance(part, ToolPart):
            if _is_complete(part) or (goes_on and _is_open(part)):
                content += _called(part)
                results += _resulted(part)
        elif (said := _said(part)) is not None:
            content.append(said)
    if content:
        messages.append(AssistantMessage(content=content, finished=_is_finished(parts)))
    if not results:
        return
    last = messages[-1] if messages else None
    if isinstance(last, ToolMessage):
        messages[-1] = ToolMessage(content=[*last.content, *results])
    else:
        messages.append(ToolMessage(content=results))


def _said(part: Part) -> ModelText | ModelReasoning | ModelFile | ModelCustom | None:
    if isinstance(part, TextPart):
        if not part.text and part.provider_metadata is UNSET:
            return None
        return ModelText(text=part.text, metadata=part.provider_metadata)
    if isinstance(part, ReasoningPart):
        return ModelReasoning(text=part.text, metadata=part.provider_metadata)
    if isinstance(part, CustomPart):
        return ModelCustom(kind=part.kind, metadata=part.provider_metadata)
    if isinstance(part, FilePart):
        return model_file(part)
    return None


def _is_finished(parts: Sequence[Part]) -> bool:
    """Whether a step's response was completed, as far as its parts tell.

    Not if a part still streams, or if it was closed for the provider (with empty metadata),
    or if the model thought and then said nothing, or if the provider's mark of a cut is there.
    """
    for part in parts:
        if isinstance(part, TextPart | ReasoningPart):
            if part.state == "streaming" or _is_empty(part.provider_metadata):
                return False
        elif isinstance(part, ToolPart):
            cut = part.state == "output-error" and _is_empty(part.result_provider_metadata)
            if cut or part.state == "input-streaming":
                return False
        elif isinstance(part, CustomPart) and part.kind in CUT_MARKS:
            return False
    return not parts or not isinstance(parts[-1], ReasoningPart)


def _is_empty(metadata: Json | UnsetType) -> bool:
    return metadata is not UNSET and bytes(metadata) in _EMPTY_METADATA


def _is_complete(part: ToolPart) -> bool:
    """Whether a call has what the next request needs: its result, or a person's answer."""
    if part.state == "approval-responded":
        refused = part.approval is not UNSET and part.approval.approved is False
        return part.provider_executed is True or refused
    if part.state == "output-available":
        return part.preliminary is not True
    if part.state == "output-error" and part.provider_executed is True:
        # The provider knows of none that a stop has closed for people.
        return part.error_text not in CUT_TEXTS
    return part.state in ("output-error", "output-denied")


def _is_open(part: ToolPart) -> bool:
    """Whether the provider executes a call whose result has not come."""
    return part.provider_executed is True and part.state == "input-available"


def _called(part: ToolPart) -> Iterator[AssistantContent]:
    """Return a call and, if the provider executed it, its result."""
    failed = part.state == "output-error"
    metadata = part.call_provider_metadata
    if metadata is UNSET and failed:
        metadata = part.result_provider_metadata
    yield ModelToolCall(
        call_id=part.tool_call_id,
        name=part.tool_name,
        input=part.raw_input if failed and part.input is UNSET else part.input,
        provider_executed=part.provider_executed is True,
        is_open=_is_open(part),
        metadata=metadata,
    )
    if part.provider_executed is not True or part.state not in ("output-available", "output-error"):
        return
    metadata = part.result_provider_metadata
    if metadata is UNSET:
        metadata = part.call_provider_metadata
    if failed:
        value = Raw(_encode(part.error_text or ""))
        yield _result(part, "error-json", value, metadata)
    else:
        yield _output(part, metadata)


def _resulted(part: ToolPart) -> Iterator[ModelToolResult | ModelApprovalResponse]:
    """Return a call's result for the message after the step's."""
    metadata = part.call_provider_metadata
    approval = part.approval
    hosted = part.provider_executed is True
    if hosted and approval is not UNSET and approval.approved is not UNSET:
        yield ModelApprovalResponse(
            approval_id=approval.id,
            approved=approval.approved,
            reason=None if approval.reason is UNSET else approval.reason,
        )
    reason = UNSET if approval is UNSET else approval.reason
    if part.state == "approval-responded" and approval is not UNSET and approval.approved is False:
        value = UNSET if reason is UNSET else Raw(_encode(reason))
        yield _result(part, "execution-denied", value, metadata)
    if hosted:
        return
    if part.state == "output-denied":
        value = Raw(_encode(_DENIED if reason is UNSET else reason))
        yield _result(part, "error-text", value, metadata)
    elif part.state == "output-error":
        yield _result(part, "error-text", Raw(_encode(part.error_text or "")), metadata)
    elif part.state == "output-available":
        yield _output(part, metadata)


def _output(part: ToolPart, metadata: Metadata) -> ModelToolResult:
    if part.provider_executed is not True and (content := output_content(part)) is not None:
        return _result(part, "content", content, metadata)
    value = Raw(b"null") if part.output is UNSET else part.output
    is_text = bytes(value).lstrip().startswith(b'"')
    return _result(part, "text" if is_text else "json", value, metadata)


def _result(
    part: ToolPart,
    kind: ResultKind,
    value: Json | UnsetType,
    metadata: Metadata,
) -> ModelToolResult:
    return ModelToolResult(
        call_id=part.tool_call_id, name=part.tool_name, kind=kind, value=value, metadata=metadata
    )
