"""Compares our requests for histories with the AI SDK's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.anthropic_cases import ADD, CASES, user
from tests.conformance.anthropic_hosted_cases import HOSTED_CASES
from tests.conformance.anthropic_schema_cases import SCHEMA_CASES
from tests.conformance.deviations import deviates
from tests.conformance.oracle import SHARED_CORPUS, our_request, snake_case

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

FIXTURES: Final[dict[str, Json]] = (
    json.loads((SHARED_CORPUS / "fixtures.json").read_text())["anthropic"]
    if SHARED_CORPUS.exists()
    else {}
)

MODELS: Final = """
claude-sonnet-5-5 claude-opus-5-5 claude-haiku-5-5 claude-opus-5 claude-fable-5-2
claude-fable-5-1 claude-fable-5 claude-opus-4-8 claude-opus-4-7 claude-sonnet-5
claude-sonnet-4-6 claude-opus-4-6 claude-sonnet-4-5 claude-opus-4-5 claude-haiku-4-5
claude-opus-4-1 claude-sonnet-4-20250514 claude-opus-4@20250514 claude-3-haiku-20240307
claude-3-5-sonnet-20241022 claude-2.1 claude-instant-1 claude-next other
"""
"""One model for each rule, to test its limits."""

LIMITS: Final[dict[str, Json]] = {
    f"the limits of {model}": {
        "model": model,
        "tools": [ADD],
        "toolChoice": "required",
        "settings": {"temperature": 0.5},
        "messages": [user("a")],
    }
    for model in MODELS.split()
}
LEVELS: Final = ["none", "minimal", "low", "medium", "high", "xhigh", "max", "provider-default"]
REASONING: Final[dict[str, Json]] = {
    f"{level} reasoning of {model}": {
        "model": model,
        "settings": {"reasoning": level, "temperature": 0.5},
        "messages": [user("a")],
    }
    for model in MODELS.split()
    for level in LEVELS
} | {
    f"{level} reasoning beside other options": {
        "settings": {"reasoning": level},
        "model": "claude-opus-4-8",
        "providerOptions": {"anthropic": {given: value}},
        "body": body,
        "responseSchema": {"type": "object", "properties": {}, "additionalProperties": False},
        "messages": [user("a")],
    }
    for level, given, value, body in (
        ("high", "effort", "low", {"output_config": {"effort": "low"}}),
        ("max", "thinking", {"type": "disabled"}, {"thinking": {"type": "disabled"}}),
        ("low", "thinking", {"type": "adaptive"}, {"thinking": {"type": "adaptive"}}),
    )
}
EPHEMERAL: Final = {"type": "ephemeral"}
TOOL_OPTIONS: Final[dict[str, Json]] = {
    f"{name} of {model}": {"model": model, "tools": tools, "messages": [user("a")]}
    for model in ("claude-opus-4-8", "claude-3-haiku-20240307", "other")
    for name, tools in {
        "strict": [{**ADD, "strict": True}],
        "not strict": [{**ADD, "strict": False}],
        "examples": [{**ADD, "inputExamples": [{"input": {"a": 1, "b": 2}}]}],
        "deferred": [{**ADD, "providerOptions": {"anthropic": {"deferLoading": True}}}],
        "callers": [
            {**ADD, "providerOptions": {"anthropic": {"allowedCallers": ["direct"]}}},
        ],
        "lazy": [{**ADD, "providerOptions": {"anthropic": {"eagerInputStreaming": False}}}],
        "cached": [
            {**ADD, "name": f"a{i}", "providerOptions": {"anthropic": {"cacheControl": EPHEMERAL}}}
            for i in range(6)
        ],
    }.items()
}
MCP_SERVER: Final = {"type": "url", "name": "m", "url": "https://mcp.example"}
PROVIDER_OPTIONS: Final[dict[str, Json]] = {
    f"{next(iter(options))} {next(iter(options.values()))}": {
        "model": "claude-opus-4-8",
        "system": "Be kind.",
        "tools": [ADD],
        "providerOptions": {"anthropic": options},
        "body": body,
        "messages": [user("a")],
    }
    for options, body in (
        ({"mcpServers": [MCP_SERVER]}, {"mcp_servers": [MCP_SERVER]}),
        ({"compaction": {"type": "summarize"}}, None),
        ({"safeguards": [{"type": "dangerous_tool_use"}]}, None),
        ({"contextManagement": {"edits": [{"type": "clear_thinking_20251015"}]}}, None),
        ({"contextManagement": {"edits": [{"type": "compact_20260112"}]}}, None),
        (
            {"container": {"skills": [{"type": "anthropic", "skillId": "pptx"}]}},
            {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}},
        ),
        ({"container": {"id": "container_1"}}, {"container": "container_1"}),
        (
            {"taskBudget": {"type": "tokens", "total": 20_000}},
            {"output_config": {"task_budget": {"type": "tokens", "total": 20_000}}},
        ),
        ({"speed": "fast"}, None),
        ({"thinking": {"type": "adaptive", "display": "updates"}}, None),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, None),
        (
            {
                "thinking": {
                    "type": "adaptive",
                    "blockBinding": {"prefixMismatchBehavior": "drop_block"},
                }
            },
            {
                "thinking": {
                    "type": "adaptive",
                    "block_binding": {"prefix_mismatch_behavior": "drop_block"},
                }
            },
        ),
        ({"fallbacks": "default"}, None),
        ({"fallbacks": [{"model": "claude-haiku-5-5"}]}, None),
        ({"thread": {"type": "create"}}, None),
        (
            {"thread": {"type": "continue", "previousMessageId": "msg_1"}},
            {"thread": {"type": "continue", "previous_message_id": "msg_1"}},
        ),
    )
    for body in [body if body is not None else snake_case(options)]
}
SAMPLING: Final[dict[str, Json]] = {
    f"top_p beside temperature of {model}": {
        "model": model,
        "settings": {"temperature": 0.5, "topP": 0.5},
        "messages": [user("a")],
    }
    for model in MODELS.split()
}
ALL_CASES: Final = {
    **CASES,
    **HOSTED_CASES,
    **SCHEMA_CASES,
    **LIMITS,
    **REASONING,
    **TOOL_OPTIONS,
    **PROVIDER_OPTIONS,
    **SAMPLING,
}


@pytest.fixture(scope="module")
def sdk_requests(ai_sdk: AiSdk) -> dict[str, Any]:
    """The AI SDK's request in each case."""
    cases = [{**case, "provider": "anthropic"} for case in ALL_CASES.values()]
    return dict(zip(ALL_CASES, ai_sdk.requests(cases), strict=True))


@pytest.mark.parametrize("name", ALL_CASES)
def test_request_is_the_ai_sdks(name: str, sdk_requests: dict[str, Any]) -> None:
    """Body and betas equal the AI SDK's for the same history and settings."""
    assert our_request("anthropic", ALL_CASES[name]) == sdk_requests[name]


@pytest.mark.parametrize("name", [*FIXTURES] or ["absent"])
def test_request_is_the_recorded_one_of_the_shared_corpus(name: str) -> None:
    """The same holds for requests recorded with the streams, if they are at hand."""
    if not FIXTURES:
        pytest.skip(f"the recordings are not beside the repository, at {SHARED_CORPUS.name}/")
    config = FIXTURES[name]
    recorded = SHARED_CORPUS / "golden" / "anthropic" / f"{name}.meta.json"
    expected = json.loads(recorded.read_text())["requests"][0]["body"]
    prompt = config.get("prompt", [{"content": [{"text": "Hello"}]}])
    case = {**config, "messages": [user(prompt[0]["content"][0]["text"])]}
    if "responseFormat" in config:
        case["responseSchema"] = config["responseFormat"]["schema"]
    # Options of the provider have no place in our settings but the body itself.
    case["body"] = {
        field: expected[field]
        for field in snake_case(config.get("providerOptions", {}).get("anthropic", {}))
        if field in expected
    }
    assert our_request("anthropic", case)["body"] == expected


@deviates("speed-with-its-beta")
def test_any_speed_is_sent_with_its_beta(ai_sdk: AiSdk) -> None:
    """The AI SDK sends it only with `fast`."""
    speed = {"speed": "standard"}
    case = {"messages": [user("a")], "providerOptions": {"anthropic": speed}, "body": speed}
    (theirs,) = ai_sdk.requests([{**case, "provider": "anthropic"}])
    ours = our_request("anthropic", case)
    assert ours["body"] == theirs["body"]
    assert (ours["betas"], theirs["betas"]) == (["fast-mode-2026-02-01"], [])
