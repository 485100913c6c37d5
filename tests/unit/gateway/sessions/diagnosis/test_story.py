"""The story of a session: which sentences its records become."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

import pytest
from msgspec import Raw
from msgspec.structs import replace

from midstream.ids import MessageId, RunId
from midstream.protocol.chunks import (
    StartChunk,
    TextDeltaChunk,
    ToolInputAvailableChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
)
from midstream.protocol.codec import encode_lines
from midstream.sessions.diagnosis.events import SENTENCES
from midstream.sessions.diagnosis.story import Story
from midstream.store.records import (
    ChunksRecord,
    LogEntry,
    QueueRecord,
    Record,
    RunInfo,
    RunOutcome,
    RunRecord,
    RunState,
    SteerRecord,
    Trigger,
    UnknownRecord,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk

RUN: Final = RunInfo(
    id=RunId("run_1"),
    state=RunState.OPEN,
    message_id=MessageId("m"),
    user_message_id=MessageId("u"),
    trigger=Trigger.SUBMIT,
    agent="support",
)
T: Final = 1_700_000_000_000
_sequences = count()


def said(*chunks: AnyChunk, first: int = 1, run: RunId = RUN.id) -> ChunksRecord:
    return ChunksRecord(
        run_id=run, first=first, count=len(chunks), level=5, payload=encode_lines(chunks)
    )


def state(name: RunState, outcome: RunOutcome | None = None, by: str | None = None) -> RunRecord:
    return RunRecord(run=replace(RUN, state=name, outcome=outcome, stopped_by=by))


def queue(*order: str, paused: str | None = None, unsent: Sequence[str] = ()) -> QueueRecord:
    return QueueRecord(
        paused=paused,
        waits_for=None,
        order=tuple(map(MessageId, order)),
        unsent=tuple((MessageId(each), "agent_not_found") for each in unsent),
        entry=None,
    )


OPEN, STOPPING, ENDED = RunState.OPEN, RunState.STOPPING, RunState.ENDED
START: Final = said(StartChunk(message_id="m"), first=0)
WORDS: Final = said(TextDeltaChunk(id="t", delta="12345678"))
CALL: Final = said(
    ToolInputStartChunk(tool_call_id="c", tool_name="search"),
    ToolInputAvailableChunk(tool_call_id="c", tool_name="search", input=Raw(b"{}")),
)
RESULT: Final = said(ToolOutputAvailableChunk(tool_call_id="c", output=Raw(b"{}")))
FINISHED: Final = state(ENDED, RunOutcome.FINISHED)

STORIES: Final[dict[str, tuple[list[tuple[float, Record]], float, list[str]]]] = {
    "a good answer": (
        [(0, state(OPEN)), (0, START), (1.5, WORDS), (9, FINISHED)],
        60,
        [
            "run_opened - support began to answer.",
            "first_chunk - The first words came after 1.5 s.",
            "finished - The answer ended after 9.0 s.",
        ],
    ),
    "a silent model": (
        [(0, state(OPEN)), (0, START), (38, WORDS), (60, WORDS), (61, FINISHED)],
        99,
        [
            "run_opened - support began to answer.",
            "silence silent-agent No word for 38 s.",
            "first_chunk - The first words came after 38 s.",
            "silence silent-agent No word for 22 s.",
            "finished - The answer ended after 61 s.",
        ],
    ),
    "a slow tool": (
        [(0, state(OPEN)), (1, CALL), (39, RESULT), (51, WORDS), (52, FINISHED)],
        99,
        [
            "run_opened - support began to answer.",
            "first_chunk - The first words came after 1.0 s.",
            "silence_in_tool silent-agent No word for 38 s while the model called `search`.",
            "silence silent-agent No word for 12 s.",
            "finished - The answer ended after 52 s.",
        ],
    ),
    "a silence that lasts": (
        [(0, state(OPEN)), (0, START)],
        31,
        [
            "run_opened - support began to answer.",
            "still_silent silent-agent No word for 31 s, and the answer is still open.",
        ],
    ),
    "a tool that hangs": (
        [(0, state(OPEN)), (1, CALL)],
        31,
        [
            "run_opened - support began to answer.",
            "first_chunk - The first words came after 1.0 s.",
            "still_silent_in_tool silent-agent No word for 30 s while the model calls `search`; "
            "the answer is still open.",
        ],
    ),
    "an answer that waits for a person": ([(0, state(RunState.WAITING))], 900, ["run_opened"]),
    "a stop": (
        [
            (0, state(OPEN)),
            (1, WORDS),
            (2, state(STOPPING, by="ann")),
            (2.2, state(ENDED, RunOutcome.STOPPED)),
        ],
        60,
        [
            "run_opened - support began to answer.",
            "first_chunk - The first words came after 1.0 s.",
            "stop_requested - A person pressed Stop.",
            "stopped - The answer ended 0.2 s after the stop; 0 more tokens were written.",
        ],
    ),
    "a stop that does not work": (
        [
            (0, state(OPEN)),
            (1, state(STOPPING, by="interrupt")),
            (3, WORDS),
            (5, state(ENDED, RunOutcome.STOPPED)),
        ],
        60,
        [
            "run_opened",
            "gave_way - It gave way to a new message.",
            "first_chunk",
            "stopped trapped-user The answer ended 4.0 s after the stop; 2 more tokens were "
            "written.",
        ],
    ),
    "an answer that was cut off": (
        [(0, state(OPEN)), (7, state(ENDED, RunOutcome.INTERRUPTED))],
        60,
        [
            "run_opened",
            "interrupted dropped-session The answer was cut off after 7.0 s: what wrote it "
            "stopped.",
        ],
    ),
    "an answer that failed": (
        [(0, state(OPEN)), (7, state(ENDED, RunOutcome.FAILED))],
        60,
        ["run_opened", "failed - The answer ended with an error after 7.0 s."],
    ),
    "an outcome of a later version": (
        [(0, state(OPEN)), (7, state(ENDED, RunOutcome("shelved"))), (8, UnknownRecord(kind="x"))],
        60,
        ["run_opened", "ended - The answer ended after 7.0 s (shelved)."],
    ),
    "a queue that stands still": (
        [
            (0, queue("u2")),
            (1, queue("u2", "u3")),
            (2, queue("u2", "u3", paused="stopped")),
            (3, queue("u2", "u3", paused="stopped")),
            (4, queue("u3", "u4", paused="failed", unsent=["u2"])),
            (5, queue("u4", unsent=["u2"])),
        ],
        60,
        [
            "queued - A message waits for its turn; 1 wait.",
            "queued - A message waits for its turn; 2 wait.",
            "queue_stopped trapped-user The queue stands still since a stop; 2 messages wait.",
            "queue_failed trapped-user The queue stands still since a failure; 2 messages wait.",
            "not_answered trapped-user A queued message will not be answered.",
        ],
    ),
    "a message that came too late": (
        [
            (0, SteerRecord(run_id=RUN.id, id=MessageId("s"), outcome="", entry=None)),
            (
                1,
                SteerRecord(
                    run_id=RUN.id, id=MessageId("s"), outcome="not-delivered finished", entry=None
                ),
            ),
        ],
        60,
        ["not_delivered trapped-user A message for the running answer came too late."],
    ),
    "a log without its beginning": ([(0, WORDS), (30, WORDS), (31, FINISHED)], 60, []),
}


@pytest.mark.parametrize(("records", "now", "told"), STORIES.values(), ids=STORIES)
def test_records_are_told_in_sentences(
    records: list[tuple[float, Record]], now: float, told: list[str]
) -> None:
    """Each failure is named where it occurred, and a good answer names none."""
    story = Story()
    for at, record in records:
        offset = f"{T + int(at * 1000)}-{next(_sequences)}"
        story.take(LogEntry(offset=offset, previous="", record=record))
    events = story.end(T + int(now * 1000))
    lines = [f"{each.code} {each.failure or '-'} {each.text}" for each in events]
    pairs = list(zip(lines, told, strict=True))
    assert [line if " " in due else line.split()[0] for line, due in pairs] == told


def test_every_sentence_is_one_of_a_story() -> None:
    told = {line.split()[0] for _, _, lines in STORIES.values() for line in lines}
    assert told == SENTENCES.keys()
