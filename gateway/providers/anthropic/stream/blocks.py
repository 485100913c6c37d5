"""Anthropic Messages, as streamed: one tagged Struct for each event, block, delta and result.

Only what becomes a chunk is declared: unknown fields are skipped while decoding. Names are
the API's. What a Struct of a tool result holds is also what its output shows, so a field
that may be absent is UNSET, and one that may be null is None. A field without a default is
one that a chunk cannot be made without; what is `Side` decides nothing.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-api.ts` (`anthropicChunkSchema`).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.providers.stream.loose import Side

NO_JSON: Final = Raw()


class Wire(Struct, frozen=True, tag_field="type"):
    """Base of everything with a `type`."""


# --- who called a tool ----------------------------------------------------------------------


class BlockCaller(Struct, frozen=True):
    """Caller of a tool: the model (`direct`), or code that it runs."""

    type: str
    tool_id: Side[str | UnsetType] = UNSET


# --- results of the provider's own tools ----------------------------------------------------


class WebFetchSource(Struct, frozen=True):
    """A fetched document's content."""

    data: str
    type: Side[str] = "text"
    media_type: Side[str] = "text/plain"


class FetchedDocument(Struct, frozen=True):
    """A fetched document."""

    source: WebFetchSource
    type: Side[str] = "document"
    title: Side[str | None] = None
    citations: Raw | UnsetType = UNSET


class WebFetchResult(Wire, frozen=True, tag="web_fetch_result"):
    """A page or document that was fetched."""

    url: str
    content: FetchedDocument
    retrieved_at: Side[str | None] = None


class WebFetchError(Wire, frozen=True, tag="web_fetch_tool_result_error"):
    """A fetch that failed."""

    error_code: Side[str] = "unavailable"


class WebSearchResult(Struct, frozen=True):
    """One page that a search found: its address makes a source."""

    url: str
    type: Side[str] = "web_search_result"
    title: Side[str | None] = None
    encrypted_content: Side[str] = ""
    page_age: Side[str | None] = None


class WebSearchError(Wire, frozen=True, tag="web_search_tool_result_error"):
    """A search that failed."""

    error_code: Side[str] = "unavailable"


class OutputFile(Struct, frozen=True):
    """A file that code left behind."""

    file_id: str
    type: Side[str] = "code_execution_output"


class CodeResult(Wire, frozen=True, tag="code_execution_result"):
    """Output of code."""

    stdout: str = ""
    stderr: str = ""
    return_code: Side[int] = 0
    content: list[OutputFile] = []


class EncryptedCodeResult(Wire, frozen=True, tag="encrypted_code_execution_result"):
    """Output of code, encrypted for the provider."""

    encrypted_stdout: str
    stderr: str = ""
    return_code: Side[int] = 0
    content: list[OutputFile] = []


class CodeError(Wire, frozen=True, tag="code_execution_tool_result_error"):
    """Code that could not be run."""

    error_code: Side[str] = "unavailable"


class BashResult(Wire, frozen=True, tag="bash_code_execution_result"):
    """Output of a shell command."""

    content: list[OutputFile] = []
    stdout: str = ""
    stderr: str = ""
    return_code: Side[int] = 0


class BashError(Wire, frozen=True, tag="bash_code_execution_tool_result_error"):
    """A shell command that could not be run."""

    error_code: Side[str] = "unavailable"


class EditorError(Wire, frozen=True, tag="text_editor_code_execution_tool_result_error"):
    """An edit that failed."""

    error_code: Side[str] = "unavailable"


class EditorView(Wire, frozen=True, tag="text_editor_code_execution_view_result"):
    """A file that was looked at."""

    content: str
    file_type: Side[str] = "text"
    num_lines: Side[int | None] = None
    start_line: Side[int | None] = None
    total_lines: Side[int | None] = None


class EditorCreate(Wire, frozen=True, tag="text_editor_code_execution_create_result"):
    """A file that was written."""

    is_file_update: Side[bool] = False


class EditorReplace(Wire, frozen=True, tag="text_editor_code_execution_str_replace_result"):
    """A file in which text was replaced."""

    lines: list[str] | None = None
    new_lines: Side[int | None] = None
    new_start: Side[int | None] = None
    old_lines: Side[int | None] = None
    old_start: Side[int | None] = None


class ToolReference(Struct, frozen=True):
    """A tool that a tool search found."""

    tool_name: str
    type: Side[str] = "tool_reference"


class ToolSearchResult(Wire, frozen=True, tag="tool_search_tool_search_result"):
    """The tools that a tool search found."""

    tool_references: list[ToolReference]


class ToolSearchError(Wire, frozen=True, tag="tool_search_tool_result_error"):
    """A tool search that failed."""

    error_code: Side[str] = "unavailable"


class AdvisorResult(Wire, frozen=True, tag="advisor_result"):
    """Advice of the advisor."""

    text: str
    stop_reason: Side[str | None] = None


class AdvisorRedacted(Wire, frozen=True, tag="advisor_redacted_result"):
    """Advice of the advisor, encrypted for the provider."""

    encrypted_content: str
    stop_reason: Side[str | None] = None


class AdvisorError(Wire, frozen=True, tag="advisor_tool_result_error"):
    """Advice that could not be had."""

    error_code: Side[str] = "unavailable"


class McpText(Struct, frozen=True, kw_only=True):
    """A text of an MCP tool's result; its order shows, in the text of an error."""

    type: Side[str] = "text"
    text: str
    citations: Raw | UnsetType = UNSET


# --- content blocks -------------------------------------------------------------------------


class TextBlock(Wire, frozen=True, tag="text"):
    """A text begins."""


class ThinkingBlock(Wire, frozen=True, tag="thinking"):
    """A thought begins."""


class RedactedThinkingBlock(Wire, frozen=True, tag="redacted_thinking"):
    """A thought that only the provider can read."""

    data: str


class CompactionBlock(Wire, frozen=True, tag="compaction"):
    """A summary of the conversation begins."""

    content: str | None = None
    signature: Side[str | None] = None


class ToolUseBlock(Wire, frozen=True, tag="tool_use"):
    """A call of one of our tools begins."""

    id: str
    name: str
    input: Raw = NO_JSON
    caller: Side[BlockCaller | None] = None
    toolset_name: Side[str | None] = None


class ServerToolUseBlock(Wire, frozen=True, tag="server_tool_use"):
    """A call of one of the provider's tools begins."""

    id: str
    name: str
    input: Raw = NO_JSON
    caller: Side[BlockCaller | None] = None


class McpToolUseBlock(Wire, frozen=True, tag="mcp_tool_use"):
    """A call of a tool of an MCP server, complete."""

    id: str
    name: str
    server_name: Side[str] = ""
    input: Raw = NO_JSON


class McpToolResultBlock(Wire, frozen=True, tag="mcp_tool_result"):
    """Output of an MCP tool."""

    tool_use_id: str
    is_error: Side[bool] = False
    content: str | list[str | McpText] = ""


class WebFetchBlock(Wire, frozen=True, tag="web_fetch_tool_result"):
    """The result of a web_fetch call."""

    tool_use_id: str
    content: WebFetchResult | WebFetchError
    caller: Side[BlockCaller | None] = None


class WebSearchBlock(Wire, frozen=True, tag="web_search_tool_result"):
    """The result of a web_search call."""

    tool_use_id: str
    content: list[WebSearchResult] | WebSearchError
    caller: Side[BlockCaller | None] = None


class CodeExecutionBlock(Wire, frozen=True, tag="code_execution_tool_result"):
    """The result of a code_execution call."""

    tool_use_id: str
    content: CodeResult | EncryptedCodeResult | CodeError


class BashBlock(Wire, frozen=True, tag="bash_code_execution_tool_result"):
    """The result of a bash_code_execution call."""

    tool_use_id: str
    content: BashResult | BashError


class EditorBlock(Wire, frozen=True, tag="text_editor_code_execution_tool_result"):
    """The result of a text_editor_code_execution call."""

    tool_use_id: str
    content: EditorError | EditorView | EditorCreate | EditorReplace


class ToolSearchBlock(Wire, frozen=True, tag="tool_search_tool_result"):
    """The result of a tool search."""

    tool_use_id: str
    content: ToolSearchResult | ToolSearchError


class AdvisorBlock(Wire, frozen=True, tag="advisor_tool_result"):
    """The result of an advisor call."""

    tool_use_id: str
    content: AdvisorResult | AdvisorRedacted | AdvisorError


class FallbackModel(Struct, frozen=True):
    """One side of a fallback."""

    model: Side[str] = ""


class FallbackBlock(Wire, frozen=True, tag="fallback"):
    """Another model took over."""

    from_: Side[FallbackModel] = msgspec.field(name="from", default=FallbackModel())
    to: Side[FallbackModel] = FallbackModel()


ResultBlock: TypeAlias = (
    WebFetchBlock
    | WebSearchBlock
    | CodeExecutionBlock
    | BashBlock
    | EditorBlock
    | ToolSearchBlock
    | AdvisorBlock
)
ContentBlock: TypeAlias = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | CompactionBlock
    | ToolUseBlock
    | ServerToolUseBlock
    | McpToolUseBlock
    | McpToolResultBlock
    | FallbackBlock
    | ResultBlock
)
