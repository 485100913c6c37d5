"""Positions and their tokens."""

from __future__ import annotations

import pytest

from midstream.protocol import InvalidPositionError, Position


def test_position_is_read_from_its_own_token() -> None:
    """A client hands back what it was given."""
    position = Position("3f9c1a2b", "1763855123456-12")
    assert str(position) == "3f9c1a2b:1763855123456-12"
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "token", ["", "3f9c1a2b", "1-1", ":1-1", "a:1", "a:1-", "a:1-1\n", "a b:1-1", "a:-1-1", "é:1-1"]
)
def test_position_refuses_a_token_that_is_none(token: str) -> None:
    """A position is never guessed."""
    with pytest.raises(InvalidPositionError, match="epoch:offset"):
        Position.parse(token)
