"""Each beta that the SDK knows is sent with what needs it, or known not to be."""

from __future__ import annotations

import importlib
import typing
from typing import Any, Final, get_args

import pytest
from anthropic.types.anthropic_beta_param import AnthropicBetaParam
from anthropic.types.beta.beta_tool_union_param import BetaToolUnionParam
from anthropic.types.tool_union_param import ToolUnionParam

from midstream.providers.anthropic.prompt import betas
from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.anthropic.tool_names import TOOL_BETAS
from midstream.providers.base import StepRequest, ToolOptions, ToolSpec

OF_FUNCTIONS: Final = {"structured-outputs-2025-11-13"}
KNOWN: Final = {
    *betas.FIELD_BETAS,
    *betas.CONTENT_BETAS,
    *betas.CHOSEN_BETAS,
    *betas.OTHER_ENDPOINTS,
    *TOOL_BETAS.values(),
    *OF_FUNCTIONS,
}

CASES: Final[list[tuple[dict[str, Any], set[str]]]] = [
    ({"mcp_servers": [{"type": "url", "name": "a", "url": "x"}]}, {"mcp-client-2025-04-04"}),
    ({"mcp_servers": []}, set()),
    ({"tools": [{"type": "mcp_toolset"}], "mcp_servers": [{}]}, {"mcp-client-2025-11-20"}),
    ({"safeguards": [{"type": "a"}]}, {"dangerous-tool-use-2026-09-03"}),
    ({"compaction": {"type": "a"}}, {"compact-2026-09-04"}),
    (
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        {"context-management-2025-06-27", "compact-2026-01-12"},
    ),
    (
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
        {"context-management-2025-06-27"},
    ),
    (
        {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}},
        {"code-execution-2025-08-25", "skills-2025-10-02", "files-api-2025-04-14"},
    ),
    ({"container": "container_1"}, set()),
    (
        {"output_config": {"task_budget": {"type": "tokens", "total": 9}}},
        {"task-budgets-2026-03-13"},
    ),
    ({"output_config": {"effort": "low"}}, set()),
    ({"speed": "fast"}, {"fast-mode-2026-02-01"}),
    (
        {"thinking": {"type": "adaptive", "display": "updates"}},
        {"thinking-display-updates-2026-08-18"},
    ),
    ({"thinking": {"type": "adaptive", "display": "summarized"}}, set()),
    (
        {"thinking": {"block_binding": {"prefix_mismatch_behavior": "a"}}},
        {"thinking-binding-controls-2026-08-01"},
    ),
    ({"fallbacks": "default"}, {"server-side-fallback-2026-07-01"}),
    ({"fallbacks": [{"model": "a"}]}, {"server-side-fallback-2026-06-01"}),
    ({"fallbacks": []}, set()),
    ({"fallback_credit_token": "a"}, {"fallback-credit-2026-07-01"}),
    ({"thread": {"type": "create"}}, {"message-threads-2026-08-12"}),
    ({"billing_policy": {"type": "billing_policy"}}, {"user-profiles-billing-2026-10-01"}),
    ({"metadata": {"user_id": "a"}, "service_tier": "auto"}, set()),
]


@pytest.mark.parametrize(
    ("options", "expected"), CASES, ids=[str(options)[:60] for options, _ in CASES]
)
def test_option_is_sent_with_the_betas_that_it_needs(
    options: dict[str, Any], expected: set[str]
) -> None:
    """Without them the API refuses the request."""
    request = StepRequest(
        model="claude-opus-4-8", messages=[], provider_options=options, new_id=str
    )
    assert set(build_request(request).betas) == expected


def test_each_rule_has_a_case() -> None:
    """The table above is whole."""
    assert {beta for _, sent in CASES for beta in sent} == set(betas.FIELD_BETAS)


def test_betas_of_the_agents_own_are_sent_besides() -> None:
    """`anthropic_beta` names any."""
    request = StepRequest(
        model="claude-opus-4-8",
        messages=[],
        provider_options={"anthropic_beta": ["context-1m-2025-08-07"], "speed": "fast"},
        new_id=str,
    )
    assert build_request(request).betas == ["context-1m-2025-08-07", "fast-mode-2026-02-01"]


def test_sdk_names_no_beta_that_is_unknown_here() -> None:
    """A new one is sorted: does a field, a tool or the history need it, or nothing of ours?"""
    (named,) = (each for each in get_args(AnthropicBetaParam) if each is not str)
    assert set(get_args(named)) - KNOWN == set()


def test_betas_have_one_reason_each() -> None:
    """Nothing is said to be left to the agent that is sent by itself."""
    sent = {*betas.FIELD_BETAS, *betas.CONTENT_BETAS, *TOOL_BETAS.values(), *OF_FUNCTIONS}
    assert betas.CHOSEN_BETAS & sent == set()
    assert betas.OTHER_ENDPOINTS & (sent | betas.CHOSEN_BETAS) == set()


def _fields(module: str, name: str) -> set[str]:
    struct = getattr(importlib.import_module(f"anthropic.types.{module}"), name)
    return set(typing.get_type_hints(struct))


BETA_FIELDS: Final = {
    ("message_create_params", "MessageCreateParamsBase"): {
        *("billing_policy", "compaction", "context_management", "fallback_credit_token"),
        *("fallbacks", "mcp_servers", "thread"),
        "betas",  # the header itself
    },
    ("output_config_param", "OutputConfigParam"): {"task_budget"},
    ("thinking_config_adaptive_param", "ThinkingConfigAdaptiveParam"): {"block_binding"},
    ("thinking_config_enabled_param", "ThinkingConfigEnabledParam"): {"block_binding"},
    ("thinking_config_disabled_param", "ThinkingConfigDisabledParam"): set(),
    ("tool_param", "ToolParam"): set(),
}


@pytest.mark.parametrize("where", BETA_FIELDS, ids=lambda where: where[1])
def test_sdk_has_no_beta_field_without_a_rule(where: tuple[str, str]) -> None:
    """The rules look at the parameters that only the SDK's beta classes have."""
    module, name = where
    plain = _fields(module, name)
    prefix = "" if module.startswith("message_create") else "beta_"
    beta = _fields(f"beta.{prefix}{module}", name if not prefix else f"Beta{name}")
    assert beta - plain == BETA_FIELDS[where]


def _types(union: object) -> set[str]:
    kinds = (typing.get_type_hints(tool).get("type") for tool in get_args(union))
    return {value for kind in kinds for value in get_args(kind) if isinstance(value, str)}


def test_each_beta_tool_of_the_sdk_is_sent_with_a_beta() -> None:
    """The tools that only the SDK's beta classes have."""
    only_beta = _types(BetaToolUnionParam) - _types(ToolUnionParam)
    assert only_beta - TOOL_BETAS.keys() == {"mcp_toolset"}  # by a rule of the body


@pytest.mark.parametrize(
    ("options", "sent", "needed"),
    [
        (ToolOptions(strict=True), {"strict": True}, set[str]()),
        (ToolOptions(defer_loading=True), {"defer_loading": True}, set()),
        (
            ToolOptions(allowed_callers=["direct"]),
            {"allowed_callers": ["direct"]},
            {"advanced-tool-use-2025-11-20"},
        ),
        (
            ToolOptions(input_examples=[{"city": "Oslo"}]),
            {"input_examples": [{"city": "Oslo"}]},
            {"advanced-tool-use-2025-11-20"},
        ),
        (
            ToolOptions(cache_control={"type": "ephemeral"}),
            {"cache_control": {"type": "ephemeral"}},
            set(),
        ),
    ],
    ids=["strict", "defer_loading", "allowed_callers", "input_examples", "cache_control"],
)
def test_function_is_declared_with_its_options(
    options: ToolOptions, sent: dict[str, Any], needed: set[str]
) -> None:
    """And with the beta that they need."""
    tools = [ToolSpec(name="a", options=options)]
    request = StepRequest(model="claude-opus-4-8", messages=[], tools=tools, new_id=str)
    built = build_request(request)
    plain = {"name": "a", "input_schema": {"type": "object", "properties": {}}}
    assert built.body["tools"] == [{**plain, "eager_input_streaming": True, **sent}]
    assert set(built.betas) == {"structured-outputs-2025-11-13", *needed}


def test_input_that_is_not_to_be_streamed_eagerly_is_not() -> None:
    """The field is left out."""
    tools = [ToolSpec(name="a", options=ToolOptions(eager_input_streaming=False))]
    request = StepRequest(model="claude-opus-4-8", messages=[], tools=tools, new_id=str)
    tools_sent: Any = build_request(request).body["tools"]
    assert "eager_input_streaming" not in tools_sent[0]


def test_continued_thread_has_neither_system_nor_tools() -> None:
    """Its first request said them."""
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    request = StepRequest(
        model="claude-opus-4-8",
        messages=[],
        system="Be brief.",
        tools=[ToolSpec(name="a")],
        provider_options={"thread": thread},
        new_id=str,
    )
    body = build_request(request).body
    assert body["thread"] == thread
    assert not {"system", "tools"} & body.keys()


def test_other_models_take_top_p_beside_temperature() -> None:
    """Claude refuses both together; models behind a compatible address may want both."""
    for model, expected in (("claude-sonnet-4-5", None), ("claude-next", None), ("M2", 0.5)):
        request = StepRequest(
            model=model,
            messages=[],
            parameters={"temperature": 1, "top_p": 0.5},
            new_id=str,
        )
        assert build_request(request).body.get("top_p") == expected
