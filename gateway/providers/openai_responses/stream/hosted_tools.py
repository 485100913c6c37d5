"""Items of a Responses stream for tools of the provider: calls, and their results.

The shell and the tool search are here, too: either side may execute them.

Source: @ai-sdk/openai 4.0.118, `responses/openai-responses-language-model.ts`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from midstream.protocol.chunks import (
    AnyChunk,
    CustomChunk,
    ToolApprovalRequestChunk,
    ToolOutputErrorChunk,
)
from midstream.providers.openai.metadata import openai_metadata
from midstream.providers.openai_responses.stream import events as wire
from midstream.providers.openai_responses.stream import outputs
from midstream.providers.openai_responses.stream.step_state import (
    Handler,
    StepTools,
    StreamingInput,
    input_chunk,
    inside_string,
    output_chunk,
    read,
    to_json,
)

_compaction_decoder = msgspec.json.Decoder(wire.Compaction)


def code_delta(step: StepTools, index: int | None, text: str) -> list[AnyChunk]:
    """Take code that the provider will run: part of a JSON string of ours."""
    call = step.streaming_at(index)
    return [] if call is None else [input_chunk(call.call_id, inside_string(text))]


def code_done(step: StepTools, index: int | None, code: str) -> list[AnyChunk]:
    """The code is complete, and so is its call."""
    call = step.streaming_at(index)
    if call is None:
        return []
    text = to_json({"code": code, "containerId": call.container_id})
    return [
        input_chunk(call.call_id, '"}'),
        step.calls.complete(call.call_id, call.name, text, provider_executed=True),
    ]


def partial_image(call_id: str, image: str) -> list[AnyChunk]:
    """Take an early state of an image."""
    return [output_chunk(call_id, {"result": image})]


def compaction(raw: Raw) -> list[AnyChunk]:
    """Take the conversation so far, compacted: only the provider can read it."""
    item = _compaction_decoder.decode(raw)
    metadata = openai_metadata(
        type="compaction", itemId=item.id, encryptedContent=item.encrypted_content
    )
    return [CustomChunk(kind="openai.compaction", provider_metadata=metadata)]


def _web_search_added(step: StepTools, index: int, item: wire.WebSearchCall) -> list[AnyChunk]:
    name = step.tooling.web_search
    return [
        step.calls.start(item.id, name, provider_executed=True),
        step.calls.complete(item.id, name, "{}", provider_executed=True),
    ]


def _web_search_done(step: StepTools, index: int, item: wire.WebSearchCall) -> list[AnyChunk]:
    chunks: list[AnyChunk] = []
    if item.status == "completed":
        chunks.append(output_chunk(item.id, outputs.web_search_output(item)))
    else:
        problem = to_json({"status": item.status})
        chunks.append(
            ToolOutputErrorChunk(tool_call_id=item.id, error_text=problem, provider_executed=True)
        )
    if item.action is not None and item.action.type == "search":
        chunks += step.annotations.list_pages(item.action.sources or [])
    return chunks


def _file_search_added(step: StepTools, index: int, item: wire.FileSearchCall) -> list[AnyChunk]:
    return [_called_without_input(step, item.id, "file_search")]


def _file_search_done(step: StepTools, index: int, item: wire.FileSearchCall) -> list[AnyChunk]:
    return [
        output_chunk(item.id, outputs.file_search_output(item)),
        *step.annotations.list_files(item.results or []),
    ]


def _image_added(step: StepTools, index: int, item: wire.ImageGenerationCall) -> list[AnyChunk]:
    return [_called_without_input(step, item.id, "image_generation")]


def _image_done(step: StepTools, index: int, item: wire.GeneratedImage) -> list[AnyChunk]:
    return [output_chunk(item.id, {"result": item.result})]


def _called_without_input(step: StepTools, call_id: str, provider_name: str) -> AnyChunk:
    name = step.tooling.client_name(provider_name)
    return step.calls.complete(call_id, name, "{}", provider_executed=True)


def _code_added(step: StepTools, index: int, item: wire.CodeInterpreterCall) -> list[AnyChunk]:
    name = step.tooling.client_name("code_interpreter")
    step.streaming[index] = StreamingInput(item.id, name, container_id=item.container_id)
    # Without the end of the JSON: the code is written into its last string.
    text = to_json({"containerId": item.container_id, "code": ""})[: -len('"}')]
    return [step.calls.start(item.id, name, provider_executed=True), input_chunk(item.id, text)]


def _code_item_done(step: StepTools, index: int, item: wire.CodeInterpreterCall) -> list[AnyChunk]:
    return [output_chunk(item.id, {"outputs": item.outputs})]


def _shell_done(step: StepTools, index: int, item: wire.ShellCall) -> list[AnyChunk]:
    return [
        step.calls.complete(
            item.call_id,
            step.tooling.client_name("shell"),
            to_json(outputs.shell_input(item)),
            provider_executed=step.tooling.hosts_shell,
            metadata=openai_metadata(itemId=item.id),
        )
    ]


def _shell_output(step: StepTools, index: int, item: wire.ShellCallOutput) -> list[AnyChunk]:
    return [output_chunk(item.call_id, outputs.shell_output(item))]


def _tool_search_added(step: StepTools, index: int, item: wire.ToolSearchCall) -> list[AnyChunk]:
    name = step.tooling.client_name("tool_search")
    step.streaming[index] = StreamingInput(item.id, name)
    if item.execution == "client":
        return []
    return [step.calls.start(item.id, name, provider_executed=True)]


def _tool_search_done(step: StepTools, index: int, item: wire.ToolSearchCall) -> list[AnyChunk]:
    call = step.streaming_at(index)
    if call is None:
        return []
    chunks: list[AnyChunk] = []
    hosted = item.execution == "server"
    call_id = call.call_id if hosted else (item.call_id or item.id)
    if hosted:
        step.hosted_searches.append(call_id)
    else:
        chunks.append(step.calls.start(call_id, call.name))
    text = to_json(outputs.tool_search_input(item.arguments, None if hosted else call_id))
    chunks.append(
        step.calls.complete(
            call_id,
            call.name,
            text,
            provider_executed=hosted,
            metadata=openai_metadata(itemId=item.id),
        )
    )
    return chunks


def _tool_search_output(step: StepTools, index: int, item: wire.ToolSearchOutput) -> list[AnyChunk]:
    call_id = item.call_id
    if call_id is None:
        call_id = step.hosted_searches.popleft() if step.hosted_searches else item.id
    return [output_chunk(call_id, {"tools": item.tools}, openai_metadata(itemId=item.id))]


def _program(step: StepTools, index: int, item: wire.Program) -> list[AnyChunk]:
    return [
        step.calls.complete(
            item.call_id,
            step.tooling.client_name("programmatic_tool_calling"),
            to_json({"code": item.code, "fingerprint": item.fingerprint}),
            provider_executed=True,
            metadata=openai_metadata(itemId=item.id),
        )
    ]


def _program_output(step: StepTools, index: int, item: wire.ProgramOutput) -> list[AnyChunk]:
    result = {"result": item.result, "status": item.status}
    return [output_chunk(item.call_id, result, openai_metadata(itemId=item.id))]


def _mcp_call(step: StepTools, index: int, item: wire.McpCall) -> list[AnyChunk]:
    approval_id = item.approval_request_id
    call_id = item.id if approval_id is None else step.approvals.get(approval_id, item.id)
    return [
        _mcp_called(step, call_id, item),
        output_chunk(call_id, outputs.mcp_output(item), openai_metadata(itemId=item.id)),
    ]


def _mcp_approval_request(step: StepTools, index: int, item: wire.McpCall) -> list[AnyChunk]:
    # The call has no id of its own until it was approved: it keeps the one made up here.
    call_id = step.new_id()
    approval_id = item.approval_request_id or item.id
    step.approvals[approval_id] = call_id
    return [
        _mcp_called(step, call_id, item),
        ToolApprovalRequestChunk(approval_id=approval_id, tool_call_id=call_id),
    ]


def _mcp_called(step: StepTools, call_id: str, item: wire.McpCall) -> AnyChunk:
    return step.calls.complete(
        call_id,
        f"mcp.{item.name}",
        item.arguments,
        provider_executed=True,
        provider_dynamic=True,
    )


ADDED: Final[dict[str, Handler]] = {
    "web_search_call": read(wire.WebSearchCall, _web_search_added),
    "file_search_call": read(wire.FileSearchCall, _file_search_added),
    "image_generation_call": read(wire.ImageGenerationCall, _image_added),
    "code_interpreter_call": read(wire.CodeInterpreterCall, _code_added),
    "tool_search_call": read(wire.ToolSearchCall, _tool_search_added),
}
"""`response.output_item.added`, by the item's type."""

DONE: Final[dict[str, Handler]] = {
    "web_search_call": read(wire.WebSearchCall, _web_search_done),
    "file_search_call": read(wire.FileSearchCall, _file_search_done),
    "image_generation_call": read(wire.GeneratedImage, _image_done),
    "code_interpreter_call": read(wire.CodeInterpreterCall, _code_item_done),
    "shell_call": read(wire.ShellCall, _shell_done),
    "shell_call_output": read(wire.ShellCallOutput, _shell_output),
    "tool_search_call": read(wire.ToolSearchCall, _tool_search_done),
    "tool_search_output": read(wire.ToolSearchOutput, _tool_search_output),
    "program": read(wire.Program, _program),
    "program_output": read(wire.ProgramOutput, _program_output),
    "mcp_call": read(wire.McpCall, _mcp_call),
    "mcp_approval_request": read(wire.McpCall, _mcp_approval_request),
}
"""`response.output_item.done`, by the item's type. `mcp_list_tools` is not for the client."""
