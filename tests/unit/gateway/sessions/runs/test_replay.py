"""What a resumed agent says again, beside what the log holds."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.agents.base import Interrupted
from midstream.errors import AgentError
from midstream.protocol.chunks import (
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    StartChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
)
from midstream.protocol.deltas import joined
from midstream.sessions.runs.replay import Replay, StoredMemory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.sessions.runs.lane import Lane
    from midstream.store.contract import SessionStore

THOUGHT, TEXT = "Weigh it first.", "It is blue, as ever."
CUTS = st.lists(st.integers(0, 20), max_size=6)


def cut(text: str, at: Sequence[int]) -> list[str]:
    """Cut a text at places; no piece is empty."""
    places = sorted({place for place in at if 0 < place < len(text)})
    return [text[a:b] for a, b in pairwise([0, *places, len(text)])]


def answer(thought_at: Sequence[int], text_at: Sequence[int]) -> list[AnyChunk]:
    """Return one answer, its deltas cut at those places."""
    return [
        ReasoningStartChunk(id="0"),
        *(ReasoningDeltaChunk(id="0", delta=piece) for piece in cut(THOUGHT, thought_at)),
        ReasoningEndChunk(id="0"),
        TextStartChunk(id="0"),
        *(TextDeltaChunk(id="0", delta=piece) for piece in cut(TEXT, text_at)),
        TextEndChunk(id="0"),
    ]


def replay_of(log: Sequence[AnyChunk]) -> Replay:
    start = StartChunk(message_id="m")
    return Replay(Interrupted(chunks=[start, *log], next=1, point=b"p"), "m", None)


@given(CUTS, CUTS, CUTS, CUTS, st.integers(0, 20), st.integers(1, 9))
def test_text_that_is_cut_in_other_places_is_not_written_twice(
    logged_thought: list[int],
    logged_text: list[int],
    thought: list[int],
    text: list[int],
    held: int,
    at_once: int,
) -> None:
    """The log's chunks and those that are new make the answer, wherever either was cut."""
    log = answer(logged_thought, logged_text)[:held]
    again = answer(thought, text)
    replay = replay_of(log)
    new: list[AnyChunk] = []
    for place in range(0, len(again), at_once):
        chunks = again[place : place + at_once]
        new += replay.pass_over(chunks)
    assert replay.is_complete
    assert list(joined([*log, *new])) == answer([], [])


@given(CUTS, CUTS, st.integers(0, 19))
def test_text_that_differs_ends_the_run(logged: list[int], said: list[int], at: int) -> None:
    """In any character that the log holds."""
    other = TEXT[:at] + "#" + TEXT[at + 1 :]
    again = [TextDeltaChunk(id="0", delta=piece) for piece in cut(other, said)]
    log = [TextDeltaChunk(id="0", delta=piece) for piece in cut(TEXT, logged)]
    with pytest.raises(AgentError):
        replay_of(log).pass_over(again)


def test_text_of_another_part_ends_the_run() -> None:
    """Also if it is the same text."""
    with pytest.raises(AgentError):
        replay_of([TextDeltaChunk(id="0", delta="ab")]).pass_over(
            [TextDeltaChunk(id="0", delta="a"), TextDeltaChunk(id="1", delta="b")]
        )


def test_agent_that_ends_in_the_middle_of_a_delta_has_not_repeated_the_log() -> None:
    """The run is told from one that was repeated whole."""
    replay = replay_of([TextDeltaChunk(id="0", delta="ab")])
    assert list(replay.pass_over([TextDeltaChunk(id="0", delta="a")])) == []
    assert not replay.is_complete


def memory_of(replay: Replay) -> StoredMemory:
    """Return a memory whose run has nothing pending, and whose points go nowhere."""
    return StoredMemory(
        cast("Lane", None),
        cast("SessionStore", None),
        interrupted=None,
        replay=replay,
        limit_s=1,
    )


def test_required_point_within_a_delta_ends_the_run() -> None:
    """All before one is in the log when it is kept: the agent was not there the first time."""
    replay = replay_of([TextDeltaChunk(id="0", delta="ab")])
    replay.pass_over([TextDeltaChunk(id="0", delta="a")])
    with pytest.raises(AgentError):
        asyncio.run(memory_of(replay).remember(b"within"))
