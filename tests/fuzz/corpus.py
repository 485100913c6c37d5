"""The seeds of mutations: the project's own transcripts, and messages of every kind of part."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, get_args

from tests.conformance.oracle import events_of, tool_specs

if TYPE_CHECKING:
    from midstream.providers.base import ToolSpec

Wire: TypeAlias = Literal[
    "anthropic", "openai-chat", "openai-compatible", "openai-responses", "openai-plain"
]
"""An API, as one of our providers speaks it.

`openai-compatible` is Chat Completions with a server that is not OpenAI's, `openai-plain` Responses
with one that keeps nothing.
"""

WIRES: Final[tuple[Wire, ...]] = get_args(Wire)
FOLDER: Final = Path(__file__).parents[1] / "conformance" / "transcripts"


class Case(NamedTuple):
    """A provider's stream, and the tools that its request declares."""

    name: str
    wire: Wire
    events: list[Any]
    tools: list[ToolSpec]


@cache
def cases() -> dict[Wire, list[Case]]:
    """Return all transcripts of each wire."""
    responses = _openai("openai-responses")
    return {
        "anthropic": _anthropic(),
        "openai-chat": _openai("openai-chat"),
        "openai-compatible": _openai("openai-compatible"),
        "openai-responses": responses,
        "openai-plain": [case._replace(wire="openai-plain") for case in responses],
    }


def _anthropic() -> list[Case]:
    folder = FOLDER / "anthropic"
    described = json.loads((folder / "cases.json").read_text())
    return [
        Case(
            f"anthropic/{file.stem}",
            "anthropic",
            _parsed(events_of(file)),
            tool_specs(described.get(file.stem, {}).get("tools", ())),
        )
        for file in sorted(folder.glob("*.sse"))
    ]


def _openai(wire: Wire) -> list[Case]:
    return [
        Case(
            f"{wire}/{file.stem}/{each['name']}",
            wire,
            each["events"],
            tool_specs(each.get("tools", ())),
        )
        for file in sorted((FOLDER / wire).glob("*.json"))
        for each in json.loads(file.read_text())
    ]


def _parsed(events: list[bytes]) -> list[Any]:
    parsed = []
    for event in events:
        try:
            parsed.append(json.loads(event))
        except ValueError:
            parsed.append(event.decode(errors="replace"))
    return parsed


_PIXEL: Final = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNg"
_CALLER: Final = {"type": "code_execution_20250825", "toolId": "srvtoolu_1"}

PARTS: Final[list[dict[str, Any]]] = [
    {"type": "text", "text": "How is it in Rome?"},
    {"type": "text", "text": "Well?", "providerMetadata": {"anthropic": {"cacheControl": {}}}},
    {"type": "file", "mediaType": "image/png", "url": _PIXEL, "filename": "a.png"},
    {"type": "file", "mediaType": "application/pdf", "url": "https://files.example/a.pdf"},
    {"type": "file", "mediaType": "text/plain", "url": "data:text/plain;base64,SGk="},
    {
        "type": "file",
        "mediaType": "image/png",
        "url": "",
        "providerReference": {"anthropic": "file_1", "openai": "file_2"},
    },
    {"type": "data-note", "id": "n", "data": {"a": [1, 2]}},
    {"type": "source-url", "sourceId": "s", "url": "https://pages.example/"},
]
"""Parts of a person's message."""

_APPROVAL: Final = {"id": "apr_1", "approved": True, "reason": "yes"}

CHUNKS: Final[list[list[dict[str, Any]]]] = [
    [
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "r"},
        {"type": "reasoning-delta", "id": "r", "delta": "Hm."},
        {
            "type": "reasoning-end",
            "id": "r",
            "providerMetadata": {
                "anthropic": {"signature": "s", "redactedData": "d"},
                "openai": {"itemId": "rs_1", "reasoningEncryptedContent": "e"},
                "openai-chat": {
                    "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]
                },
            },
        },
        {
            "type": "text-start",
            "id": "t",
            "providerMetadata": {"openai": {"itemId": "msg_1", "phase": "final_answer"}},
        },
        {"type": "text-delta", "id": "t", "delta": "Hello"},
        {
            "type": "text-end",
            "id": "t",
            "providerMetadata": {"anthropic": {"citations": [{"type": "char_location"}]}},
        },
        {"type": "source-url", "sourceId": "s", "url": "https://pages.example/", "title": "A"},
        {"type": "source-document", "sourceId": "d", "mediaType": "text/plain", "title": "B"},
        {"type": "file", "mediaType": "image/png", "url": _PIXEL},
        {"type": "data-note", "id": "n", "data": {"a": 1}},
        {"type": "custom", "kind": "openai.compaction", "providerMetadata": {"openai": {}}},
        {
            "type": "custom",
            "kind": "anthropic.fallback",
            "providerMetadata": {"anthropic": {"from": {"model": "a"}, "to": {"model": "b"}}},
        },
        {"type": "message-metadata", "messageMetadata": {"usage": {"inputTokens": 1}}},
        {"type": "finish-step"},
    ],
    [
        {"type": "start-step"},
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "weather"},
        {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"city": "Rome"}'},
        {
            "type": "tool-input-available",
            "toolCallId": "c1",
            "toolName": "weather",
            "input": {"city": "Rome"},
            "providerMetadata": {
                "anthropic": {"caller": _CALLER},
                "openai": {"itemId": "fc_1", "caller": {"type": "program", "callerId": "p"}},
                "openai-chat": {"thoughtSignature": "c2ln"},
            },
        },
        {"type": "tool-output-available", "toolCallId": "c1", "output": {"celsius": 21}},
        {"type": "tool-input-available", "toolCallId": "c0", "toolName": "draw", "input": {}},
        {
            "type": "tool-output-available",
            "toolCallId": "c0",
            "output": {
                "type": "content",
                "value": [
                    {"type": "text", "text": "The map:"},
                    {
                        "type": "file",
                        "mediaType": "image/png",
                        "data": {"type": "data", "data": "iVBORw0KGgo="},
                    },
                ],
            },
            "providerMetadata": {"midstream": {"modelOutput": True}},
        },
        {"type": "finish-step"},
        {"type": "start-step"},
        {
            "type": "tool-input-available",
            "toolCallId": "c2",
            "toolName": "where",
            "input": {},
            "dynamic": True,
        },
        {"type": "tool-output-error", "toolCallId": "c2", "errorText": "no", "dynamic": True},
        {"type": "tool-input-available", "toolCallId": "c3", "toolName": "transfer", "input": {}},
        {"type": "tool-approval-request", "toolCallId": "c3", "approvalId": "apr_1"},
        {"type": "finish-step"},
    ],
    [
        {"type": "start-step"},
        *(
            {
                "type": "tool-input-available",
                "toolCallId": f"srv_{name}",
                "toolName": name,
                "input": given,
                "providerExecuted": True,
            }
            for name, given in {
                "code_execution": {"type": "bash_code_execution", "command": "ls"},
                "web_search": {"query": "Rome"},
                "web_fetch": {"url": "https://pages.example/"},
                "shell": {"action": {"commands": ["ls"], "timeoutMs": 1}},
                "advisor": {},
            }.items()
        ),
        *(
            {
                "type": "tool-output-available",
                "toolCallId": f"srv_{name}",
                "output": output,
                "providerExecuted": True,
            }
            for name, output in {
                "code_execution": {"type": "code_execution_result", "stdout": "a", "content": []},
                "web_search": [{"url": "u", "encryptedContent": "e", "type": "web_search_result"}],
                "web_fetch": {
                    "url": "u",
                    "retrievedAt": None,
                    "content": {
                        "title": "t",
                        "source": {"type": "text", "mediaType": "text/plain", "data": "d"},
                    },
                },
                "shell": {
                    "output": [
                        {"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exitCode": 0}}
                    ]
                },
                "advisor": {"type": "advisor_result", "text": "no"},
            }.items()
        ),
        {"type": "finish-step"},
    ],
]
"""UI message streams, as a backend or an agent of somebody's makes them."""
