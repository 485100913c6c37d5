"""The story of a session: its records, one after another, become events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.protocol.chunks import (
    ReasoningDeltaChunk,
    TextDeltaChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.salvage import readable_lines
from midstream.sessions.diagnosis.events import MetFailure, ToldEvent, event
from midstream.sessions.stopping import BY_A_NEW_SEND
from midstream.store.records import (
    ChunksRecord,
    QueueRecord,
    RunOutcome,
    RunRecord,
    RunState,
    SteerRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from midstream.ids import MessageId, RunId
    from midstream.protocol.chunks import AnyChunk
    from midstream.store.records import LogEntry, RunInfo

SILENT_MS: Final = 10_000
"""A pause that a person takes for silence."""

SLOW_STOP_MS: Final = 2_000
"""A stop that a person takes for one that does not work."""

BYTES_A_TOKEN: Final = 4

_OVER: Final = (
    ToolInputErrorChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)


def ms_of(offset: str) -> int:
    """Return when a record was written, by the time of Redis."""
    return int(offset.partition("-")[0])


class _Answer:
    """One run, as far as its records have come."""

    def __init__(self, run: RunInfo, at_ms: int) -> None:
        self.run = run
        self.began = run.started_at_ms or at_ms
        self.newest = at_ms
        self.spoke = False
        self.stop_at: int | None = None
        self.said_after_stop = 0
        self.calls: dict[str, str] = {}

    def silence(self, until: int, *, still: bool = False) -> ToldEvent | None:
        """Return the silence before a moment, if it was one."""
        seconds = _seconds(until - self.newest)
        if until - self.newest < SILENT_MS:
            return None
        code, at = "still_silent" if still else "silence", self.newest
        if not self.calls:
            return event(at, code, self.run.id, failure=MetFailure.SILENT_AGENT, seconds=seconds)
        return event(
            at,
            f"{code}_in_tool",
            self.run.id,
            failure=MetFailure.SILENT_AGENT,
            seconds=seconds,
            tool=list(self.calls.values())[-1],
        )

    def take(self, chunks: Iterable[AnyChunk]) -> None:
        for chunk in chunks:
            if isinstance(chunk, ToolInputStartChunk | ToolInputAvailableChunk):
                self.calls[chunk.tool_call_id] = chunk.tool_name
            elif isinstance(chunk, _OVER):
                self.calls.pop(chunk.tool_call_id, None)
            elif self.stop_at is None:
                continue
            elif isinstance(chunk, TextDeltaChunk | ReasoningDeltaChunk):
                self.said_after_stop += len(chunk.delta)
            elif isinstance(chunk, ToolInputDeltaChunk):
                self.said_after_stop += len(chunk.input_text_delta)


class Story:
    """Takes a log's records in order.

    Attributes:
        events: what happened so far.
    """

    def __init__(self) -> None:
        self.events: list[ToldEvent] = []
        self._open: dict[RunId, _Answer] = {}
        self._waiting: tuple[MessageId, ...] = ()
        self._paused: str | None = None
        self._unsent: set[MessageId] = set()

    def take(self, entry: LogEntry) -> None:
        """Take a record; those of other kinds tell nothing."""
        at_ms, record = ms_of(entry.offset), entry.record
        if isinstance(record, ChunksRecord):
            self._take_chunks(at_ms, record)
        elif isinstance(record, RunRecord):
            self._take_run(at_ms, record.run)
        elif isinstance(record, QueueRecord):
            self._take_queue(at_ms, record)
        elif isinstance(record, SteerRecord) and record.outcome.startswith("not-delivered"):
            self._tell(at_ms, "not_delivered", record.run_id, failure=MetFailure.TRAPPED_USER)

    def end(self, now_ms: int) -> list[ToldEvent]:
        """Return all events, with the silences that last until now, oldest first."""
        for answer in self._open.values():
            if answer.run.state is not RunState.WAITING:
                self._note(answer.silence(now_ms, still=True))
        return sorted(self.events, key=lambda each: each.at_ms)

    def _note(self, found: ToldEvent | None) -> None:
        if found is not None:
            self.events.append(found)

    def _tell(
        self,
        at_ms: int,
        code: str,
        run_id: RunId | None = None,
        *,
        failure: MetFailure | None = None,
        **params: str | float,
    ) -> None:
        self.events.append(event(at_ms, code, run_id, failure=failure, **params))

    def _take_chunks(self, at_ms: int, record: ChunksRecord) -> None:
        answer = self._open.get(record.run_id)
        if answer is None:
            return  # its opening was trimmed
        self._note(answer.silence(at_ms))
        answer.newest = at_ms
        if not answer.spoke and record.first + record.count > 1:
            answer.spoke = True
            seconds = _seconds(at_ms - answer.began)
            self._tell(at_ms, "first_chunk", record.run_id, seconds=seconds)
        if answer.stop_at is not None or b'"toolCallId"' in record.payload:
            answer.take(readable_lines(record.payload)[0])

    def _take_run(self, at_ms: int, run: RunInfo) -> None:
        answer = self._open.get(run.id)
        if answer is None:
            if run.state is RunState.ENDED:
                return
            answer = self._open[run.id] = _Answer(run, at_ms)
            self._tell(at_ms, "run_opened", run.id, agent=run.agent or "An agent")
        answer.run = run
        if run.state is RunState.STOPPING and answer.stop_at is None:
            answer.stop_at = at_ms
            code = "gave_way" if run.stopped_by == BY_A_NEW_SEND else "stop_requested"
            self._tell(at_ms, code, run.id)
        elif run.state is RunState.ENDED:
            del self._open[run.id]
            self._note(answer.silence(at_ms))
            self._take_end(at_ms, answer)

    def _take_end(self, at_ms: int, answer: _Answer) -> None:
        run, seconds = answer.run, _seconds(at_ms - answer.began)
        if answer.stop_at is not None and run.outcome is RunOutcome.STOPPED:
            took = at_ms - answer.stop_at
            self._tell(
                at_ms,
                "stopped",
                run.id,
                failure=MetFailure.TRAPPED_USER if took > SLOW_STOP_MS else None,
                seconds=_seconds(took),
                tokens=-(-answer.said_after_stop // BYTES_A_TOKEN),
            )
        elif run.outcome is RunOutcome.INTERRUPTED:
            self._tell(
                at_ms, "interrupted", run.id, failure=MetFailure.DROPPED_SESSION, seconds=seconds
            )
        elif run.outcome in (RunOutcome.FINISHED, RunOutcome.FAILED):
            self._tell(at_ms, str(run.outcome), run.id, seconds=seconds)
        else:
            self._tell(at_ms, "ended", run.id, seconds=seconds, outcome=str(run.outcome))

    def _take_queue(self, at_ms: int, record: QueueRecord) -> None:
        waiting = len(record.order)
        if record.paused is not None and waiting and record.paused != self._paused:
            code = "queue_stopped" if record.paused == "stopped" else "queue_failed"
            self._tell(at_ms, code, failure=MetFailure.TRAPPED_USER, waiting=waiting)
        elif set(record.order) - set(self._waiting):
            self._tell(at_ms, "queued", waiting=waiting)
        for message, _ in record.unsent:
            if message not in self._unsent:
                self._unsent.add(message)
                self._tell(at_ms, "not_answered", failure=MetFailure.TRAPPED_USER)
        self._waiting, self._paused = record.order, record.paused


def _seconds(milliseconds: int) -> float:
    """Return seconds as people say them: tenths only of short times."""
    seconds = max(0, milliseconds) / 1000
    return round(seconds, 1) if seconds < 10 else round(seconds)
