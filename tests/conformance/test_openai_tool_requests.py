"""Tools with options, and wrapped calls, are sent to OpenAI as the AI SDK sends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conformance.anthropic_cases import ADD, user
from tests.conformance.deviations import deviates
from tests.conformance.oracle import OPTIONS, as_bytes, our_request, translate

if TYPE_CHECKING:
    from tests.conformance.oracle import AiSdk

Json = dict[str, Any]

TOOLS: Final[dict[str, Json]] = {
    "strict": {**ADD, "strict": True},
    "not strict": {**ADD, "strict": False},
    "deferred": {**ADD, "providerOptions": {"openai": {"deferLoading": True}}},
    "for programs": {
        **ADD,
        "providerOptions": {"openai": {"allowedCallers": ["direct", "programmatic"]}},
    },
    "with examples, which OpenAI has no place for": {
        **ADD,
        "inputExamples": [{"input": {"a": 1, "b": 2}}],
    },
}


def _child(at: int, **changes: object) -> Json:
    wrapper = {"itemId": "fc_1", "toolCallId": "call_1", "toolName": "parallel"}
    place = {"index": at, "count": 2, **({"input": '{"w":1}'} if at == 0 else {})}
    return {
        "type": "tool-add",
        "toolCallId": f"call_1_{at}",
        "state": "output-available",
        "input": {"a": at},
        "output": {"sum": at},
        "callProviderMetadata": {"openai": {"parallelToolCall": wrapper | place | changes}},
    }


BREAKPOINT: Final = {"promptCacheBreakpoint": {"mode": "explicit"}}
FAILED: Final = {"state": "output-error", "errorText": "no", "output": None}
STEPS: Final[dict[str, list[Json]]] = {
    "two calls": [_child(0), _child(1)],
    "the other way round": [_child(1), _child(0)],
    "one that failed": [_child(0), _child(1) | FAILED],
    "one that is missing": [_child(0)],
    "one that comes twice": [_child(0), _child(1), _child(1) | {"toolCallId": "call_1_7"}],
    "one of another wrapper": [_child(0), _child(1, toolName="other")],
    "a call besides": [
        _child(0),
        _child(1),
        _child(0) | {"toolCallId": "call_2", "callProviderMetadata": {"openai": {"itemId": "f"}}},
    ],
    "no input": [_child(0, input=None), _child(1)],
    "a place that is none": [_child(0, index=3), _child(1)],
    "a mark of the cache": [
        _child(0),
        _child(1)
        | {
            "callProviderMetadata": {
                "openai": {**_child(1)["callProviderMetadata"]["openai"], **BREAKPOINT}
            }
        },
    ],
}
KEPT: Final[list[Json]] = [{}, {"previousResponseId": "resp_1"}, {"conversation": "conv_1"}]


def _history(parts: list[Json]) -> list[Json]:
    step = [{"type": "step-start"}, *parts]
    return [user("a"), {"id": "a", "role": "assistant", "parts": step}, user("b")]


def _differences(ai_sdk: AiSdk, cases: list[Json]) -> list[Any]:
    answers = ai_sdk.requests(
        {
            **case,
            "providerOptions": {"openai": {name: case[name] for name in OPTIONS if name in case}},
        }
        for case in cases
    )
    return [
        (ours, theirs)
        for case, theirs in zip(cases, answers, strict=True)
        if (ours := our_request(case["provider"], case)) != theirs
    ]


@pytest.mark.parametrize("provider", ["openai-responses", "openai-chat", "openai-compatible"])
def test_tool_with_options_is_declared_as_the_ai_sdk_does(provider: str, ai_sdk: AiSdk) -> None:
    """Every option is sent for which the API has a field."""
    cases = [
        {"provider": provider, "messages": [user("a")], "tools": [tool]} for tool in TOOLS.values()
    ]
    assert _differences(ai_sdk, cases) == []


def test_wrapped_calls_are_one_again_where_the_server_keeps_the_history(ai_sdk: AiSdk) -> None:
    """They stay apart where the request holds the history, or where they are not complete."""
    cases = [
        {
            "provider": "openai-responses",
            "model": model,
            "messages": _history(parts),
            "tools": [ADD],
            **kept,
        }
        for model in ("gpt-4o", "gpt-5.4")
        for parts in STEPS.values()
        for kept in KEPT
    ]
    assert _differences(ai_sdk, cases) == []


@deviates("wrapper-by-its-full-name")
def test_wrapper_in_chat_completions_is_opened_here_alone(ai_sdk: AiSdk) -> None:
    """In the AI SDK it is a call of an undeclared tool."""
    uses = [{"recipient_name": "functions.add", "parameters": {"a": 1}}]
    function = {"name": "multi_tool_use.parallel", "arguments": json.dumps({"tool_uses": uses})}
    delta = {"tool_calls": [{"index": 0, "id": "call", "function": function}]}
    chunk: Json = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]}
    case: Json = {"tools": [ADD], "events": [json.dumps(chunk)]}
    (theirs,) = ai_sdk.streams([{**case, "provider": "openai-chat"}])
    ours, _ = translate("openai-chat", as_bytes(case["events"]), case)
    failed = [each for each in theirs["chunks"] if each["type"] == "tool-input-error"]
    assert [each["toolName"] for each in failed] == ["multi_tool_use.parallel"]
    assert [each["toolName"] for each in ours if each["type"] == "tool-input-available"] == ["add"]
