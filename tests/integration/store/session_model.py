"""A reference model of a session with several open runs, from the store's contract alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from midstream.store.calls import AppendStatus, OpenStatus, StopStatus, WaitStatus
from midstream.store.records import RunOutcome, RunState

MOST_SIDE_RUNS = 8


@dataclass
class ModelRun:
    """A run. `due`: its lease, or its wait, has ended."""

    id: str
    side: bool
    state: RunState
    due: bool
    fence: int = 1
    next: int = 0
    claimant: str = ""
    outcome: RunOutcome | None = None
    stopped: bool = False

    @property
    def ended(self) -> bool:
        return self.state is RunState.ENDED

    @property
    def produced(self) -> bool:
        return self.state in {RunState.OPEN, RunState.STOPPING}


@dataclass
class ModelSession:
    """A session: its runs, the main one, the head, and whether format 3 was needed."""

    runs: dict[str, ModelRun] = field(default_factory=dict)
    main: ModelRun | None = None
    head: str | None = None
    raised: bool = False

    @property
    def open_main(self) -> ModelRun | None:
        return None if self.main is None or self.main.ended else self.main

    @property
    def beside(self) -> list[ModelRun]:
        return [run for run in self.runs.values() if run.side and not run.ended]

    @property
    def open_runs(self) -> list[ModelRun]:
        return ([self.open_main] if self.open_main else []) + self.beside

    def _is_in_lane(self, run: ModelRun) -> bool:
        return run is self.main or (run.side and not run.ended)

    def open(self, run: str, asked: str, *, side: bool, waits: bool, due: bool) -> OpenStatus:
        """Open a run that answers `asked`: a new message, or for a side run the head."""
        if side and self.head is None:
            return OpenStatus.STALE
        if side and len(self.beside) == MOST_SIDE_RUNS:
            return OpenStatus.FULL
        if not side and self.open_main is not None:
            return OpenStatus.ORPHAN if self.open_main.due else OpenStatus.ACTIVE
        made = ModelRun(run, side, RunState.WAITING if waits else RunState.OPEN, due)
        self.runs[run] = made
        self.raised |= side or waits
        if not side:
            self.main, self.head = made, asked
        return OpenStatus.OPENED

    def append(self, run: ModelRun, fence: int, first: int, count: int) -> AppendStatus:
        if not self._is_in_lane(run) or fence != run.fence:
            return AppendStatus.FENCED
        after = first + count
        if first == run.next and run.produced:
            run.next = after
            return AppendStatus.APPENDED
        if after <= run.next:
            return AppendStatus.DUPLICATE
        return AppendStatus.GAP if run.produced else AppendStatus.FENCED

    def close(
        self, run: ModelRun, fence: int, first: int, outcome: RunOutcome, answer: str
    ) -> AppendStatus:
        """Close a run with one more chunk, and with its message."""
        if run.ended:
            same = (fence, outcome) == (run.fence, run.outcome)
            return AppendStatus.DUPLICATE if same else AppendStatus.FENCED
        if fence != run.fence:
            return AppendStatus.FENCED
        if first > run.next:
            return AppendStatus.GAP
        run.next = max(run.next, first + 1)
        run.state, run.outcome = RunState.ENDED, outcome
        if not run.side:
            self.head = answer
        return AppendStatus.APPENDED

    def take_over(self, run: ModelRun, *, force: bool, due: bool) -> int | None:
        """Return the new fence; `due`: of the lease that is asked for."""
        if run.ended or (force and not run.produced) or not (force or run.due):
            return None
        run.fence += 1
        run.due, run.claimant = due, ""
        return run.fence

    def renew(self, run: ModelRun, fence: int, *, due: bool) -> bool:
        held = run.produced and fence == run.fence
        if held:
            run.due = due
        return held

    def wait(self, run: ModelRun, fence: int, *, due: bool) -> WaitStatus:
        if run.state is RunState.WAITING and run.fence == fence + 1:
            return WaitStatus.WAITING
        if run.ended or fence != run.fence:
            return WaitStatus.FENCED
        if run.state is RunState.STOPPING:
            return WaitStatus.STOPPING
        run.state, run.due, run.claimant = RunState.WAITING, due, ""
        run.fence += 1
        self.raised = True
        return WaitStatus.WAITING

    def claim(self, run: ModelRun, claimant: str, *, due: bool) -> int | None:
        """Return the fence that the claimant has."""
        if run.state is RunState.WAITING:
            run.state, run.due, run.claimant = RunState.OPEN, due, claimant
            run.fence += 1
        return run.fence if not run.ended and run.claimant == claimant else None

    def stop(self, run: ModelRun | None) -> list[tuple[StopStatus, str]]:
        """Stop one run; None: all that are under way."""
        stopped = [each for each in self.open_runs if run is None or each is run]
        for each in stopped:
            if each.state is RunState.WAITING:
                each.due = True  # it has nobody to end it
            each.state, each.stopped = RunState.STOPPING, True
        return [
            (StopStatus.ORPHAN if each.due else StopStatus.STOPPING, each.id) for each in stopped
        ]
