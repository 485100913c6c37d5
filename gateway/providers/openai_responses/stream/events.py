"""OpenAI Responses, as streamed: the events and output items that we understand.

Only what becomes a chunk is declared: unknown fields are skipped while decoding. Names are
the API's. Nullable fields are None when absent, too, unless the difference shows. A field
without a default is one that a chunk cannot be made without; what is `Side` decides nothing.

Source: https://developers.openai.com/api/reference/resources/responses/streaming-events;
@ai-sdk/openai 4.0.118, `responses/openai-responses-api.ts`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.providers.stream.loose import Side

NO_JSON: Final = Raw()


class ResponseEvent(Struct, gc=False):
    """Any event: one flat shape, so that the common ones are decoded in one pass."""

    type: str
    delta: str | None = None
    item_id: Side[str] = ""
    output_index: Side[int | None] = None
    summary_index: Side[int] = 0
    content_index: Side[int] = 0
    item: Raw = NO_JSON
    response: Raw = NO_JSON
    annotation: Raw = NO_JSON
    error: Raw = NO_JSON
    code: Side[str | None] = None
    diff: str = ""
    partial_image_b64: str = ""


class Created(Struct):
    """`response.created`: its `response`. `store`: it can be referred to."""

    id: Side[str | None] = None
    model: Side[str | None] = None
    store: Side[bool | None] = None


class IncompleteDetails(Struct):
    """Why a response ended early."""

    reason: Side[str | None] = None


class Ended(Struct):
    """`response.completed`, `.incomplete`, `.failed`: its `response`."""

    incomplete_details: Side[IncompleteDetails | None] = None
    usage: Raw = NO_JSON
    error: Raw = NO_JSON


def object_or_empty(response: Raw) -> bytes:
    """Return a response's JSON; that of an empty one for any other value."""
    json = bytes(response)
    return json if json.startswith(b"{") else b"{}"


# -- annotations of a text


class _Annotation(Struct, tag_field="type", omit_defaults=True, kw_only=True):
    pass


class UrlCitation(_Annotation, tag="url_citation", kw_only=True):
    """A web page: its address makes a source, and its place a citation."""

    start_index: int
    end_index: int
    url: str
    title: Side[str | UnsetType] = UNSET


class FileCitation(_Annotation, tag="file_citation", kw_only=True):
    """A file of a vector store."""

    file_id: str
    filename: str
    index: int


class ContainerFileCitation(_Annotation, tag="container_file_citation", kw_only=True):
    """A file that the code interpreter wrote."""

    container_id: str
    file_id: str
    filename: str
    start_index: int
    end_index: int


class FilePath(_Annotation, tag="file_path", kw_only=True):
    """A file, by its id."""

    file_id: str
    index: int


Annotation: TypeAlias = UrlCitation | FileCitation | ContainerFileCitation | FilePath


# -- output items


class MessageItem(Struct):
    """Text, or a refusal. Without an id it cannot be referred to later."""

    id: Side[str] = ""
    phase: Side[str | None] = None


class ReasoningItem(Struct):
    """A reasoning item; its summary streams apart."""

    id: Side[str] = ""
    encrypted_content: Side[str | None] = None


class CallCaller(Struct, omit_defaults=True):
    """Caller of a function: the model, or a program that it wrote."""

    type: str
    caller_id: str | UnsetType = UNSET


class FunctionCall(Struct):
    """A call of a declared function: its name, its input, and the id that its result finds."""

    name: str
    id: Side[str] = ""
    call_id: str = ""
    arguments: str = ""
    is_async: Side[bool | None] = msgspec.field(name="async", default=None)
    namespace: Side[str | None] = None
    caller: Side[CallCaller | None] = None


class CustomToolCall(Struct):
    """A call whose input is free text."""

    call_id: str
    name: str
    id: Side[str] = ""
    input: str = ""
    is_async: Side[bool | None] = msgspec.field(name="async", default=None)


class CompleteCustomToolCall(CustomToolCall):
    """Such a call at its end. Of one that was cut short, the input is part of what was meant."""

    status: Literal["completed"] = "completed"


class SafetyCheck(Struct, omit_defaults=True):
    """Something that a person must acknowledge before the computer acts, by its id."""

    id: str
    code: Side[str | None] = None
    message: Side[str | None] = None


class ComputerCall(Struct):
    """Actions on a computer; without a `call_id` the provider executes them."""

    id: str
    status: Side[str] = "completed"
    call_id: str | None = None
    action: dict[str, Raw] | None = None
    actions: list[dict[str, Raw]] | None = None
    pending_safety_checks: list[SafetyCheck] | None = None


class WebSource(Struct, omit_defaults=True):
    """Source of a web search: a `url`, or an `api` by name."""

    type: str
    url: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class WebSearchAction(Struct):
    """Action of a web search."""

    type: str
    query: Side[str | None] = None
    queries: Side[list[str] | None] = None
    sources: Side[list[WebSource] | None] = None
    url: Side[str | UnsetType | None] = UNSET
    pattern: Side[str | UnsetType | None] = UNSET


class WebSearchCall(Struct):
    """A web search by the provider; its item's id is the call's, as of all it executes."""

    id: str
    status: Side[str] = "completed"
    action: Side[WebSearchAction | None] = None


class FileSearchResult(Struct):
    """A passage that a file search found."""

    file_id: str
    filename: str
    score: Raw = NO_JSON
    text: Raw = NO_JSON
    attributes: Raw = NO_JSON


class FileSearchCall(Struct):
    """A file search by the provider."""

    id: str
    queries: Side[list[str]] = []
    results: Side[list[FileSearchResult] | None] = None


class CodeOutput(Struct, omit_defaults=True):
    """Output of code: text or an image."""

    type: str
    logs: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class CodeInterpreterCall(Struct):
    """Code that the provider runs."""

    id: str
    container_id: Side[str] = ""
    outputs: Side[list[CodeOutput] | None] = None


class ImageGenerationCall(Struct):
    """An image that the provider makes."""

    id: str


class GeneratedImage(ImageGenerationCall):
    """The image, as base64."""

    result: str


class McpCall(Struct):
    """A call of a remote MCP server's tool, by the provider."""

    id: str
    name: str = ""
    server_label: Side[str] = ""
    arguments: str = ""
    output: Raw = NO_JSON
    error: Raw = NO_JSON
    approval_request_id: Side[str | None] = None


class PatchOperation(Struct, omit_defaults=True):
    """Operation of a patch on a file; `delete_file` has no diff."""

    type: str
    path: str
    diff: str | UnsetType = UNSET


class ApplyPatchCall(Struct):
    """A patch for the client to apply."""

    call_id: str
    operation: PatchOperation
    id: Side[str] = ""
    status: Side[str] = "completed"


class LocalShellAction(Struct):
    """A command for the client's shell."""

    command: list[str]
    timeout_ms: Raw = NO_JSON
    user: Side[str | None] = None
    working_directory: Side[str | None] = None
    env: Side[dict[str, str] | None] = None


class LocalShellCall(Struct):
    """A call of the client's shell."""

    call_id: str
    action: LocalShellAction
    id: Side[str] = ""


class ShellAction(Struct):
    """Commands for a shell."""

    commands: list[str]
    timeout_ms: Raw = NO_JSON
    max_output_length: Raw = NO_JSON


class ShellCall(Struct):
    """A call of a shell: the provider's own, or the client's."""

    call_id: str
    action: ShellAction
    id: Side[str] = ""


class ShellOutcome(Struct, frozen=True):
    """Exit of a command."""

    type: Side[str] = "exit"
    exit_code: Side[int | None] = None


class ShellOutput(Struct):
    """Output of a command."""

    stdout: str = ""
    stderr: str = ""
    outcome: Side[ShellOutcome] = ShellOutcome()


class ShellCallOutput(Struct):
    """Output of the provider's shell."""

    call_id: str
    output: list[ShellOutput]
    max_output_length: Raw = NO_JSON


class ToolSearchCall(Struct):
    """A search for tools, by the provider (`server`) or the client."""

    id: str
    execution: Literal["server", "client"] = "server"
    call_id: Side[str | None] = None
    arguments: Raw = NO_JSON


class ToolSearchOutput(Struct):
    """Tools that a search found."""

    tools: Raw
    id: Side[str] = ""
    call_id: Side[str | None] = None


class Program(Struct):
    """Code that the model wrote to call tools with."""

    call_id: str
    code: str
    id: Side[str] = ""
    fingerprint: Side[str] = ""


class ProgramOutput(Struct):
    """Result of such a program."""

    call_id: str
    result: str
    id: Side[str] = ""
    status: Side[str] = "completed"


class Compaction(Struct):
    """The conversation so far, compacted and encrypted."""

    encrypted_content: str
    id: Side[str] = ""
