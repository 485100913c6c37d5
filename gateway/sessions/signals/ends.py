"""What is counted at the end of a reader, and at the end of a run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from midstream.store.records import RunState
from midstream.telemetry import (
    FIRST_CHUNK_SECONDS,
    LEFT_WHILE_RUNNING,
    NAMED_AGENTS,
    RUN_SECONDS,
    RUN_SILENCE_SECONDS,
    TOKENS,
    TOKENS_AFTER_STOP,
)

if TYPE_CHECKING:
    from midstream.agents.base import AgentRequest
    from midstream.sessions.signals.pace import RunPace
    from midstream.store.records import RunInfo


class CountedRun(Protocol):
    """A run as this process follows it."""

    info: RunInfo
    pace: RunPace
    readers: int
    lost: bool

    @property
    def ended(self) -> bool:
        """Whether its terminal is committed."""
        ...


class ReaderSpan:
    """The time in which one reader reads a run."""

    __slots__ = ("_began",)

    def __init__(self, view: CountedRun) -> None:
        # Who comes after the end reads what was said, and waits for nothing.
        self._began = None if view.ended else time.monotonic()

    def end(self, view: CountedRun, *, has_all: bool, is_sent_away: bool) -> None:
        """Count the reader's end; it is no reader of `view` any more.

        Args:
            has_all: it was given all that there is.
            is_sent_away: to another gateway, and not by its client.
        """
        if self._began is None:
            return
        pace, agent = view.pace, NAMED_AGENTS.agent(view.info.agent)
        ended = view.ended and has_all
        silence = pace.longest_silence(self._began, time.monotonic(), ended=ended)
        RUN_SILENCE_SECONDS.labels(agent).observe(silence)
        if not (view.ended or view.lost or view.readers or is_sent_away):
            LEFT_WHILE_RUNNING.inc()


def count_run(view: CountedRun, request: AgentRequest) -> None:
    """Count a run that has ended, where it was produced."""
    run, pace, usage = view.info, view.pace, request.spent.usage
    agent = NAMED_AGENTS.agent(run.agent)
    if pace.first is not None:
        FIRST_CHUNK_SECONDS.labels(agent).observe(pace.first - pace.began)
    if run.state is RunState.ENDED and run.ended_at_ms is not None and run.started_at_ms:
        duration_s = (run.ended_at_ms - run.started_at_ms) / 1000
        RUN_SECONDS.labels(agent, run.outcome or "").observe(max(0.0, duration_s))
    if pace.tokens_after_stop:
        TOKENS_AFTER_STOP.inc(pace.tokens_after_stop)
    if usage is not None:
        name = NAMED_AGENTS.model(run.agent, request.model)
        TOKENS.labels(agent, name, "in").inc(usage.input_tokens or 0)
        TOKENS.labels(agent, name, "out").inc(usage.output_tokens or 0)
