"""Cases of the request tests: conversations as messages of the AI SDK."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

Json = dict[str, Any]

STEP: Final[Json] = {"type": "step-start"}
PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 20).decode()
PDF: Final = base64.b64encode(b"%PDF-1.7 nothing").decode()
PLAIN: Final = base64.b64encode("Grüße".encode()).decode()
ADD: Final[Json] = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "inputSchema": {"type": "object", "properties": {"a": {"type": "number"}}},
}
SEARCH: Final[Json] = {
    "type": "provider",
    "id": "anthropic.web_search_20250305",
    "name": "search",
    "args": {"maxUses": 2, "allowedDomains": ["example.org"]},
}
FETCH: Final[Json] = {
    "type": "provider",
    "id": "anthropic.web_fetch_20250910",
    "name": "web_fetch",
    "args": {},
}
CODE: Final[Json] = {
    "type": "provider",
    "id": "anthropic.code_execution_20250825",
    "name": "python",
    "args": {},
}
FIND: Final[Json] = {
    "type": "provider",
    "id": "anthropic.tool_search_regex_20251119",
    "name": "find",
    "args": {},
}
ADVISOR: Final[Json] = {
    "type": "provider",
    "id": "anthropic.advisor_20260301",
    "name": "advisor",
    "args": {"model": "claude-opus-4-7"},
}


def user(*parts: Any) -> Json:
    """A person's message; a string is a text."""
    said = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"id": "u", "role": "user", "parts": said}


def answer(*parts: Json) -> Json:
    """An assistant's message."""
    return {"id": "a", "role": "assistant", "parts": [STEP, *parts]}


def text(words: str, **options: Any) -> Json:
    """A text with metadata for Anthropic."""
    part: Json = {"type": "text", "text": words, "state": "done"}
    return part | ({"providerMetadata": {"anthropic": options}} if options else {})


def thought(words: str, **options: Any) -> Json:
    """A thought with metadata for Anthropic."""
    return text(words, **options) | {"type": "reasoning"}


def file(url: str, media_type: str, **fields: Any) -> Json:
    """A file part."""
    return {"type": "file", "url": url, "mediaType": media_type, **fields}


def called(name: str, call_id: str = "toolu_1", state: str = "output-available", **f: Any) -> Json:
    """A call of one of our tools."""
    return {"type": f"tool-{name}", "toolCallId": call_id, "state": state, **f}


def hosted(name: str, given: Any, output: Any, call_id: str = "srvtoolu_1", **fields: Any) -> Json:
    """A call of one of the provider's tools, with its output."""
    return called(name, call_id, input=given, output=output, providerExecuted=True, **fields)


def hosted_error(name: str, given: Any, error: Any, call_id: str = "srvtoolu_1") -> Json:
    """A call of one of the provider's tools that failed."""
    return called(
        name,
        call_id,
        "output-error",
        input=given,
        errorText=json.dumps(error),
        providerExecuted=True,
    )


RAN: Final = {
    "type": "code_execution_result",
    "stdout": "4\n",
    "stderr": "",
    "return_code": 0,
    "content": [],
}
CASES: Final[dict[str, Json]] = {
    "one question": {"messages": [user("Hello")]},
    "a system prompt": {"system": "Be kind.", "messages": [user("Hello")]},
    "a system message first": {
        "messages": [
            {"id": "s", "role": "system", "parts": [text("Be "), text("kind.")]},
            user("a"),
        ]
    },
    "a system message later": {
        "system": "Be kind.",
        "messages": [user("a"), {"id": "s", "role": "system", "parts": [text("Now rude.")]}],
    },
    "several turns": {"messages": [user("a"), answer(text("b ")), user("c")]},
    "consecutive user messages": {"messages": [user("a"), user("b", "c")]},
    "consecutive answers": {
        "messages": [user("a"), answer(text("b")), answer(text("c")), user("d")]
    },
    "an answer to continue": {"messages": [user("a"), answer(text("Once upon a "))]},
    "empty texts": {"messages": [user("", "a"), answer(text(""), text("b")), user("c")]},
    "data parts": {
        "messages": [user({"type": "data-note", "data": 1}, "a"), answer(text("b")), user("c")]
    },
    "an image by address": {"messages": [user(file("https://example.org", "image/png"), "?")]},
    "an image inline": {"messages": [user(file(f"data:image/png;base64,{PNG}", "image/png"))]},
    "an image of another kind than it says": {
        "messages": [user(file(f"data:image/jpeg;base64,{PNG}", "image/jpeg"))]
    },
    "an image of any kind": {"messages": [user(file(f"data:image/*;base64,{PNG}", "image/*"))]},
    "a document inline": {
        "messages": [
            user(file(f"data:application/pdf;base64,{PDF}", "application/pdf", filename="a.pdf"))
        ]
    },
    "a document by address": {
        "messages": [user(file("https://example.org/a.pdf", "application/pdf"))]
    },
    "a text file": {
        "messages": [user(file(f"data:text/plain;base64,{PLAIN}", "text/plain", filename="a.txt"))]
    },
    "a document to cite": {
        "messages": [
            user(
                file(f"data:text/plain;base64,{PLAIN}", "text/plain")
                | {
                    "providerMetadata": {
                        "anthropic": {"citations": {"enabled": True}, "title": "T", "context": "C"}
                    }
                }
            )
        ]
    },
    "an uploaded file": {
        "messages": [
            user(file("", "application/pdf", providerReference={"anthropic": "file_1"})),
            answer(text("b")),
            user(file("", "image/png", providerReference={"anthropic": "file_2"})),
        ]
    },
    "cache marks": {
        "messages": [
            user(
                {**text("a", cacheControl={"type": "ephemeral"})},
                {**text("b", cache_control={"type": "ephemeral", "ttl": "1h"})},
            ),
            answer(text("c", cacheControl={"type": "ephemeral"})),
            user(
                text("d", cacheControl={"type": "ephemeral"}),
                text("e", cacheControl={"type": "ephemeral"}),
            ),
        ]
    },
    "signed thoughts": {
        "messages": [user("a"), answer(thought("hm", signature="s"), text("b")), user("c")]
    },
    "unsigned thoughts": {"messages": [user("a"), answer(thought("hm"), text("b")), user("c")]},
    "redacted thoughts": {
        "messages": [user("a"), answer(thought("", redactedData="r"), text("b")), user("c")]
    },
    "a call and its result": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(called("add", input={"a": 1}, output={"sum": [1, "é"]})),
            user("b"),
        ],
    },
    "a call with a text result": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(called("add", input={"a": 1}, output="two"), STEP, text("b")),
        ],
    },
    "calls side by side, with talk between": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(
                thought("hm", signature="s"),
                called("add", "t1", input={"a": 1}, output=1),
                text("and"),
                called("add", "t2", input={"a": 2}, output=None),
                STEP,
                text("done"),
            ),
            user("b"),
        ],
    },
    "several steps": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(
                text("1"),
                called("add", "t1", input={"a": 1}, output=1),
                STEP,
                called("add", "t2", input={"a": 2}, output=2),
                STEP,
                text("3"),
            ),
        ],
    },
    "a failed call": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(called("add", state="output-error", input={"a": 1}, errorText="boom")),
            user("b"),
        ],
    },
    "a call with an unusable input": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(
                called("add", "t1", "output-error", input='{"a":', errorText="bad"),
                called("add", "t2", "output-error", input='{"a":1}', errorText="bad"),
                called("add", "t3", "output-error", rawInput=[1], errorText="bad"),
            ),
            user("b"),
        ],
    },
    "a denied call": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(
                called(
                    "add",
                    "t1",
                    "output-denied",
                    input={},
                    approval={"id": "p", "approved": False, "reason": "no"},
                ),
                called(
                    "add",
                    "t2",
                    "approval-responded",
                    input={},
                    approval={"id": "q", "approved": False},
                ),
                called(
                    "add", "t3", "output-denied", input={}, approval={"id": "r", "approved": False}
                ),
            ),
            user("b"),
        ],
    },
    "a call that was never answered": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(text("x"), called("add", state="input-available", input={"a": 1})),
            user("b"),
        ],
    },
    "a call that was cut off": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(text("x"), called("add", state="input-streaming", input={"a": 1})),
            user("b"),
        ],
    },
    "a call that code made": {
        "tools": [ADD, CODE],
        "messages": [
            user("a"),
            answer(
                hosted("python", {"type": "programmatic-tool-call", "code": "add(1)"}, RAN, "c1"),
                called("add", "t1", input={"a": 1}, output=1)
                | {
                    "callProviderMetadata": {
                        "anthropic": {"caller": {"type": "code_execution_20250825", "toolId": "c1"}}
                    }
                },
            ),
            user("b"),
        ],
    },
    "a call that lost code made": {
        "tools": [ADD],
        "messages": [
            user("a"),
            answer(
                called("add", "t1", input={"a": 1}, output=1)
                | {
                    "callProviderMetadata": {
                        "anthropic": {"caller": {"type": "code_execution_20250825", "toolId": "c9"}}
                    }
                },
            ),
            user("b"),
        ],
    },
    "a summary": {
        "messages": [
            user("a"),
            answer(text("So far", type="compaction"), text("b")),
            user("c"),
            answer(text("So far", type="compaction", signature="s"), text("d")),
            user("e"),
        ]
    },
    "a fallback": {
        "messages": [
            user("a"),
            answer(
                text("b"),
                {
                    "type": "custom",
                    "kind": "anthropic.fallback",
                    "providerMetadata": {
                        "anthropic": {
                            "type": "fallback",
                            "from": {"model": "claude-fable-5"},
                            "to": {"model": "claude-opus-4-8"},
                        }
                    },
                },
                {"type": "custom", "kind": "anthropic.message_start"},
                text("c"),
            ),
            user("d"),
        ]
    },
    "cited text": {
        "messages": [
            user("a"),
            answer(text("b", citations=[{"type": "char_location", "document_index": 0}])),
            user("c"),
        ]
    },
    "files of the model's": {
        "messages": [
            user("a"),
            answer(file(f"data:image/png;base64,{PNG}", "image/png"), text("b")),
            user("c"),
        ]
    },
    "settings": {
        "messages": [user("a")],
        "settings": {
            "maxOutputTokens": 100,
            "temperature": 0.5,
            "topK": 3,
            "stopSequences": ["END"],
        },
    },
    "settings out of range": {
        "messages": [user("a")],
        "settings": {"maxOutputTokens": 900_000, "temperature": 1.7, "topP": 0.5},
    },
    "settings that a model refuses": {
        "model": "claude-opus-4-7",
        "messages": [user("a")],
        "settings": {"temperature": 0.5, "topP": 0.5, "topK": 2},
    },
    "an unknown model": {"model": "some-model", "messages": [user("a")], "settings": {"topP": 0.5}},
    "tools of both kinds": {"tools": [ADD, SEARCH, FETCH, CODE, FIND], "messages": [user("a")]},
    "an old model with tools": {
        "model": "claude-3-haiku-20240307",
        "tools": [ADD],
        "messages": [user("a")],
    },
    "a tool that must be called": {
        "tools": [ADD],
        "toolChoice": "required",
        "messages": [user("a")],
    },
    "no tool to be called": {"tools": [ADD], "toolChoice": "none", "messages": [user("a")]},
    "one tool to be called": {
        "tools": [ADD, {**ADD, "name": "sub"}],
        "toolChoice": "sub",
        "messages": [user("a")],
    },
    "a choice that a model refuses": {
        "model": "claude-opus-5-5",
        "tools": [ADD, {**ADD, "name": "sub"}],
        "toolChoice": "sub",
        "messages": [user("a")],
    },
    "an answer in JSON": {
        "model": "claude-3-haiku-20240307",
        "tools": [ADD],
        "responseSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "messages": [user("a")],
    },
    "an answer in JSON without a tool": {
        "responseSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "messages": [user("a")],
    },
    "an answer in JSON with an effort": {
        "responseSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "providerOptions": {"anthropic": {"effort": "low"}},
        "body": {"output_config": {"effort": "low"}},
        "messages": [user("a")],
    },
    "thinking with a budget": {
        "messages": [user("a")],
        "settings": {"temperature": 0.3, "maxOutputTokens": 50},
        "providerOptions": {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2000}}},
        "body": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    },
    "MCP servers": {
        "messages": [user("a")],
        "providerOptions": {
            "anthropic": {
                "mcpServers": [
                    {"type": "url", "name": "library", "url": "https://example.org/mcp"}
                ],
                "anthropicBeta": ["more-2026-01-01"],
            }
        },
        "body": {
            "mcp_servers": [{"type": "url", "name": "library", "url": "https://example.org/mcp"}],
            "anthropic_beta": ["more-2026-01-01"],
        },
    },
}
"""Name -> a case of `anthropic_request.mjs`, with our provider options as `body`."""
