"""What the AI SDK emits and what we do, made comparable; the translators, driven whole."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.providers.base import StepRequest, StepResult, ToolSpec
from gateway.providers.prompts.openai_chat import chat_request
from gateway.providers.prompts.openai_responses_request import responses_request
from gateway.providers.prompts.openai_tools import declared_calls, tooling
from gateway.providers.translate.openai_chat import OpenAIChatTranslator
from gateway.providers.translate.openai_responses import OpenAIResponsesTranslator
from protocol.codec import encode
from protocol.messages import UIMessage
from protocol.sse import SseDecoder
from tests.conformance.deviations import deviates
from tests.support.node import node_binary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from protocol.chunks import AnyChunk

Chunk = dict[str, Any]

ROOT: Final = Path(__file__).parents[2]
NODE_FOLDER: Final = Path(__file__).parent / "node"
SHARED_CORPUS: Final = ROOT.parent / "shared" / "aisdk"

_DELTAS: Final = {
    "text-delta": ("id", "delta"),
    "reasoning-delta": ("id", "delta"),
    "tool-input-delta": ("toolCallId", "inputTextDelta"),
}
_ENVELOPE: Final = {"start", "finish-step", "finish", "abort"}
_MADE_UP_ID: Final = ("sourceId", "toolCallId", "approvalId")

OPTIONS: Final = {
    "store": "store",
    "conversation": "conversation",
    "previousResponseId": "previous_response_id",
}
"""The AI SDK's options of a case, and what the API calls them."""


def ask_ai_sdk(driver: str, cases: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Run cases through one of the drivers in `node/`; one answer each, in order."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        [node_binary(), driver],
        cwd=NODE_FOLDER,
        input="\n".join(map(json.dumps, cases)),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def events_of(file: Path) -> list[bytes]:
    """Return a transcript's events: `.sse` as on the wire, else one JSON a line."""
    data = file.read_bytes()
    if file.suffix == ".sse":
        return [event.data for event in SseDecoder().receive_data(data + b"\n\n")]
    return [line for line in data.splitlines() if line.strip()]


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def tool_specs(declarations: Iterable[Mapping[str, Any]]) -> list[ToolSpec]:
    """Read tools as the AI SDK declares them."""
    specs = []
    for tool in declarations:
        if tool["type"] == "function":
            schema = msgspec.Raw(msgspec.json.encode(tool["inputSchema"]))
            description = tool.get("description", "")
            specs.append(ToolSpec(name=tool["name"], description=description, input_schema=schema))
            continue
        arguments = {_snake(name): value for name, value in tool.get("args", {}).items()}
        if "environment" in arguments:
            arguments["environment"] = {
                name: _snake(value) for name, value in arguments["environment"].items()
            }
        specs.append(
            ToolSpec(
                name=tool["name"],
                provider_type=tool["id"].split(".")[1],
                provider_args=msgspec.Raw(msgspec.json.encode(arguments)),
            )
        )
    return specs


def translate(
    provider: str,
    events: Iterable[bytes],
    tools: Sequence[ToolSpec] = (),
    *,
    store: bool = False,
    full: bool = True,
) -> tuple[list[Chunk], StepResult]:
    """Run a transcript through our translator; chunks as JSON objects."""
    counter = itertools.count()

    def new_id() -> str:
        return f"made-up-{next(counter)}"

    translator: OpenAIChatTranslator | OpenAIResponsesTranslator
    if provider == "openai-chat":
        translator = OpenAIChatTranslator(declared_calls(tools), new_id=new_id, send_sources=full)
    else:
        translator = OpenAIResponsesTranslator(
            declared_calls(tools),
            new_id=new_id,
            tooling=tooling(tools),
            stored=store,
            send_sources=full,
        )
    chunks: list[AnyChunk] = []
    for event in events:
        chunks += translator.receive(event)
        if translator.result.failure is not None:
            break
    else:
        chunks += translator.receive_eof()
    return [json.loads(encode(chunk)) for chunk in chunks], translator.result


def comparable(chunks: Iterable[Chunk], events: Iterable[bytes]) -> list[Chunk]:
    """Merge deltas, drop the run's envelope, and number block ids and made-up ids.

    An id that occurs in none of the events was made up.
    """
    sent = b"\n".join(events).decode()
    merged: list[Chunk] = []
    for chunk in chunks:
        if chunk.get("type", "@") in _ENVELOPE or "type" not in chunk:
            continue
        identity, text = _DELTAS.get(chunk["type"], ("", ""))
        last = merged[-1] if merged else {}
        if text and last.get("type") == chunk["type"] and last[identity] == chunk[identity]:
            last[text] += chunk[text]
            continue
        merged.append(dict(chunk))
    kept = [c for c in merged if c["type"] not in _DELTAS or c[_DELTAS[c["type"]][1]]]
    return _renumbered(kept, sent)


def _renumbered(chunks: list[Chunk], sent: str) -> list[Chunk]:
    made_up: dict[str, str] = {}
    blocks: dict[str, str] = {}
    counter = itertools.count()
    for chunk in chunks:
        kind = chunk["type"]
        if kind in {"text-start", "reasoning-start"}:
            blocks[chunk["id"]] = f"block-{next(counter)}"
        if kind.startswith(("text-", "reasoning-")):
            chunk["id"] = blocks.get(chunk["id"], "not open")
        for key in _MADE_UP_ID:
            value = chunk.get(key)
            # The calls inside a `parallel` wrapper are numbered: `call_1_0`.
            if isinstance(value, str) and re.sub(r"_\d$", "", value) not in sent:
                chunk[key] = made_up.setdefault(value, f"id-{len(made_up)}")
        if kind == "tool-input-error":
            deviates("parser-words")
            # What follows is the JSON parser's own words.
            chunk["errorText"] = chunk["errorText"].partition("\nError message:")[0]
    return chunks


def our_request(provider: str, case: Mapping[str, Any]) -> Any:
    """Return the body of our request for a case."""
    parameters = {_snake(name): value for name, value in case.get("settings", {}).items()}
    if schema := case.get("responseSchema"):
        with_schema = {} if schema is True else {"schema": schema}
        parameters["response_format"] = {"type": "json", **with_schema}
    request = StepRequest(
        model=case.get("model", "gpt-4o"),
        messages=[UIMessage.parse(json.dumps(message).encode()) for message in case["messages"]],
        system=case.get("system"),
        tools=tool_specs(case.get("tools", [])),
        tool_choice=case.get("toolChoice"),
        parameters=parameters,
        provider_options={api: case[name] for name, api in OPTIONS.items() if name in case},
        new_id=lambda: "made-up",
    )
    body = responses_request if provider == "openai-responses" else chat_request
    return json.loads(body(request))
