"""Metadata of a message about the run that wrote it: model, tokens, times."""

from __future__ import annotations

from msgspec import Struct

from midstream.protocol.chunks import FinishReason
from midstream.providers.base import Usage


class MessageMetadata(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """A message's metadata about its run; times in milliseconds since the run began."""

    model: str | None = None
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    first_chunk_ms: int | None = None
    duration_ms: int | None = None


def add_usage(first: Usage | None, second: Usage | None) -> Usage | None:
    """Return what two steps used together, without the provider's own fields.

    A count that neither knows stays unknown.

    Source: ai 7.0.173, `types/usage.ts` (`addLanguageModelUsage`).
    """
    if first is None and second is None:
        return None
    one, two = first or Usage(), second or Usage()
    one_in, two_in = one.input_token_details, two.input_token_details
    one_out, two_out = one.output_token_details, two.output_token_details
    return Usage(
        input_tokens=_sum(one.input_tokens, two.input_tokens),
        input_token_details=_input_sum(one_in, two_in),
        output_tokens=_sum(one.output_tokens, two.output_tokens),
        output_token_details=_output_sum(one_out, two_out),
        total_tokens=_sum(one.total_tokens, two.total_tokens),
    )


def _input_sum(
    one: Usage.InputDetails | None, two: Usage.InputDetails | None
) -> Usage.InputDetails | None:
    if one is None or two is None:
        return one or two
    return Usage.InputDetails(
        no_cache_tokens=_sum(one.no_cache_tokens, two.no_cache_tokens),
        cache_read_tokens=_sum(one.cache_read_tokens, two.cache_read_tokens),
        cache_write_tokens=_sum(one.cache_write_tokens, two.cache_write_tokens),
    )


def _output_sum(
    one: Usage.OutputDetails | None, two: Usage.OutputDetails | None
) -> Usage.OutputDetails | None:
    if one is None or two is None:
        return one or two
    return Usage.OutputDetails(
        text_tokens=_sum(one.text_tokens, two.text_tokens),
        reasoning_tokens=_sum(one.reasoning_tokens, two.reasoning_tokens),
    )


def _sum(one: int | None, two: int | None) -> int | None:
    if one is None and two is None:
        return None
    return (one or 0) + (two or 0)
