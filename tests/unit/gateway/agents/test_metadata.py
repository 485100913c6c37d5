"""Sums of token counts."""

from __future__ import annotations

from midstream.agents.metadata import add_usage
from midstream.providers.base import Usage

ONE = Usage(
    input_tokens=3,
    input_token_details=Usage.InputDetails(no_cache_tokens=1, cache_read_tokens=2),
    output_tokens=4,
    output_token_details=Usage.OutputDetails(text_tokens=4),
    total_tokens=7,
)


def test_counts_are_added_field_by_field() -> None:
    """A count that only one step knows is that step's; one that none knows stays unknown."""
    two = Usage(output_tokens=1, output_token_details=Usage.OutputDetails(reasoning_tokens=1))
    assert add_usage(ONE, two) == Usage(
        input_tokens=3,
        input_token_details=Usage.InputDetails(no_cache_tokens=1, cache_read_tokens=2),
        output_tokens=5,
        output_token_details=Usage.OutputDetails(text_tokens=4, reasoning_tokens=1),
        total_tokens=7,
    )


def test_step_without_usage_adds_nothing() -> None:
    """The usage of earlier steps stays."""
    assert add_usage(ONE, None) == ONE
    assert add_usage(None, None) is None


def test_both_details_are_added() -> None:
    """Cached and fresh tokens are counted apart."""
    double = add_usage(ONE, ONE)
    assert double is not None
    assert double.input_token_details == Usage.InputDetails(no_cache_tokens=2, cache_read_tokens=4)
    assert double.total_tokens == 14
