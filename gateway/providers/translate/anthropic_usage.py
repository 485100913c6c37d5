"""Anthropic's token counts as the AI SDK's usage.

Source: @ai-sdk/anthropic 4.0.105, `convert-anthropic-usage.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw

from gateway.providers.base import Usage
from gateway.providers.translate.anthropic_events import DeltaUsage, Iteration, StartUsage

if TYPE_CHECKING:
    from collections.abc import Sequence

_start_decoder: Final = msgspec.json.Decoder(StartUsage)
_delta_decoder: Final = msgspec.json.Decoder(DeltaUsage)
_raw_decoder: Final = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode

_COUNTED: Final = {"compaction", "message"}
"""The iterations of the model itself; what an advisor uses is billed apart."""


class UsageCount:
    """The usage of one step: what a message began with, then what its delta says.

    Attributes:
        raw: the provider's own fields, the last value of each.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.raw: dict[str, Raw] = {}
        self._input = 0
        self._cache_read = 0
        self._cache_write = 0
        self._output = 0
        self._reasoning: int | None = None
        self._iterations: Sequence[Iteration] = ()

    def start(self, usage: Raw) -> None:
        """Take a `message_start`'s usage. Raises msgspec.MsgspecError if it is none."""
        start = _start_decoder.decode(usage)
        self.raw = _raw_decoder.decode(usage)
        self._input = start.input_tokens
        self._cache_read = start.cache_read_input_tokens or 0
        self._cache_write = start.cache_creation_input_tokens or 0

    def update(self, usage: Raw) -> None:
        """Take a `message_delta`'s usage. Raises msgspec.MsgspecError if it is none."""
        delta = _delta_decoder.decode(usage)
        self.raw |= _raw_decoder.decode(usage)
        self._output = delta.output_tokens
        if delta.input_tokens is not None:
            self._input = delta.input_tokens
        if delta.cache_read_input_tokens is not None:
            self._cache_read = delta.cache_read_input_tokens
        if delta.cache_creation_input_tokens is not None:
            self._cache_write = delta.cache_creation_input_tokens
        if details := delta.output_tokens_details:
            self.raw["output_tokens_details"] = Raw(_encode(details))
            thinking = details.thinking_tokens
            self._reasoning = None if thinking is UNSET else thinking
        if delta.iterations:
            self.raw["iterations"] = Raw(_encode(delta.iterations))
            self._iterations = delta.iterations

    def total(self) -> Usage:
        """Return the usage so far."""
        fresh, output = self._model_tokens()
        total_input = fresh + self._cache_read + self._cache_write
        reasoning = self._reasoning
        return Usage(
            input_tokens=total_input,
            input_token_details=Usage.InputDetails(
                no_cache_tokens=fresh,
                cache_read_tokens=self._cache_read,
                cache_write_tokens=self._cache_write,
            ),
            output_tokens=output,
            output_token_details=Usage.OutputDetails(
                text_tokens=None if reasoning is None else output - reasoning,
                reasoning_tokens=reasoning,
            ),
            total_tokens=total_input + output,
            raw=Raw(_encode(self.raw)),
        )

    def _model_tokens(self) -> tuple[int, int]:
        kinds = {iteration.type for iteration in self._iterations}
        if "fallback_message" in kinds or not kinds & _COUNTED:
            return self._input, self._output
        counted = [each for each in self._iterations if each.type in _COUNTED]
        return sum(i.input_tokens for i in counted), sum(i.output_tokens for i in counted)
