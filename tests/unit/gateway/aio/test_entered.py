"""A context that is entered within a block."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from midstream.aio.entered import Entered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def told(seen: list[str], *, forgives: bool = False) -> AsyncIterator[str]:
    seen.append("entered")
    try:
        yield "value"
    except ValueError as error:
        seen.append(str(error))
        if not forgives:
            raise
    finally:
        seen.append("left")


async def test_context_is_left_with_the_block() -> None:
    """Once."""
    seen: list[str] = []
    async with Entered() as entered:
        assert await entered.enter(told(seen)) == "value"
        assert seen == ["entered"]
    assert seen == ["entered", "left"]


async def test_block_that_enters_nothing_leaves_nothing() -> None:
    """As when the context cannot be entered: it has left by itself."""

    @asynccontextmanager
    async def fails() -> AsyncIterator[None]:
        raise ValueError("refused")
        yield

    with pytest.raises(ValueError, match="refused"):
        async with Entered() as entered:
            await entered.enter(fails())


@pytest.mark.parametrize("forgives", [False, True])
async def test_context_sees_the_error_of_the_block(forgives: bool) -> None:
    """It decides whether that goes on."""
    seen: list[str] = []
    raised = False
    try:
        async with Entered() as entered:
            await entered.enter(told(seen, forgives=forgives))
            raise ValueError("wrong")
    except ValueError:
        raised = True
    assert (seen, raised) == (["entered", "wrong", "left"], not forgives)
