"""Usage of Messages, of whatever types."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from midstream.providers.anthropic.stream import usage as anthropic_usage


@pytest.mark.parametrize("kind", [["message"], {"a": 1}, 7, None])
def test_iteration_whose_type_is_none_counts_for_nothing(kind: object) -> None:
    """The others are counted as they would be without it."""
    counted = {"type": "message", "input_tokens": 3, "output_tokens": 4}
    usage = msgspec.json.encode(
        {"output_tokens": 9, "iterations": [{**counted, "type": kind}, counted]}
    )
    counter = anthropic_usage.UsageCount()
    counter.update(Raw(usage))
    assert counter.total().output_tokens == 4
