"""The configured agent gives its model's chunks by call to whoever takes them so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.unit.gateway.agents.model.test_agent import (
    TEXT,
    Provider,
    Step,
    agent,
    call,
    our_tools,
    play,
    request,
    stopped,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk


class Emitted:
    """Takes chunks by call; `fails` at a given one."""

    def __init__(self, fails: Exception | None = None, at: AnyChunk | None = None) -> None:
        self.chunks: list[AnyChunk] = []
        self.rooms = 0
        self._fails = fails
        self._at = at

    def take(self, chunks: Sequence[AnyChunk]) -> bool:
        self.chunks += chunks
        if self._fails is not None and self._at in chunks:
            raise self._fails
        return True

    async def room(self) -> None:
        self.rooms += 1


def test_answer_goes_out_by_call_in_the_order_of_what_is_yielded() -> None:
    """The model's chunks; whoever has no room is waited for after each list."""
    emitted = Emitted()

    async def play_out() -> None:
        chunks, used = call("add")
        steps = Step(chunks, stopped(tool_calls=[used])), Step(TEXT, stopped())
        async for some in agent(Provider(*steps), our_tools()).stream(request(emission=emitted)):
            emitted.chunks += some

    asyncio.run(play_out())
    chunks, used = call("add")
    steps = Step(chunks, stopped(tool_calls=[used])), Step(TEXT, stopped())
    assert emitted.chunks == play(agent(Provider(*steps), our_tools()))
    assert emitted.rooms == len(chunks) + len(TEXT)


def test_error_of_who_takes_the_answer_ends_the_run() -> None:
    """The error passes unchanged; the step ends, and no further chunk is emitted."""
    provider, emitted = Provider(Step(TEXT, stopped())), Emitted(KeyError("bad"), at=TEXT[1])

    async def play_out() -> None:
        async for _ in agent(provider, message_metadata=True).stream(request(emission=emitted)):
            raise AssertionError("nothing was to be yielded")

    with pytest.raises(KeyError, match="bad"):
        asyncio.run(play_out())
    assert (emitted.chunks, provider.open) == (TEXT[:2], 0)
