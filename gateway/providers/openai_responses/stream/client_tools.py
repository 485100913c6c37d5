"""Items of a Responses stream that call tools of the client: announce, stream, complete.

Source: @ai-sdk/openai 4.0.118, `responses/openai-responses-language-model.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from midstream.providers.openai.metadata import openai_metadata
from midstream.providers.openai.parallel_calls import is_parallel_wrapper
from midstream.providers.openai_responses.stream import events as wire
from midstream.providers.openai_responses.stream import outputs
from midstream.providers.openai_responses.stream.parallel_calls import expand_parallel
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

if TYPE_CHECKING:
    from midstream.protocol.chunks import AnyChunk


def input_delta(step: StepTools, index: int | None, text: str) -> list[AnyChunk]:
    """Take text of a function's arguments or of a custom tool's input."""
    call = step.streaming_at(index)
    if call is None:
        return []
    if call.withheld is not None:
        call.withheld.append(text)
        return []
    return [input_chunk(call.call_id, text)]


def patch_delta(step: StepTools, index: int | None, text: str) -> list[AnyChunk]:
    """Take text of a patch: part of a JSON string of ours."""
    call = step.streaming_at(index)
    if call is None:
        return []
    call.patch_streamed = True
    return [input_chunk(call.call_id, inside_string(text))]


def patch_done(step: StepTools, index: int | None, diff: str) -> list[AnyChunk]:
    """The patch is complete: close the JSON around it, once."""
    call = step.streaming_at(index)
    if call is None or call.patch_ended:
        return []
    chunks: list[AnyChunk] = []
    if not call.patch_streamed:
        chunks.append(input_chunk(call.call_id, inside_string(diff)))
    call.patch_streamed = call.patch_ended = True
    return [*chunks, input_chunk(call.call_id, '"}}')]


def withheld_inputs(step: StepTools) -> list[AnyChunk]:
    """Return what was held back for calls that never ended."""
    chunks: list[AnyChunk] = []
    for call in step.streaming.values():
        if call.withheld is not None:
            chunks.append(step.calls.start(call.call_id, call.name))
            chunks += [input_chunk(call.call_id, text) for text in call.withheld]
    return chunks


def _identify(step: StepTools, index: int, item: wire.FunctionCall) -> None:
    """Give an id to a call without one: the same id in each of its events."""
    if not item.call_id:
        known = step.streaming_at(index)
        item.call_id = item.id or step.new_id() if known is None else known.call_id


def _function_added(step: StepTools, index: int, item: wire.FunctionCall) -> list[AnyChunk]:
    _identify(step, index, item)
    call = StreamingInput(item.call_id, item.name, is_async=item.is_async)
    step.streaming[index] = call
    if is_parallel_wrapper(item.name, step.tooling.functions):
        call.withheld = []
        return []
    return [step.calls.start(item.call_id, item.name)]


def _function_done(step: StepTools, index: int, item: wire.FunctionCall) -> list[AnyChunk]:
    _identify(step, index, item)
    step.called_client = True
    call = step.streaming_at(index)
    if not is_parallel_wrapper(item.name, step.tooling.functions):
        return [_function_called(step, item, call)]
    chunks: list[AnyChunk] = []
    children = expand_parallel(item, step.tooling.functions)
    for child in children:
        chunks += [
            step.calls.start(child.call_id, child.name),
            input_chunk(child.call_id, child.arguments),
            step.calls.complete(
                child.call_id, child.name, child.arguments, metadata=child.metadata
            ),
        ]
    if not children:
        texts = (call.withheld if call is not None else None) or [item.arguments]
        chunks.append(step.calls.start(item.call_id, item.name))
        chunks += [input_chunk(item.call_id, text) for text in texts if text]
        chunks.append(_function_called(step, item, call))
    return chunks


def _function_called(
    step: StepTools, item: wire.FunctionCall, call: StreamingInput | None
) -> AnyChunk:
    caller: object = UNSET
    if item.caller is not None:
        caller = {"type": item.caller.type}
        if item.caller.type == "program" and item.caller.caller_id is not UNSET:
            caller = {"type": "program", "callerId": item.caller.caller_id}
    return _called(
        step,
        item.call_id,
        item.name,
        item.arguments,
        item.id,
        **_async_field(item.is_async, call),
        namespace=UNSET if item.namespace is None else item.namespace,
        caller=caller,
    )


def _custom_added(step: StepTools, index: int, item: wire.CustomToolCall) -> list[AnyChunk]:
    name = step.tooling.client_name(item.name)
    step.streaming[index] = StreamingInput(item.call_id, name, is_async=item.is_async)
    return [step.calls.start(item.call_id, name, input_encoding="text")]


def _custom_done(step: StepTools, index: int, item: wire.CompleteCustomToolCall) -> list[AnyChunk]:
    step.called_client = True
    name = step.tooling.client_name(item.name)
    asynchronous = _async_field(item.is_async, step.streaming_at(index))
    return [_called(step, item.call_id, name, to_json(item.input), item.id, **asynchronous)]


def _computer_added(step: StepTools, index: int, item: wire.ComputerCall) -> list[AnyChunk]:
    return [step.calls.start(item.call_id or item.id, step.tooling.client_name("computer"))]


def _computer_done(step: StepTools, index: int, item: wire.ComputerCall) -> list[AnyChunk]:
    if item.call_id is None:
        name = step.tooling.client_name("computer_use")
        result = {"type": "computer_use_tool_result", "status": item.status}
        return [
            step.calls.complete(item.id, name, "", provider_executed=True),
            output_chunk(item.id, result),
        ]
    step.called_client = True
    text = to_json(outputs.computer_input(item))
    name = step.tooling.client_name("computer")
    return [
        input_chunk(item.call_id, text),
        _called(step, item.call_id, name, text, item.id),
    ]


def _patch_added(step: StepTools, index: int, item: wire.ApplyPatchCall) -> list[AnyChunk]:
    name = step.tooling.client_name("apply_patch")
    whole = item.operation.type == "delete_file"
    step.streaming[index] = StreamingInput(
        item.call_id, name, patch_streamed=whole, patch_ended=whole
    )
    if whole:
        text = to_json({"callId": item.call_id, "operation": item.operation})
    else:
        operation = {"type": item.operation.type, "path": item.operation.path, "diff": ""}
        # Without the end of the JSON: the diff is written into its last string.
        text = to_json({"callId": item.call_id, "operation": operation})[: -len('"}}')]
    return [step.calls.start(item.call_id, name), input_chunk(item.call_id, text)]


def _patch_item_done(step: StepTools, index: int, item: wire.ApplyPatchCall) -> list[AnyChunk]:
    call = step.streaming_at(index)
    if call is None:
        return []
    diff = item.operation.diff
    chunks = patch_done(step, index, "" if diff is UNSET else diff)
    if item.status == "completed":
        step.called_client = True
        text = to_json({"callId": item.call_id, "operation": item.operation})
        chunks.append(_called(step, call.call_id, call.name, text, item.id))
    return chunks


def _local_shell_done(step: StepTools, index: int, item: wire.LocalShellCall) -> list[AnyChunk]:
    name = step.tooling.client_name("local_shell")
    text = to_json(outputs.local_shell_input(item))
    return [_called(step, item.call_id, name, text, item.id)]


def _called(
    step: StepTools, call_id: str, name: str, text: str, item_id: str, **more: object
) -> AnyChunk:
    metadata = openai_metadata(itemId=item_id, **more)
    return step.calls.complete(call_id, name, text, metadata=metadata)


def _async_field(is_async: bool | None, call: StreamingInput | None) -> dict[str, object]:
    if is_async is None and call is not None:
        is_async = call.is_async
    return {} if is_async is None else {"async": is_async}


ADDED: Final[dict[str, Handler]] = {
    "function_call": read(wire.FunctionCall, _function_added),
    "custom_tool_call": read(wire.CustomToolCall, _custom_added),
    "computer_call": read(wire.ComputerCall, _computer_added),
    "apply_patch_call": read(wire.ApplyPatchCall, _patch_added),
}
"""`response.output_item.added`, by the item's type."""

DONE: Final[dict[str, Handler]] = {
    "function_call": read(wire.FunctionCall, _function_done),
    "custom_tool_call": read(wire.CompleteCustomToolCall, _custom_done),
    "computer_call": read(wire.ComputerCall, _computer_done),
    "apply_patch_call": read(wire.ApplyPatchCall, _patch_item_done),
    "local_shell_call": read(wire.LocalShellCall, _local_shell_done),
}
"""`response.output_item.done`, by the item's type."""
