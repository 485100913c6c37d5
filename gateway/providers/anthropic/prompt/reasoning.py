"""Amount of thinking of a model of Anthropic's, from the AI SDK's word for it.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts`, `resolveAnthropicReasoningConfig`;
@ai-sdk/provider-utils, `map-reasoning-to-provider.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.providers.anthropic.prompt.models import ClaudeTraits

_SHARES: Final = {
    "minimal": 0.02,
    "low": 0.1,
    "medium": 0.3,
    "high": 0.6,
    "xhigh": 0.9,
    "max": 0.95,
}
"""A level -> its part of the tokens that a model may answer with."""

_LEAST_BUDGET: Final = 1024


def with_reasoning(
    options: Mapping[str, Any], level: object, traits: ClaudeTraits
) -> dict[str, Any]:
    """Return provider options that ask for a level of reasoning, too.

    What they say of `thinking` stays; if they name an effort, nothing is added. Levels are
    `none`, `minimal`, `low`, `medium`, `high`, `xhigh` and `max`; for any other the model
    decides.
    """
    result = dict(options)
    given = result.get("output_config")
    output = dict(given) if isinstance(given, dict) else {}
    if output.get("effort") is not None or (level != "none" and level not in _SHARES):
        return result
    thinking, effort = _asked(str(level), traits)
    if thinking is not None and result.get("thinking") is None:
        result["thinking"] = thinking
    chosen = result.get("thinking")
    is_off = isinstance(chosen, dict) and chosen.get("type") == "disabled"
    if effort is not None and not is_off:
        result["output_config"] = output | {"effort": effort}
    return result


def _asked(level: str, traits: ClaudeTraits) -> tuple[dict[str, Any] | None, str | None]:
    """Return the thinking and the effort of a level, as the model takes them."""
    if level == "none":
        if traits.thinks_between_tools:
            return {"type": "between_tools"}, None
        return (None, "low") if traits.always_thinks else ({"type": "disabled"}, None)
    if traits.adapts_thinking:
        effort = {"minimal": "low", "xhigh": "xhigh" if traits.takes_xhigh else "high"}
        thinking = {"type": "adaptive", "display": "summarized"}
        return thinking, effort.get(level, level)
    limit = traits.max_output_tokens
    budget = min(limit, max(_LEAST_BUDGET, int(limit * _SHARES[level] + 0.5)))
    return {"type": "enabled", "budget_tokens": budget}, None
