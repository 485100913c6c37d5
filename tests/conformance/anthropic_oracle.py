"""What the AI SDK and we make of the same Anthropic bytes and histories, made comparable."""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import msgspec

from gateway.providers.anthropic_tools import ToolNames
from gateway.providers.base import StepRequest, StepResult, ToolSpec
from gateway.providers.part_ids import PartIds
from gateway.providers.translate.anthropic import AnthropicTranslator
from gateway.providers.translate.tool_calls import ToolCalls
from protocol.codec import encode
from protocol.messages import UIMessage
from protocol.sse import SseDecoder
from tests.conformance.deviations import deviates
from tests.support.node import FOLDER, node_binary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from protocol.chunks import AnyChunk

Chunk = dict[str, Any]

_DELTAS: Final = {
    "text-delta": ("id", "delta"),
    "reasoning-delta": ("id", "delta"),
    "tool-input-delta": ("toolCallId", "inputTextDelta"),
}
_ENVELOPE: Final = {"start", "finish-step", "finish", "abort", "error"}
_MADE_UP: Final = ("gen-", "aitxt-", "made-up-")


def ask_sdk(program: str, cases: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Run a driver beside `clients.mjs` over the cases, in one Node process."""
    ended = subprocess.run(  # noqa: S603
        [node_binary(), program],
        cwd=FOLDER,
        input="\n".join(map(json.dumps, cases)).encode(),
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return [json.loads(line) for line in ended.stdout.splitlines()]


def events_of(file: Path) -> list[bytes]:
    """Return a transcript's events: `.sse` as on the wire, else one JSON a line."""
    data = file.read_bytes()
    if file.suffix == ".sse":
        return [event.data for event in SseDecoder().receive_data(data)]
    return [line for line in data.splitlines() if line.strip()]


def tool_specs(declarations: Iterable[Mapping[str, Any]]) -> list[ToolSpec]:
    """Read tools as the AI SDK declares them."""
    return [
        ToolSpec(
            name=tool["name"],
            description=tool.get("description", ""),
            input_schema=msgspec.Raw(json.dumps(tool["inputSchema"]).encode()),
        )
        if tool["type"] == "function"
        else ToolSpec(
            name=tool["name"],
            provider_type=tool["id"],
            provider_args=msgspec.Raw(json.dumps(snake_case(tool.get("args", {}))).encode()),
        )
        for tool in declarations
    ]


def snake_case(value: Any) -> Any:
    """Return arguments in the API's spelling."""
    if not isinstance(value, dict):
        return value
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in key): snake_case(each)
        for key, each in value.items()
    }


def translate(
    events: Iterable[bytes], case: Mapping[str, Any], *, full: bool = True
) -> tuple[list[Chunk], StepResult]:
    """Run a transcript through our translator; chunks as JSON objects."""
    specs = tool_specs(case.get("tools", ()))
    counter = itertools.count()
    translator = AnthropicTranslator(
        names=ToolNames(specs),
        calls=ToolCalls(spec.name for spec in specs),
        new_id=lambda: f"made-up-{next(counter)}",
        part_ids=PartIds(),
        json_tool="responseSchema" in case,
        send_sources=full,
    )
    chunks: list[AnyChunk] = []
    for event in events:
        chunks += translator.receive(event)
    chunks += translator.receive_eof()
    return [json.loads(encode(chunk)) for chunk in chunks], translator.result


def comparable(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Merge deltas, drop the run's envelope and errors, and forget ids that were made up."""
    kept: list[Chunk] = []
    for chunk in chunks:
        if chunk.get("type") in (None, *_ENVELOPE):
            continue
        named, text = _DELTAS.get(chunk["type"], ("", ""))
        last = kept[-1] if kept else {}
        if (
            text
            and "providerMetadata" not in chunk
            and {"providerMetadata"}.isdisjoint(last)
            and (last.get("type"), last.get(named)) == (chunk["type"], chunk[named])
        ):
            last[text] += chunk[text]
        else:
            kept.append(dict(chunk))
    return [_without_made_up(chunk) for chunk in kept]


def _without_made_up(chunk: Chunk) -> Chunk:
    for key in ("id", "sourceId"):
        if str(chunk.get(key, "")).startswith(_MADE_UP):
            chunk[key] = "made up"
    if chunk["type"] == "tool-input-error":
        deviates("parser-words")
        # What follows is the JSON parser's own words, and what stands before is JavaScript's.
        text = chunk["errorText"].partition("\nError message:")[0]
        chunk["errorText"] = text.replace("AI_JSONParseError: ", "")
    return chunk


def step_request(case: Mapping[str, Any]) -> StepRequest:
    """Read a case as a step's request."""
    settings = snake_case(case.get("settings", {}))
    if "responseSchema" in case:
        settings["response_format"] = {"type": "json", "schema": case["responseSchema"]}
    return StepRequest(
        model=case.get("model", "claude-sonnet-4-5"),
        messages=[UIMessage.parse(msgspec.json.encode(message)) for message in case["messages"]],
        system=case.get("system"),
        tools=tool_specs(case.get("tools", ())),
        tool_choice=case.get("toolChoice"),
        parameters=settings,
        provider_options=case.get("body", {}),
        new_id=str,
    )
