"""The AI SDK's messages: `UIMessage` and its parts.

A message keeps its original JSON (`raw`), so that fields of clients and of newer SDKs are not
lost. Its parts are decoded only when needed. Shapes are those of ai 7.0.173,
`src/ui/ui-messages.ts`; ai 5 and 6 write subsets of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.chunks import Json
from midstream.protocol.codec import UNREADABLE, one_line
from midstream.protocol.errors import MalformedFrameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MessageRole: TypeAlias = Literal["system", "user", "assistant"]
ToolState: TypeAlias = Literal[
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
]


class _Part(
    Struct, frozen=True, kw_only=True, tag_field="type", rename="camel", omit_defaults=True
):
    pass


class TextPart(_Part, frozen=True, kw_only=True, tag="text"):
    """Text; `state` is absent in a person's message."""

    text: str
    state: Literal["streaming", "done"] | UnsetType = UNSET
    citations: Json | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class ReasoningPart(_Part, frozen=True, kw_only=True, tag="reasoning"):
    """The model's reasoning; signatures are in the metadata."""

    text: str
    id: str | UnsetType = UNSET
    state: Literal["streaming", "done"] | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class FilePart(_Part, frozen=True, kw_only=True, tag="file"):
    """A file by URL; often a data URL."""

    media_type: str
    url: str
    filename: str | UnsetType = UNSET
    provider_reference: Json | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class ReasoningFilePart(_Part, frozen=True, kw_only=True, tag="reasoning-file"):
    """A file inside the reasoning."""

    media_type: str
    url: str
    provider_metadata: Json | UnsetType = UNSET


class SourceUrlPart(_Part, frozen=True, kw_only=True, tag="source-url"):
    """A web page that the answer used."""

    source_id: str
    url: str
    title: str | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class SourceDocumentPart(_Part, frozen=True, kw_only=True, tag="source-document"):
    """A document that the answer used."""

    source_id: str
    media_type: str
    title: str
    filename: str | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class StepStartPart(_Part, frozen=True, kw_only=True, tag="step-start"):
    """The beginning of one call of the model."""


class CustomPart(_Part, frozen=True, kw_only=True, tag="custom"):
    """A part that only the provider understands."""

    kind: str
    provider_metadata: Json | UnsetType = UNSET


class ToolApproval(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An approval request; `approved` is absent until a person answers it."""

    id: str
    approved: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    request_reason: str | UnsetType = UNSET
    is_automatic: bool | UnsetType = UNSET
    signature: str | UnsetType = UNSET


class ToolPart(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A tool call with its state and result: `tool-NAME`, or `dynamic-tool` with its name.

    `type` is as on the wire. The wire has `tool_name` only for dynamic tools; `parse_part`
    sets it for the others.
    """

    type: str
    tool_call_id: str
    state: ToolState
    tool_name: str = ""
    title: str | UnsetType = UNSET
    tool_metadata: Json | UnsetType = UNSET
    input: Json | UnsetType = UNSET
    input_encoding: Literal["json", "text"] | UnsetType = UNSET
    raw_input: Json | UnsetType = UNSET
    output: Json | UnsetType = UNSET
    error_text: str | UnsetType = UNSET
    provider_executed: bool | UnsetType = UNSET
    preliminary: bool | UnsetType = UNSET
    call_provider_metadata: Json | UnsetType = UNSET
    result_provider_metadata: Json | UnsetType = UNSET
    approval: ToolApproval | UnsetType = UNSET

    @property
    def dynamic(self) -> bool:
        """Whether this is a `dynamic-tool` part."""
        return self.type == "dynamic-tool"


class OpaquePart(Struct, frozen=True, kw_only=True):
    """A `data-*` part, or one of an unknown type; `raw` is the whole part as JSON."""

    type: str
    raw: Raw
    id: str | None = None


Part: TypeAlias = (
    TextPart
    | ReasoningPart
    | FilePart
    | ReasoningFilePart
    | SourceUrlPart
    | SourceDocumentPart
    | StepStartPart
    | CustomPart
    | ToolPart
    | OpaquePart
)


class _PartHead(Struct):
    type: str
    id: str | None = None


class _MessageHead(Struct):
    id: str
    role: MessageRole
    parts: list[Raw]
    metadata: Raw | UnsetType = UNSET


_part_head = msgspec.json.Decoder(_PartHead)
_message_head = msgspec.json.Decoder(_MessageHead)
_tool_decoder = msgspec.json.Decoder(ToolPart)
_part_decoders: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind) for kind in _Part.__subclasses__()
}


def parse_part(raw: bytes | Raw) -> Part:
    """Decode one part's JSON.

    Raises:
        MalformedFrameError: it is not an object with a `type`, or has not that type's shape.
    """
    try:
        head = _part_head.decode(raw)
        decoder = _part_decoders.get(head.type)
        if decoder is not None:
            part: Part = decoder.decode(raw)
            return part
        if head.type == "dynamic-tool":
            return _tool_decoder.decode(raw)
        if head.type.startswith("tool-"):
            return msgspec.structs.replace(_tool_decoder.decode(raw), tool_name=head.type[5:])
        return OpaquePart(type=head.type, raw=Raw(bytes(raw)), id=head.id)
    except UNREADABLE as error:
        raise MalformedFrameError(f"unable to read a message part; {error}") from None


def readable_parts(raws: Iterable[bytes | Raw]) -> Iterator[Part]:
    """Decode the readable parts, in order; a stored part may be of another version."""
    for raw in raws:
        try:
            yield parse_part(raw)
        except MalformedFrameError:
            continue


class UIMessage(Struct, frozen=True, kw_only=True):
    """A message of the conversation.

    Attributes:
        raw: the message as JSON, on one line, as it is stored and sent.
        parts: each part's JSON, in order.
    """

    id: str
    role: MessageRole
    parts: tuple[Raw, ...]
    raw: Raw
    metadata: Json | UnsetType = UNSET

    @classmethod
    def parse(cls, raw: bytes | Raw) -> UIMessage:
        """Decode a message's JSON, but not its parts.

        Raises:
            MalformedFrameError: it is not an object with `id`, `role` and `parts`.
        """
        try:
            compact = one_line(bytes(raw).strip())
            compact.decode()
            head = _message_head.decode(compact)
        except UNREADABLE as error:
            raise MalformedFrameError(f"unable to read a message; {error}") from None
        return cls(
            id=head.id,
            role=head.role,
            parts=tuple(head.parts),
            raw=Raw(compact),
            metadata=head.metadata,
        )

    def decoded_parts(self) -> Iterable[Part]:
        """Decode the parts, in order. Raises MalformedFrameError at a bad one."""
        return map(parse_part, self.parts)

    def readable_parts(self) -> Iterator[Part]:
        """Decode the readable parts, in order."""
        return readable_parts(self.parts)

    @property
    def text(self) -> str:
        """The readable text parts, joined."""
        return "".join(part.text for part in self.readable_parts() if isinstance(part, TextPart))
