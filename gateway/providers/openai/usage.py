"""Token counts of OpenAI's two APIs, in the AI SDK's shape.

Counts decide nothing: one that is absent, null or no number counts as nothing.

Source: @ai-sdk/openai 4.0.118, `convert-openai-responses-usage.ts`, `convert-openai-chat-usage.ts`.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from midstream.protocol.surrogates import well_formed
from midstream.providers.base import Usage
from midstream.providers.stream.counts import count_in, fields_in, object_in


def responses_usage(raw: Raw) -> Usage | None:
    """Convert a response's `usage`; None without one."""
    return _usage(raw, "input_tokens", "output_tokens")


def chat_usage(raw: Raw, *, counts_cache_writes: bool = True) -> Usage | None:
    """Convert a chat completion's `usage`; None without one.

    Args:
        counts_cache_writes: tokens written to a cache are not among the others.
    """
    return _usage(
        raw, "prompt_tokens", "completion_tokens", counts_cache_writes=counts_cache_writes
    )


def _usage(
    raw: Raw, input_name: str, output_name: str, *, counts_cache_writes: bool = True
) -> Usage | None:
    raw = Raw(well_formed(bytes(raw)))
    usage = object_in(raw)
    if usage is None:
        return None
    input_details = fields_in(usage, f"{input_name}_details")
    output_details = fields_in(usage, f"{output_name}_details")
    input_tokens = count_in(usage, input_name) or 0
    output_tokens = count_in(usage, output_name) or 0
    cached = count_in(input_details, "cached_tokens") or 0
    cache_write = count_in(input_details, "cache_write_tokens") if counts_cache_writes else None
    reasoning = count_in(output_details, "reasoning_tokens") or 0
    return Usage(
        input_tokens=input_tokens,
        input_token_details=Usage.InputDetails(
            no_cache_tokens=input_tokens - cached - (cache_write or 0),
            cache_read_tokens=cached,
            cache_write_tokens=cache_write,
        ),
        output_tokens=output_tokens,
        output_token_details=Usage.OutputDetails(
            text_tokens=max(0, output_tokens - reasoning), reasoning_tokens=reasoning
        ),
        total_tokens=input_tokens + output_tokens,
        # Compact and copied: it outlives the event, and is written into one line.
        raw=Raw(msgspec.json.format(bytes(raw), indent=-1)),
    )
