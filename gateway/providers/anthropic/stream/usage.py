"""Anthropic's token counts as the AI SDK's usage.

Source: @ai-sdk/anthropic 4.0.105, `convert-anthropic-usage.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from midstream.protocol.surrogates import well_formed
from midstream.providers.base import Usage
from midstream.providers.stream.counts import count_in, fields_in, object_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.providers.stream.counts import Fields

_raw_decoder: Final = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode

_DETAILS: Final = ("thinking_tokens",)
_ITERATION: Final = (
    "type",
    "input_tokens",
    "output_tokens",
    "model",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)
"""Fields that are kept of such objects, as the AI SDK does."""

_COUNTED: Final = {"compaction", "message"}
"""The iterations of the model itself; what an advisor uses is billed apart."""


class UsageCount:
    """The usage of one step: first from the message's start, then from its delta.

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
        self._iterations: Sequence[Fields] = ()

    def start(self, usage: Raw) -> None:
        """Take a `message_start`'s usage."""
        usage = Raw(well_formed(bytes(usage)))
        start = object_in(usage)
        if start is None:
            return
        self.raw = _raw_decoder.decode(usage)
        self._input = count_in(start, "input_tokens") or 0
        self._cache_read = count_in(start, "cache_read_input_tokens") or 0
        self._cache_write = count_in(start, "cache_creation_input_tokens") or 0

    def update(self, usage: Raw) -> None:
        """Take a `message_delta`'s usage; what it does not name stays."""
        usage = Raw(well_formed(bytes(usage)))
        delta = object_in(usage)
        if delta is None:
            return
        self.raw |= _raw_decoder.decode(usage)
        self._output = _newest(delta, "output_tokens", self._output)
        self._input = _newest(delta, "input_tokens", self._input)
        self._cache_read = _newest(delta, "cache_read_input_tokens", self._cache_read)
        self._cache_write = _newest(delta, "cache_creation_input_tokens", self._cache_write)
        if details := fields_in(delta, "output_tokens_details"):
            self.raw["output_tokens_details"] = Raw(_encode(_known(details, _DETAILS)))
            self._reasoning = count_in(details, "thinking_tokens")
        iterations = delta.get("iterations")
        if isinstance(iterations, list):
            objects = [each for each in iterations if isinstance(each, dict)]
            self.raw["iterations"] = Raw(_encode([_known(each, _ITERATION) for each in objects]))
            self._iterations = [each for each in objects if isinstance(each.get("type"), str)]

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
        kinds = {iteration.get("type") for iteration in self._iterations}
        if "fallback_message" in kinds or not kinds & _COUNTED:
            return self._input, self._output
        counted = [each for each in self._iterations if each.get("type") in _COUNTED]
        return (
            sum(count_in(each, "input_tokens") or 0 for each in counted),
            sum(count_in(each, "output_tokens") or 0 for each in counted),
        )


def _newest(fields: Fields, name: str, known: int) -> int:
    count = count_in(fields, name)
    return known if count is None else count


def _known(fields: Fields, names: tuple[str, ...]) -> Fields:
    return {name: fields[name] for name in names if name in fields}
