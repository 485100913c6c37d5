"""Runs that this process produces, for the views of their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk


class LiveRun(Protocol):
    """Producer of a run, for the followers of the run."""

    @property
    def fenced_off(self) -> bool:
        """Whether the run is another producer's by now, or gone."""
        ...

    def state(self) -> tuple[list[AnyChunk], int]:
        """Return the message as committed so far, and the sequence that it includes.

        The message is told as by `Assembler.replay`; the sequence is -1 before the first.
        """
        ...

    def stop(self, by: str) -> None:
        """End the run: a stop was recorded."""
        ...

    def steered(self) -> None:
        """Note that a message for the run was recorded."""
        ...


class LiveRuns:
    """The runs of this process, by id.

    The registry of runs adds and removes; views look. A run stays until its view has heard of
    its end, a moment longer than it is produced.
    """

    def __init__(self) -> None:
        self._runs: dict[RunId, LiveRun] = {}

    def add(self, run_id: RunId, run: LiveRun) -> None:
        """Add a run; one that was produced here before, and is fenced off, gives way."""
        self._runs[run_id] = run

    def remove(self, run_id: RunId, run: LiveRun) -> None:
        """Remove a run, unless another producer of it has taken its place."""
        if self._runs.get(run_id) is run:
            del self._runs[run_id]

    def get(self, run_id: RunId) -> LiveRun | None:
        """Return a run's producer; None if another process has it."""
        return self._runs.get(run_id)
