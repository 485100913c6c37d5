"""Compares our requests for generated conversations and settings with the AI SDK's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from midstream.providers.anthropic.prompt.messages import NOTHING_SHOWN
from tests.conformance.anthropic_cases import ADD, ADVISOR, CODE, FETCH, FIND, RAN, SEARCH
from tests.conformance.anthropic_hosted_cases import BASH, FETCHED, FOUND, MCP, VIEW
from tests.conformance.deviations import deviates
from tests.conformance.histories import histories
from tests.conformance.oracle import OPTIONS, our_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conformance.oracle import AiSdk


Json = dict[str, Any]
EXAMPLES: Final = 60
MODELS: Final = {
    "anthropic": ["claude-sonnet-4-5", "claude-opus-4-7", "claude-3-haiku-20240307", "claude-9"],
    "openai-responses": ["gpt-4o", "gpt-5", "gpt-5.4", "o3", "other"],
    "openai-chat": ["gpt-4o", "gpt-5", "gpt-5.4", "o3", "other"],
}


def _hosted(name: str, given: Json, *outputs: object, failure: Json | None = None) -> list[Json]:
    call = {"type": f"tool-{name}", "input": given, "providerExecuted": True}
    parts = [{**call, "state": "output-available", "output": output} for output in outputs]
    if failure is not None:
        text = json.dumps(failure)
        parts.append({**call, "state": "output-error", "errorText": text})
    return parts


_FAILED: Final = {"type": "error", "errorCode": "unavailable"}
_EDIT: Final = {"type": "text_editor_code_execution", "command": "view", "path": "/x"}
_OPENAI_ID: Final = {"callProviderMetadata": {"openai": {"itemId": "item_7"}}}
HOSTED: Final[Mapping[str, list[Json]]] = {
    "anthropic": [
        *_hosted("search", {"query": "x"}, FOUND, failure=_FAILED),
        *_hosted("web_fetch", {"url": "https://a.example"}, FETCHED, failure=_FAILED),
        *_hosted("python", {"type": "programmatic-tool-call", "code": "1"}, RAN, failure=_FAILED),
        *_hosted("python", {"type": "bash_code_execution", "command": "ls"}, BASH),
        *_hosted("python", _EDIT, VIEW),
        *_hosted("find", {"query": "x"}, [{"type": "tool_reference", "toolName": "add"}]),
        *_hosted("advisor", {}, {"type": "advisor_result", "text": "t"}),
        {**MCP, "state": "output-available", "output": [{"type": "text", "text": "t"}]},
        {**MCP, "state": "output-error", "errorText": "no"},
    ],
    "openai-responses": [
        part | extra
        for extra in ({}, _OPENAI_ID)
        for part in [
            *_hosted("search", {}, {"action": {"type": "search", "query": "q"}}),
            *_hosted("code", {"code": "1", "containerId": "c"}, {"outputs": []}),
            *_hosted("docs", {}, {"queries": ["q"], "results": None}),
            *_hosted(
                "program",
                {"code": "a()", "fingerprint": "f"},
                {"result": "1", "status": "completed"},
            ),
        ]
    ],
    "openai-chat": [],
}
TOOLS: Final[Mapping[str, list[Json]]] = {
    "anthropic": [ADD, SEARCH, FETCH, CODE, FIND, {**ADVISOR, "name": "advisor"}],
    "openai-responses": [
        ADD,
        {"type": "provider", "id": "openai.web_search", "name": "search", "args": {}},
        {"type": "provider", "id": "openai.code_interpreter", "name": "code", "args": {}},
        {
            "type": "provider",
            "id": "openai.file_search",
            "name": "docs",
            "args": {"vectorStoreIds": ["v"]},
        },
        {"type": "provider", "id": "openai.programmatic_tool_calling", "name": "program"},
    ],
    "openai-chat": [ADD],
}
SETTINGS: Final = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.5, 1, 2]),
        "topP": st.sampled_from([0.1, 1]),
        "maxOutputTokens": st.sampled_from([1, 100, 200_000]),
        "stopSequences": st.sampled_from([["x"], ["x", "y"]]),
    },
)


@st.composite
def cases(draw: st.DrawFn, provider: str) -> Json:
    """A conversation, declared tools, and settings."""
    hosted = st.sampled_from(HOSTED[provider]) if HOSTED[provider] else None
    messages = draw(histories(hosted))
    if provider == "openai-responses":
        _say_something_behind_thoughts(messages)
    case: Json = {
        "provider": provider,
        "model": draw(st.sampled_from(MODELS[provider])),
        "messages": messages,
        "settings": draw(SETTINGS),
        # All tools or a function: an undeclared hosted tool has a test of its own.
        "tools": draw(st.sampled_from([TOOLS[provider], TOOLS[provider], [ADD], []])),
    }
    if draw(st.booleans()):
        case["system"] = "Be kind."
    if case["tools"] and draw(st.booleans()):
        case["toolChoice"] = draw(st.sampled_from(["auto", "none", "required", "add"]))
    if provider == "openai-responses":
        case |= draw(st.sampled_from([{}, {"store": True}, {"store": False}]))
    options = {name: case[name] for name in OPTIONS if name in case}
    return {**case, "providerOptions": {"openai": options} if options else {}}


@deviates("nothing-said-left-out")
def _said(provider: str, request: Json) -> Json:
    """Remove empty content, and join the neighbours that this leaves."""
    body = request["body"]
    field = "input" if "input" in body else "messages"
    has_blocks = provider == "anthropic"
    messages = _joined(body[field], join=has_blocks)
    if has_blocks:
        for message in messages:
            while message["content"] and _says_nothing(message["content"][-1]):
                message["content"].pop()
        messages = _joined(messages, join=True)
    if has_blocks and messages[0]["content"][:1] == [_NOTHING_SHOWN]:
        del messages[0]
    if has_blocks and messages[-1]["role"] == "assistant":
        # The end that the model is to continue; the AI SDK trims it if no thought follows.
        for block in messages[-1]["content"][-1:]:
            block |= {"text": block["text"].strip()} if "text" in block else {}
    body[field] = messages
    # JavaScript writes large floats as whole numbers; as floats they are equal.
    whole: Json = json.loads(json.dumps(request), parse_int=float)
    return whole


def _joined(messages: list[Json], *, join: bool) -> list[Json]:
    """Remove messages without content, and join neighbours of one role."""
    kept: list[Json] = []
    for message in messages:
        if not message.get("content", "") and {"role"} < message.keys() <= _MESSAGE:
            continue
        if join and kept and kept[-1]["role"] == message["role"]:
            kept[-1]["content"] += message["content"]
        else:
            kept.append(message)
    return kept


_NOTHING_SHOWN: Final = {"type": "text", "text": NOTHING_SHOWN}
_MESSAGE: Final = {"role", "content", "phase"}


def _says_nothing(block: Json) -> bool:
    return block["type"] in ("thinking", "redacted_thinking") or block.get("text") == ""


@deviates("nothing-said-left-out")
def _say_something_behind_thoughts(messages: list[Json]) -> None:
    """Add text to steps that end in a thought, because such a step would count as cut."""
    for message in messages:
        if message["role"] == "user":
            continue
        parts: list[Json] = []
        for part in [*message["parts"], {"type": "step-start"}]:
            if part["type"] == "step-start" and parts and parts[-1]["type"] == "reasoning":
                parts.append({"type": "text", "text": "so", "state": "done"})
            parts.append(part)
        message["parts"] = parts


@pytest.mark.parametrize("provider", MODELS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_request_for_any_history_is_the_ai_sdks(
    ai_sdk: AiSdk, provider: str, data: st.DataObject
) -> None:
    """Body and betas are equal, wherever the AI SDK sends a request."""
    case = data.draw(cases(provider))
    (theirs,) = ai_sdk.requests([case])
    ours = our_request(provider, case)
    if "@error" not in theirs:
        assert _said(provider, ours) == _said(provider, theirs)
