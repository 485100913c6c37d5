"""Token counts of OpenAI's two APIs, in the AI SDK's shape.

Source: @ai-sdk/openai 4.0.118, `convert-openai-responses-usage.ts`, `convert-openai-chat-usage.ts`.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from gateway.providers.base import Usage


class _InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(Struct):
    reasoning_tokens: int | None = None


class _ResponsesUsage(Struct):
    input_tokens: int
    output_tokens: int
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _ChatUsage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


_responses_decoder = msgspec.json.Decoder(_ResponsesUsage)
_chat_decoder = msgspec.json.Decoder(_ChatUsage)


def responses_usage(raw: Raw) -> Usage | None:
    """Convert a response's `usage`; None without one.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    if bytes(raw) in (b"", b"null"):
        return None
    usage = _responses_decoder.decode(raw)
    return _usage(
        raw,
        usage.input_tokens,
        usage.output_tokens,
        usage.input_tokens_details or _InputDetails(),
        usage.output_tokens_details or _OutputDetails(),
    )


def chat_usage(raw: Raw) -> Usage | None:
    """Convert a chat completion's `usage`; None without one.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    if bytes(raw) in (b"", b"null"):
        return None
    usage = _chat_decoder.decode(raw)
    return _usage(
        raw,
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        usage.prompt_tokens_details or _InputDetails(),
        usage.completion_tokens_details or _OutputDetails(),
    )


def _usage(
    raw: Raw,
    input_tokens: int,
    output_tokens: int,
    input_details: _InputDetails,
    output_details: _OutputDetails,
) -> Usage:
    cached = input_details.cached_tokens or 0
    cache_write = input_details.cache_write_tokens
    reasoning = output_details.reasoning_tokens or 0
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
