"""The terminal of a run: written until its outcome is known, and counted once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pytest

from midstream.errors import StoreUnavailableError
from midstream.ids import MessageId, RunId, SessionId
from midstream.protocol.chunks import FinishChunk
from midstream.sessions.runs.terminal import close_request, write_terminal, write_terminal_within
from midstream.store.calls import Appended, AppendStatus, RunKey
from midstream.store.records import RunInfo, RunOutcome, RunState, Trigger
from midstream.telemetry import RUNS_ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.store.calls import CloseRun

pytestmark = pytest.mark.anyio

KEY = RunKey(session_id=SessionId("chat-1"), run_id=RunId("run_1"), fence=1)
RUN = RunInfo(
    id=RunId("run_1"),
    state=RunState.OPEN,
    message_id=MessageId("m1"),
    user_message_id=MessageId("u1"),
    trigger=Trigger.SUBMIT,
)
CLOSING = close_request(
    KEY,
    RUN,
    [FinishChunk()],
    first=4,
    outcome=RunOutcome.FINISHED,
    message=None,
    reconnect_window_s=60,
)
AWAY = None


class Store:
    """Answers each close with the next given status, or `AWAY`; the last one repeats."""

    def __init__(self, answers: Sequence[AppendStatus | None]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def close_run(self, request: CloseRun) -> Appended:
        """Answer the next."""
        self.asked += 1
        status = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if status is AWAY:
            raise StoreUnavailableError("away")
        return Appended(status=status, next=5)


def counted() -> float:
    """The number of finished runs that this process has counted."""
    return float(RUNS_ENDED.labels(RunOutcome.FINISHED)._value.get())


@pytest.mark.parametrize(
    ("answers", "status", "count"),
    [
        ([AppendStatus.APPENDED], AppendStatus.APPENDED, 1),
        ([AWAY, AppendStatus.APPENDED], AppendStatus.APPENDED, 1),
        ([AWAY, AppendStatus.DUPLICATE], AppendStatus.DUPLICATE, 1),
        ([AppendStatus.FENCED], AppendStatus.FENCED, 0),
        ([AWAY, AppendStatus.GONE], AppendStatus.GONE, 0),
        ([AppendStatus.NEWER], AppendStatus.NEWER, 0),
        ([AWAY], None, 0),
    ],
)
async def test_end_is_counted_by_whoever_has_stored_it(
    answers: list[AppendStatus | None],
    status: AppendStatus | None,
    count: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, also if the answer to the attempt that stored it was lost; and logged as what it is."""
    before = counted()
    with caplog.at_level(logging.INFO, "midstream.sessions.runs.terminal"):
        answer = await write_terminal_within(0.2, cast("Any", Store(answers)), CLOSING)

    assert (None if answer is None else answer.status) is status
    assert counted() - before == count
    (line,) = caplog.messages
    assert line.split()[0] == ("run_ended" if count else "run_not_ended")
    assert "run=run_1 session=chat-1 outcome=finished chunks=5" in line


async def test_worker_that_repeats_its_end_is_not_counted_again() -> None:
    """Its first request was."""
    before = counted()
    store = Store([AppendStatus.APPENDED, AppendStatus.DUPLICATE])
    for _ in range(2):
        await write_terminal(cast("Any", store), CLOSING)

    assert counted() - before == 1


async def test_worker_hears_at_once_that_redis_is_away() -> None:
    """It tries again by itself."""
    store = Store([AWAY])
    with pytest.raises(StoreUnavailableError):
        await write_terminal(cast("Any", store), CLOSING)
    assert store.asked == 1
