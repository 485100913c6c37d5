#!/usr/bin/env bash
# pydantic-ai 2.68.0, its adapter for the AI SDK (VercelAIAdapter) with sdk_version=7.
#
# Expected: once a person has approved a call, the next answer brings the call's output, and whatever
#   it says of a tool's input belongs to a step.
# Seen: the answer begins with the call's `tool-input-available` once more, before any `start-step`.
#   Who ties inputs to the step they are in, or runs a tool when its input is there, meets the same
#   call twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'pydantic-ai-slim[ui]==2.68.0'
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import json

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.models.function import DeltaToolCall, FunctionModel
from pydantic_ai.ui.vercel_ai import VercelAIAdapter

QUESTION = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Delete a.txt"}]}


async def say(messages, _):
    if messages[-1].parts[-1].part_kind == "tool-return":
        yield "Done."
    else:
        yield {0: DeltaToolCall(name="delete", json_args='{"file":"a.txt"}', tool_call_id="c")}


agent = Agent(FunctionModel(stream_function=say), output_type=[str, DeferredToolRequests])


@agent.tool_plain(requires_approval=True)
def delete(file: str) -> str:
    return f"deleted {file}"


async def answer(*messages):
    asked = {"trigger": "submit-message", "id": "chat", "messages": messages}
    run_input = VercelAIAdapter.build_run_input(json.dumps(asked).encode())
    adapter = VercelAIAdapter(agent, run_input, sdk_version=7)
    lines = [line async for line in adapter.encode_stream(adapter.run_stream())]
    chunks = [line.removeprefix("data: ").strip() for line in lines]
    return [json.loads(chunk) for chunk in chunks if chunk != "[DONE]"]


async def main():
    first = await answer(QUESTION)
    asked = next(chunk for chunk in first if chunk["type"] == "tool-approval-request")
    call = {
        "type": "tool-delete",
        "toolCallId": asked["toolCallId"],
        "state": "approval-responded",
        "input": {"file": "a.txt"},
        "approval": {"id": asked["approvalId"], "approved": True},
    }
    second = await answer(
        QUESTION, {"id": "a", "role": "assistant", "parts": [{"type": "step-start"}, call]}
    )
    for name, chunks in (("asks", first), ("goes on", second)):
        print(name, *(chunk["type"] for chunk in chunks), sep=" | ")
    types = [[chunk["type"] for chunk in chunks] for chunks in (first, second)]
    assert types[0].index("start-step") < types[0].index("tool-input-available")
    assert types[1][:4] == ["start", "tool-input-available", "tool-output-available", "start-step"]
    assert second[1]["toolCallId"] == "c" and second[2]["output"] == "deleted a.txt"


asyncio.run(main())
print("as described")
PYTHON
