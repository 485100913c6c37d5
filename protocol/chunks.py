"""The AI SDK's UI message chunks: one frozen, tagged Struct for each type.

A run is a sequence of these. Field names and types are those of `uiMessageChunkSchema`
in ai 7.0.173 (`src/ui-message-stream/ui-message-chunks.ts`). `vocabulary.py` says which of
them ai 5 and ai 6 accept, and `grammar.py` which order is legal.

Values of a foreign shape (tool inputs and outputs, `data-*` payloads, metadata) are
`msgspec.Raw`: JSON text, carried unchanged and never decoded and encoded again. A Raw read by
a decoder keeps its whole source buffer alive; `.copy()` frees it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import UNSET, Raw, Struct, UnsetType

Json: TypeAlias = Raw
"""JSON text of a foreign shape."""

FinishReason: TypeAlias = Literal[
    "stop",
    "length",
    "content-filter",
    "tool-calls",
    "error",
    "interrupted",
    "other",
    "unknown",
]


class Chunk(
    Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    tag_field="type",
    rename="camel",
    omit_defaults=True,
):
    """Base of all chunks. `type` on the wire is the Struct's tag."""


class StartChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="start"):
    """Opens a run's stream. `message_id` is set on every one that we send."""

    message_id: str | UnsetType = UNSET
    message_metadata: Json | UnsetType = UNSET


class FinishChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="finish"):
    """The last chunk of every run. Without a reason after an abort."""

    finish_reason: FinishReason | UnsetType = UNSET
    message_metadata: Json | UnsetType = UNSET


class AbortChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="abort"):
    """A person stopped the run. `finish` follows."""

    reason: str | UnsetType = UNSET


class ErrorChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="error"):
    """The run failed. Clients read nothing after it, but `finish` still follows."""

    error_text: str


class MessageMetadataChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="message-metadata"):
    """Metadata to merge into the message's."""

    message_metadata: Json


class StartStepChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="start-step"):
    """One call of a model begins."""


class FinishStepChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="finish-step"):
    """One call of a model ended, its tools included."""


class ResetStepChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="reset-step"):
    """Forget the parts of the current step: it begins again (ai 7)."""


class TextStartChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="text-start"):
    """Opens a text part; `id` names it until its end."""

    id: str
    provider_metadata: Json | UnsetType = UNSET


class TextDeltaChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="text-delta"):
    """Text to append to an open text part."""

    id: str
    delta: str
    provider_metadata: Json | UnsetType = UNSET


class TextEndChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="text-end"):
    """Closes a text part."""

    id: str
    citations: Json | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class ReasoningStartChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="reasoning-start"):
    """Opens a reasoning part; `id` names it until its end."""

    id: str
    provider_metadata: Json | UnsetType = UNSET


class ReasoningDeltaChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="reasoning-delta"):
    """Text to append to an open reasoning part. An empty one carries a signature."""

    id: str
    delta: str
    provider_metadata: Json | UnsetType = UNSET


class ReasoningEndChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="reasoning-end"):
    """Closes a reasoning part."""

    id: str
    provider_metadata: Json | UnsetType = UNSET


class ToolInputStartChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="tool-input-start"):
    """A tool call's input begins to stream."""

    tool_call_id: str
    tool_name: str
    input_encoding: Literal["json", "text"] | UnsetType = UNSET
    provider_executed: bool | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET
    tool_metadata: Json | UnsetType = UNSET
    dynamic: bool | UnsetType = UNSET
    title: str | UnsetType = UNSET


class ToolInputDeltaChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="tool-input-delta"):
    """More of a tool call's input, as text."""

    tool_call_id: str
    input_text_delta: str


class ToolInputAvailableChunk(
    Chunk, frozen=True, gc=False, kw_only=True, tag="tool-input-available"
):
    """A tool call with its complete input; a tool-input-start before it is optional."""

    tool_call_id: str
    tool_name: str
    input: Json
    provider_executed: bool | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET
    tool_metadata: Json | UnsetType = UNSET
    dynamic: bool | UnsetType = UNSET
    title: str | UnsetType = UNSET


class ToolInputErrorChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="tool-input-error"):
    """A tool call with an unusable input: undeclared tool, bad JSON, wrong shape, cut short."""

    tool_call_id: str
    tool_name: str
    input: Json
    error_text: str
    provider_executed: bool | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET
    tool_metadata: Json | UnsetType = UNSET
    dynamic: bool | UnsetType = UNSET
    title: str | UnsetType = UNSET


class ToolApprovalRequestChunk(
    Chunk, frozen=True, gc=False, kw_only=True, tag="tool-approval-request"
):
    """The question to a person whether a tool call may run."""

    approval_id: str
    tool_call_id: str
    approval_descriptor: Json | UnsetType = UNSET
    input_schema_input: Json | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    is_automatic: bool | UnsetType = UNSET
    signature: str | UnsetType = UNSET


class ToolApprovalResponseChunk(
    Chunk, frozen=True, gc=False, kw_only=True, tag="tool-approval-response"
):
    """The answer to a tool-approval-request."""

    approval_id: str
    approved: bool
    reason: str | UnsetType = UNSET
    provider_executed: bool | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class ToolOutputAvailableChunk(
    Chunk, frozen=True, gc=False, kw_only=True, tag="tool-output-available"
):
    """A tool call's result. `preliminary`: a later one replaces it."""

    tool_call_id: str
    output: Json
    provider_executed: bool | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET
    tool_metadata: Json | UnsetType = UNSET
    dynamic: bool | UnsetType = UNSET
    preliminary: bool | UnsetType = UNSET


class ToolOutputErrorChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="tool-output-error"):
    """A tool call that failed."""

    tool_call_id: str
    error_text: str
    provider_executed: bool | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET
    tool_metadata: Json | UnsetType = UNSET
    dynamic: bool | UnsetType = UNSET


class ToolOutputDeniedChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="tool-output-denied"):
    """A tool call that a person refused."""

    tool_call_id: str


class SourceUrlChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="source-url"):
    """A web page that the answer used."""

    source_id: str
    url: str
    title: str | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class SourceDocumentChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="source-document"):
    """A document that the answer used."""

    source_id: str
    media_type: str
    title: str
    filename: str | UnsetType = UNSET
    provider_metadata: Json | UnsetType = UNSET


class FileChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="file"):
    """A file that the model made; `url` may be a data URL."""

    url: str
    media_type: str
    provider_metadata: Json | UnsetType = UNSET


class ReasoningFileChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="reasoning-file"):
    """A file that belongs to the reasoning (ai 7)."""

    url: str
    media_type: str
    provider_metadata: Json | UnsetType = UNSET


class CustomChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="custom"):
    """A part that only the provider understands, named `provider.kind` (ai 7)."""

    kind: str
    provider_metadata: Json | UnsetType = UNSET


class SteeringMessageChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="steering-message"):
    """A person's message that the running model has taken up (ai 7.0.78)."""

    id: str
    parts: Json


class OpaqueChunk(Struct, frozen=True, gc=False, kw_only=True):
    """A `data-*` chunk, or one of a type that this module does not know.

    `raw` is the whole chunk as JSON, on one line, as it is sent.
    """

    type: str
    raw: bytes
    id: str | None = None
    transient: bool = False

    @property
    def is_data(self) -> bool:
        """Whether this is a `data-*` chunk, which every client version accepts."""
        return self.type.startswith("data-")


AnyChunk: TypeAlias = Chunk | OpaqueChunk

KNOWN_CHUNKS: Final[dict[str, type[Chunk]]] = {
    str(kind.__struct_config__.tag): kind for kind in Chunk.__subclasses__()
}
"""Wire type -> Struct."""
