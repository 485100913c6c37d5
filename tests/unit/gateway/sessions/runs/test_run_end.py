"""The end of a run: the first cause decides the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest

from midstream.agents.base import AgentTraits
from midstream.errors import AgentError
from midstream.ids import RunId, SessionId
from midstream.protocol.chunks import (
    AbortChunk,
    ErrorChunk,
    FinishChunk,
    StartChunk,
    TextStartChunk,
)
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.runs.run_end import Cause, RunEnd
from midstream.sessions.sentences import INTERNAL_SENTENCE
from midstream.store.calls import RunKey
from midstream.store.records import RunOutcome

KEY = RunKey(session_id=SessionId("chat-1"), run_id=RunId("run_1"), fence=1)

Step: TypeAlias = Callable[[RunEnd], object]


def aborts(end: RunEnd) -> None:
    """The agent gives up by itself."""
    with pytest.raises(asyncio.CancelledError):
        end.take_envelope(AbortChunk(reason="enough"))


def stops(end: RunEnd) -> bool:
    """A person stops the run."""
    return end.take(Cause.STOPPED)


def is_interrupted(end: RunEnd) -> bool:
    """Something here is in the way."""
    return end.take(Cause.INTERRUPTED, "Restarting.")


def finishes(end: RunEnd) -> None:
    """The agent has all it wanted."""
    end.take_envelope(FinishChunk(finish_reason="stop"))


def breaks_off(end: RunEnd) -> None:
    """The provider's response ends without its last event."""
    end.take_envelope(FinishChunk(finish_reason="interrupted"))


def fails(end: RunEnd) -> None:
    """Fails with a sentence of the agent's."""
    end.take_error(AgentError("No."))


@pytest.mark.parametrize(
    ("steps", "outcome", "last"),
    [
        ((), RunOutcome.FINISHED, FinishChunk),
        ((finishes,), RunOutcome.FINISHED, FinishChunk),
        ((breaks_off,), RunOutcome.INTERRUPTED, FinishChunk),
        ((fails,), RunOutcome.FAILED, ErrorChunk),
        ((finishes, fails), RunOutcome.FAILED, ErrorChunk),
        ((aborts,), RunOutcome.STOPPED, AbortChunk),
        ((aborts, fails), RunOutcome.FAILED, ErrorChunk),
        ((stops,), RunOutcome.STOPPED, AbortChunk),
        ((stops, is_interrupted), RunOutcome.STOPPED, AbortChunk),
        ((is_interrupted,), RunOutcome.INTERRUPTED, ErrorChunk),
        ((is_interrupted, stops), RunOutcome.INTERRUPTED, ErrorChunk),
    ],
    ids=lambda value: "-".join(s.__name__ for s in value) if isinstance(value, tuple) else None,
)
def test_first_cause_of_an_end_decides_its_outcome(
    steps: tuple[Step, ...], outcome: RunOutcome, last: type
) -> None:
    """Open parts are closed first; then comes the chunk of the outcome."""
    end = RunEnd(KEY)
    for step in steps:
        step(end)
    writer = ChunkWriter("m1")
    for chunk in (StartChunk(message_id="m1"), TextStartChunk(id="t")):
        writer.write(chunk)

    told, closing = end.closing(writer, AgentTraits(), ())

    assert told is outcome
    kinds = [type(chunk).__name__ for chunk in closing]
    assert kinds[0] == "TextEndChunk"
    assert last.__name__ in kinds
    assert end.finished is (steps in ((), (finishes,), (breaks_off,)))
    assert end.by_agent is (end.finished or steps == (aborts,))


@pytest.mark.parametrize("earlier", list(Cause))
def test_run_can_be_lost_after_every_other_cause(earlier: Cause) -> None:
    """Another producer writes it: ours writes nothing, whatever it was about to."""
    end = RunEnd(KEY)
    if earlier is not Cause.AGENT:
        end.take(earlier)
    assert end.take(Cause.LOST)
    assert end.cause is Cause.LOST


def test_bug_of_an_agent_is_told_by_a_general_sentence() -> None:
    """Its words may hold anything."""
    end = RunEnd(KEY)
    end.take_error(ValueError("sk-secret"))
    assert end.failure == INTERNAL_SENTENCE


def test_error_chunk_of_an_agent_is_its_failure() -> None:
    """Raised where the agent yields it, so that nothing after it is taken."""
    with pytest.raises(AgentError, match="Out of tokens"):
        RunEnd(KEY).take_envelope(ErrorChunk(error_text="Out of tokens."))
