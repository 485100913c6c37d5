"""Results of Anthropic's own tools, as the outputs that the AI SDK makes of them.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts`, `doStream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from midstream.protocol.chunks import Json, ToolOutputAvailableChunk, ToolOutputErrorChunk
from midstream.protocol.surrogates import well_formed
from midstream.providers.anthropic.stream import blocks as wire
from midstream.providers.anthropic.stream.metadata import call_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from midstream.providers.anthropic.stream.calls import CompleteCall

_encode = msgspec.json.Encoder().encode

Fields: TypeAlias = "Mapping[str, object]"

_FAILURES: Final = (
    wire.WebFetchError,
    wire.WebSearchError,
    wire.CodeError,
    wire.ToolSearchError,
    wire.AdvisorError,
)
"""Not those of bash and the editor, which the AI SDK shows as outputs."""


def result_chunk(
    block: wire.ResultBlock,
) -> ToolOutputAvailableChunk | ToolOutputErrorChunk:
    """Return the output, or the error, of a call of one of the provider's tools."""
    metadata = (
        call_metadata(block.caller)
        if isinstance(block, wire.WebFetchBlock | wire.WebSearchBlock)
        else UNSET
    )
    content = block.content
    if isinstance(content, _FAILURES):
        failure = {"type": content.__struct_config__.tag, "errorCode": content.error_code}
        return _failed(block.tool_use_id, _encode(failure).decode(), metadata)
    return ToolOutputAvailableChunk(
        tool_call_id=block.tool_use_id,
        output=_json(_output(content)),
        provider_executed=True,
        provider_metadata=metadata,
    )


def mcp_result_chunk(
    block: wire.McpToolResultBlock, call: CompleteCall
) -> ToolOutputAvailableChunk | ToolOutputErrorChunk:
    """Return the output, or the error, of an MCP tool's call, whose metadata it repeats."""
    content = block.content
    metadata, dynamic = call.provider_metadata, call.dynamic
    if block.is_error:
        text = content if isinstance(content, str) else _encode(content).decode()
        return _failed(block.tool_use_id, text, metadata, dynamic=dynamic)
    return ToolOutputAvailableChunk(
        tool_call_id=block.tool_use_id,
        output=_json(content),
        provider_executed=True,
        provider_metadata=metadata,
        dynamic=dynamic,
    )


def page_fields(page: wire.WebSearchResult) -> dict[str, object]:
    """Return a found page in the AI SDK's spelling."""
    title = {} if page.title is None else {"title": page.title}
    return {
        "url": page.url,
        **title,
        "pageAge": page.page_age,
        "encryptedContent": page.encrypted_content,
        "type": page.type,
    }


def _json(value: object) -> msgspec.Raw:
    # Raw values inside it may hold bytes that are no text.
    return msgspec.Raw(well_formed(_encode(value)))


def _failed(
    call_id: str, text: str, metadata: Json | UnsetType, *, dynamic: bool | UnsetType = UNSET
) -> ToolOutputErrorChunk:
    return ToolOutputErrorChunk(
        tool_call_id=call_id,
        error_text=text,
        provider_executed=True,
        provider_metadata=metadata,
        dynamic=dynamic,
    )


def _output(content: object) -> object:
    if isinstance(content, list):
        return [page_fields(page) for page in content]
    if isinstance(content, wire.WebFetchResult):
        return _fetched(content)
    if isinstance(content, wire.ToolSearchResult):
        return _found_tools(content.tool_references)
    if isinstance(content, wire.AdvisorResult):
        return _advice("advisor_result", "text", content.text, content.stop_reason)
    if isinstance(content, wire.AdvisorRedacted):
        return _advice(
            "advisor_redacted_result",
            "encryptedContent",
            content.encrypted_content,
            content.stop_reason,
        )
    return content  # code, bash and the editor keep the API's spelling


def _fetched(result: wire.WebFetchResult) -> Fields:
    document = result.content
    citations = {} if document.citations is UNSET else {"citations": document.citations}
    return {
        "type": "web_fetch_result",
        "url": result.url,
        "retrievedAt": result.retrieved_at,
        "content": {
            "type": document.type,
            "title": document.title,
            **citations,
            "source": {
                "type": document.source.type,
                "mediaType": document.source.media_type,
                "data": document.source.data,
            },
        },
    }


def _found_tools(references: Sequence[wire.ToolReference]) -> list[Fields]:
    return [{"type": found.type, "toolName": found.tool_name} for found in references]


def _advice(kind: str, field: str, value: str, stop_reason: str | None) -> Fields:
    stopped = {} if stop_reason is None else {"stopReason": stop_reason}
    return {"type": kind, field: value, **stopped}
