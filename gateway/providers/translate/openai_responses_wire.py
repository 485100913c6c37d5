"""OpenAI Responses, as streamed: the events and output items that we understand.

Only what becomes a chunk is declared: unknown fields are skipped while decoding. Names are
the API's. Nullable fields are None when absent, too, unless the difference shows.

Source: https://developers.openai.com/api/reference/resources/responses/streaming-events;
@ai-sdk/openai 4.0.118, `responses/openai-responses-api.ts`.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

NO_JSON: Final = Raw()


class Event(Struct, gc=False):
    """Any event: one flat shape, so that the common ones are decoded in one pass."""

    type: str
    delta: str | None = None
    item_id: str = ""
    output_index: int | None = None
    summary_index: int = 0
    item: Raw = NO_JSON
    response: Raw = NO_JSON
    annotation: Raw = NO_JSON
    error: Raw = NO_JSON
    code: str | None = None
    diff: str = ""
    partial_image_b64: str = ""


class Head(Struct):
    """What tells events and items apart."""

    type: str = ""
    choices: Raw = NO_JSON


class Created(Struct):
    """`response.created`: its `response`."""

    id: str
    model: str


class IncompleteDetails(Struct):
    """Why a response ended early."""

    reason: str | None = None


class StreamError(Struct):
    """An error's machine-readable part."""

    code: str | int | None = None
    type: str | None = None


class Ended(Struct):
    """`response.completed`, `.incomplete`, `.failed`: its `response`."""

    incomplete_details: IncompleteDetails | None = None
    usage: Raw = NO_JSON
    error: StreamError | None = None


# -- annotations of a text


class _Annotation(Struct, tag_field="type", omit_defaults=True, kw_only=True):
    pass


class UrlCitation(_Annotation, tag="url_citation", kw_only=True):
    """A web page."""

    start_index: int
    end_index: int
    url: str
    title: str | UnsetType = UNSET


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


class Message(Struct):
    """Text, or a refusal."""

    id: str
    phase: str | None = None


class Reasoning(Struct):
    """A reasoning item; its summary streams apart."""

    id: str
    encrypted_content: str | None = None


class Caller(Struct, omit_defaults=True):
    """Who calls a function: the model, or a program that it wrote."""

    type: str
    caller_id: str | UnsetType = UNSET


class FunctionCall(Struct):
    """A call of a declared function."""

    id: str
    call_id: str
    name: str
    arguments: str = ""
    is_async: bool | None = msgspec.field(name="async", default=None)
    namespace: str | None = None
    caller: Caller | None = None


class CustomToolCall(Struct):
    """A call whose input is free text."""

    id: str
    call_id: str
    name: str
    input: str = ""
    is_async: bool | None = msgspec.field(name="async", default=None)


class CompleteCustomToolCall(CustomToolCall):
    """Such a call at its end. Of one that was cut short, the input is part of what was meant."""

    status: Literal["completed"] = "completed"


class SafetyCheck(Struct, omit_defaults=True):
    """Something that a person must acknowledge before the computer acts."""

    id: str
    code: str | None = None
    message: str | None = None


class ComputerCall(Struct):
    """Actions on a computer; without a `call_id` the provider executes them."""

    id: str
    status: str
    call_id: str | None = None
    action: dict[str, Raw] | None = None
    actions: list[dict[str, Raw]] | None = None
    pending_safety_checks: list[SafetyCheck] | None = None


class WebSource(Struct, omit_defaults=True):
    """Where a web search looked: a `url`, or an `api` by name."""

    type: str
    url: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class WebSearchAction(Struct):
    """What a web search did."""

    type: str
    query: str | None = None
    queries: list[str] | None = None
    sources: list[WebSource] | None = None
    url: str | UnsetType | None = UNSET
    pattern: str | UnsetType | None = UNSET


class WebSearchCall(Struct):
    """A web search by the provider."""

    id: str
    status: str = "completed"
    action: WebSearchAction | None = None


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
    queries: list[str] = []
    results: list[FileSearchResult] | None = None


class CodeOutput(Struct, omit_defaults=True):
    """What code printed, or drew."""

    type: str
    logs: str | UnsetType = UNSET
    url: str | UnsetType = UNSET


class CodeInterpreterCall(Struct):
    """Code that the provider runs."""

    id: str
    container_id: str
    outputs: list[CodeOutput] | None = None


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
    server_label: str = ""
    arguments: str = ""
    output: Raw = NO_JSON
    error: Raw = NO_JSON
    approval_request_id: str | None = None


class PatchOperation(Struct, omit_defaults=True):
    """What a patch does to a file; `delete_file` has no diff."""

    type: str
    path: str
    diff: str | UnsetType = UNSET


class ApplyPatchCall(Struct):
    """A patch for the client to apply."""

    id: str
    call_id: str
    status: str
    operation: PatchOperation


class LocalShellAction(Struct):
    """A command for the client's shell."""

    command: list[str]
    timeout_ms: Raw = NO_JSON
    user: str | None = None
    working_directory: str | None = None
    env: dict[str, str] | None = None


class LocalShellCall(Struct):
    """A call of the client's shell."""

    id: str
    call_id: str
    action: LocalShellAction


class ShellAction(Struct):
    """Commands for a shell."""

    commands: list[str]
    timeout_ms: Raw = NO_JSON
    max_output_length: Raw = NO_JSON


class ShellCall(Struct):
    """A call of a shell: the provider's own, or the client's."""

    id: str
    call_id: str
    action: ShellAction


class ShellOutcome(Struct):
    """How a command ended."""

    type: str
    exit_code: int | None = None


class ShellOutput(Struct):
    """What a command wrote."""

    stdout: str
    stderr: str
    outcome: ShellOutcome


class ShellCallOutput(Struct):
    """What the provider's shell answered."""

    call_id: str
    output: list[ShellOutput]
    max_output_length: Raw = NO_JSON


class ToolSearchCall(Struct):
    """A search for tools, by the provider (`server`) or the client."""

    id: str
    execution: Literal["server", "client"] = "server"
    call_id: str | None = None
    arguments: Raw = NO_JSON


class ToolSearchOutput(Struct):
    """Tools that a search found."""

    id: str
    tools: Raw
    call_id: str | None = None


class Program(Struct):
    """Code that the model wrote to call tools with."""

    id: str
    call_id: str
    code: str
    fingerprint: str


class ProgramOutput(Struct):
    """What such a program came to."""

    id: str
    call_id: str
    result: str
    status: str


class Compaction(Struct):
    """The conversation so far, compacted and encrypted."""

    id: str
    encrypted_content: str
