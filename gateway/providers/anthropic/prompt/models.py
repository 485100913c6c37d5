"""Traits of Anthropic's models: the length of answers, and the settings that they refuse.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-model-catalog.ts` (`runtimeRules`).
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct


class ClaudeTraits(Struct, frozen=True, kw_only=True):
    """Traits of a model that decide over a request.

    Attributes:
        known: whether `max_output_tokens` is a fact; else it is a guess that a setting may
            exceed.
        samples: takes temperature, top_p and top_k.
        forces_tools: takes a tool choice that demands a call.
        structured_output: answers by a JSON schema without the help of a tool.
        adapts_thinking: decides itself how long it thinks, by an effort.
        takes_xhigh: `xhigh` is one of its efforts.
        always_thinks: its thinking cannot be disabled.
        thinks_between_tools: its thinking can be limited to what it does between calls.
    """

    max_output_tokens: int = 4096
    known: bool = True
    samples: bool = True
    forces_tools: bool = True
    structured_output: bool = False
    adapts_thinking: bool = False
    takes_xhigh: bool = False
    always_thinks: bool = False
    thinks_between_tools: bool = False


_CURRENT: Final = ClaudeTraits(
    max_output_tokens=128_000, structured_output=True, adapts_thinking=True
)
_CURRENT_FIXED: Final = msgspec.structs.replace(_CURRENT, samples=False, takes_xhigh=True)
_THINKING: Final = msgspec.structs.replace(_CURRENT_FIXED, always_thinks=True)
_UNFORCED: Final = msgspec.structs.replace(_THINKING, forces_tools=False)
_BETWEEN_TOOLS: Final = msgspec.structs.replace(_UNFORCED, thinks_between_tools=True)

_RULES: Final = [
    (re.compile(pattern), traits)
    for pattern, traits in (
        (r"claude-sonnet-5-5", _BETWEEN_TOOLS),
        (r"claude-opus-5-5", _UNFORCED),
        (r"claude-haiku-5-5|claude-opus-5", _CURRENT_FIXED),
        (r"claude-fable-5-[12]", _UNFORCED),
        (r"claude-fable-5", _THINKING),
        (r"claude-opus-4-[78]|claude-sonnet-5", _CURRENT_FIXED),
        (r"claude-(sonnet|opus)-4-6", _CURRENT),
        (
            r"claude-(sonnet|opus|haiku)-4-5",
            ClaudeTraits(max_output_tokens=64_000, structured_output=True),
        ),
        (r"claude-opus-4-1", ClaudeTraits(max_output_tokens=32_000, structured_output=True)),
        (r"claude-sonnet-4[-@]", ClaudeTraits(max_output_tokens=64_000)),
        (r"claude-opus-4[-@]", ClaudeTraits(max_output_tokens=32_000)),
        (r"claude-3-haiku", ClaudeTraits()),
        (
            r"claude-(instant(-|$)|v?2(?=$|[-.:])|3(?=$|[-.]))",
            ClaudeTraits(known=False),
        ),
        (r"claude-", msgspec.structs.replace(_CURRENT_FIXED, known=False)),
    )
]
"""The first that matches counts; newer models are told apart before their families."""


def model_traits(model: str) -> ClaudeTraits:
    """Return a model's traits by its name; cautious ones if it is not Anthropic's."""
    for pattern, traits in _RULES:
        if pattern.search(model):
            return traits
    return ClaudeTraits(known=False)
