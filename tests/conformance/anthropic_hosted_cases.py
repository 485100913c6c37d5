"""Calls of the provider's own tools, and their results: more cases of the request tests."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.anthropic_cases import (
    ADD,
    ADVISOR,
    CODE,
    FETCH,
    FIND,
    RAN,
    SEARCH,
    STEP,
    answer,
    called,
    hosted,
    hosted_error,
    text,
    user,
)

Json = dict[str, Any]

FOUND: Final = [
    {
        "type": "web_search_result",
        "url": "https://example.org/1",
        "title": "One",
        "pageAge": None,
        "encryptedContent": "enc",
    }
]
FETCHED: Final = {
    "type": "web_fetch_result",
    "url": "https://example.org/d",
    "retrievedAt": "2026-01-01T00:00:00Z",
    "content": {
        "type": "document",
        "title": None,
        "citations": {"enabled": True},
        "source": {"type": "text", "mediaType": "text/plain", "data": "words"},
    },
}
BASH: Final = {
    "type": "bash_code_execution_result",
    "stdout": "a",
    "stderr": "",
    "return_code": 0,
    "content": [{"type": "bash_code_execution_output", "file_id": "f1"}],
}
VIEW: Final = {
    "type": "text_editor_code_execution_view_result",
    "content": "x",
    "file_type": "text",
    "num_lines": 1,
    "start_line": 1,
    "total_lines": 1,
}
MCP: Final = {
    "type": "dynamic-tool",
    "toolName": "echo",
    "toolCallId": "mcptoolu_1",
    "input": {"q": "x"},
    "providerExecuted": True,
    "callProviderMetadata": {"anthropic": {"type": "mcp-tool-use", "serverName": "library"}},
}

OPEN_SEARCH: Final = called(
    "search", "srvtoolu_9", "input-available", input={"query": "x"}, providerExecuted=True
)
OPEN_CODE: Final = called(
    "python",
    "srvtoolu_8",
    "input-available",
    input={"type": "programmatic-tool-call", "code": "add()"},
    providerExecuted=True,
)
CALLED_BY_CODE: Final = called(
    "add",
    input={"a": 1},
    output=3,
    callProviderMetadata={
        "anthropic": {"caller": {"type": "code_execution_20250825", "toolId": "srvtoolu_8"}}
    },
)

HOSTED_CASES: Final[dict[str, Json]] = {
    "a search": {
        "tools": [SEARCH],
        "messages": [
            user("a"),
            answer(hosted("search", {"query": "x"}, FOUND), text("b")),
            user("c"),
        ],
    },
    "a search that failed": {
        "tools": [SEARCH],
        "messages": [
            user("a"),
            answer(
                hosted_error(
                    "search",
                    {"query": "x"},
                    {"type": "web_search_tool_result_error", "errorCode": "max_uses_exceeded"},
                ),
                text("b"),
            ),
            user("c"),
        ],
    },
    "a page that was fetched": {
        "tools": [FETCH],
        "messages": [
            user("a"),
            answer(
                hosted("web_fetch", {"url": "https://example.org/d"}, FETCHED, "f1"),
                hosted_error("web_fetch", {"url": "x"}, {"errorCode": "url_too_long"}, "f2"),
                text("b"),
            ),
            user("c"),
        ],
    },
    "code that ran": {
        "tools": [CODE],
        "messages": [
            user("a"),
            answer(
                hosted("python", {"type": "programmatic-tool-call", "code": "2+2"}, RAN, "c1"),
                hosted("python", {"type": "bash_code_execution", "command": "ls"}, BASH, "c2"),
                hosted(
                    "python",
                    {"type": "text_editor_code_execution", "command": "view", "path": "/x"},
                    VIEW,
                    "c3",
                ),
                hosted_error(
                    "python",
                    {"type": "programmatic-tool-call", "code": "x"},
                    {"type": "code_execution_tool_result_error", "errorCode": "unavailable"},
                    "c4",
                ),
                text("b"),
            ),
            user("c"),
        ],
    },
    "tools that were found": {
        "tools": [FIND, ADD],
        "messages": [
            user("a"),
            answer(
                hosted("find", {"query": "x"}, [{"type": "tool_reference", "toolName": "add"}]),
                hosted_error("find", {"query": "("}, {"errorCode": "invalid_pattern"}, "s2"),
                text("b"),
            ),
            user("c"),
        ],
    },
    "advice": {
        "model": "claude-sonnet-4-6",
        "tools": [ADVISOR],
        "messages": [
            user("a"),
            answer(
                hosted(
                    "advisor",
                    {},
                    {"type": "advisor_result", "text": "t", "stopReason": "end_turn"},
                    "v1",
                ),
                hosted(
                    "advisor",
                    {},
                    {"type": "advisor_redacted_result", "encryptedContent": "e"},
                    "v2",
                ),
                text("b"),
            ),
            user("c"),
        ],
    },
    "a call of an MCP tool": {
        "messages": [
            user("a"),
            answer(
                {**MCP, "state": "output-available", "output": [{"type": "text", "text": "y"}]},
                {**MCP, "toolCallId": "m2", "state": "output-error", "errorText": "broken"},
                text("b"),
            ),
            user("c"),
        ],
    },
    "a provider tool that is not Anthropic's": {
        "messages": [
            user("a"),
            answer(hosted("image_generation", {}, {"x": 1}), text("b")),
            user("c"),
        ]
    },
    "a search that the model paused for": {
        "tools": [SEARCH],
        "messages": [user("a"), answer(text("b "), OPEN_SEARCH)],
        "ignoreIncomplete": False,
    },
    "a search that was paused for, in an earlier turn": {
        "tools": [SEARCH],
        "messages": [user("a"), answer(text("b"), OPEN_SEARCH), user("c")],
    },
    "code that waits for the result of a call": {
        "tools": [CODE, ADD],
        "messages": [user("a"), answer(text("b"), OPEN_CODE, CALLED_BY_CODE)],
        "ignoreIncomplete": False,
    },
    "code that waited for two steps": {
        "tools": [CODE, ADD],
        "messages": [
            user("a"),
            answer(OPEN_CODE, CALLED_BY_CODE, STEP, {**CALLED_BY_CODE, "toolCallId": "toolu_2"}),
        ],
        "ignoreIncomplete": False,
    },
    "an MCP call that the model paused for": {
        "messages": [user("a"), answer(MCP | {"state": "input-available"})],
        "ignoreIncomplete": False,
    },
}
