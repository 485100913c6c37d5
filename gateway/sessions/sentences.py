"""Sentences of the sessions, each written once.

`*_SENTENCE` is the error of a run's end: people read it in the chat. The others refuse a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from midstream.errors import NotRecoveredError, RunActiveError, RunEndedError, RunNotFoundError
from midstream.protocol.batch import ChunkBatch
from midstream.protocol.chunks import FinishChunk
from midstream.protocol.codec import decode

if TYPE_CHECKING:
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk
    from midstream.store.records import RunInfo

# -- ends of a run ------------------------------------------------------------------------------

INTERNAL_SENTENCE: Final = "The answer failed because of an internal error. Send it again."
RESTART_SENTENCE: Final = (
    "The answer was interrupted because the server is restarting. Send it again."
)
OUTAGE_SENTENCE: Final = (
    "The answer was interrupted because the session log could not be reached. Send it again."
)
DIVERGED_SENTENCE: Final = "The answer could not be resumed. Send it again."
ORPHAN_SENTENCE: Final = (
    "The answer was interrupted because the process that produced it stopped. Send it again."
)
UNREADABLE_SENTENCE: Final = (
    "The answer was interrupted because a part of it could not be read. Send it again."
)
LEFT_SENTENCE: Final = (
    "The answer was interrupted because the program that wrote it stopped. Send it again."
)

UNANSWERED_SENTENCE: Final = "Nobody answered in time. Send it again."
UNSENT_SENTENCE: Final = "This message was taken out of the queue before it was answered."

# -- ends of a reader, whose run may continue ----------------------------------------------------

LOG_UNREADABLE: Final = (
    "unable to reach the session's log; the answer may continue without you. Load the session again"
)
LOG_LOST: Final = "unable to continue this answer; its session was deleted or lost"
PART_LOST: Final = (
    "unable to continue this answer; a part of what was shown is lost. Load the session again"
)

# -- notes to a run's readers ---------------------------------------------------------------------


def _note(code: str, text: str) -> ChunkBatch:
    return ChunkBatch.aggregate([_status(code, text)], -1)


def _status(code: str, text: str) -> AnyChunk:
    status = {"type": "data-status", "data": {"code": code, "text": text}, "transient": True}
    return decode(msgspec.json.encode(status))


AWAITS_ATTEMPT: Final = _note("awaits_attempt", "Waiting for another attempt.")
"""The run's producer is silent, and its job is tried again."""

ATTEMPT_BEGAN: Final = _note("attempt_began", "")
"""Takes `AWAITS_ATTEMPT` back."""

WAITING: Final = _note("waiting", "Waiting for an answer.")
"""The run waits for somebody who will answer."""

WAIT_ENDED: Final = _note("wait_ended", "")
"""Takes `WAITING` back."""

_NOTES: Final = (AWAITS_ATTEMPT, ATTEMPT_BEGAN, WAITING, WAIT_ENDED)

STILL_WAITING: Final = ChunkBatch.aggregate(
    [
        _status("still_waiting", "Still waiting. The answer will be here when you come back."),
        FinishChunk(),
    ],
    -1,
)
"""End of a response whose answer has not begun in time. Without `start`, clients add no message."""

# -- refusals -------------------------------------------------------------------------------------

PARALLEL: Final = (
    "unable to make two calls of one run at once; wait for the other, or give this one no "
    "x-midstream-session"
)
STOPPED: Final = "unable to continue this run; it was stopped. Begin another"


def is_note(batch: ChunkBatch) -> bool:
    """Whether a batch is none of the run's: a reader that counts chunks must not get it."""
    return any(batch is note for note in _NOTES)


def run_active(run: RunInfo) -> RunActiveError:
    """Return the error of a send that meets an open run."""
    return RunActiveError(
        "unable to send while an answer is being written; wait for it, stop it, or send with "
        '"onActive": "interrupt"',
        runId=run.id,
        messageId=run.message_id,
    )


def not_recovered(run_id: RunId) -> NotRecoveredError:
    """Return the error of a reader whose next chunks are not kept any more."""
    return NotRecoveredError(
        "unable to continue this answer; its parts are no longer kept. Load the session's messages",
        run_id=run_id,
    )


def run_not_found() -> RunNotFoundError:
    """Return the error of a request for a run that the session does not have."""
    return RunNotFoundError("unable to find this run; the session does not have it")


def run_ended(run: RunInfo, next_sequence: int) -> RunEndedError:
    """Return the error of a write to an ended run."""
    return RunEndedError(
        "unable to write this run; it has ended", outcome=str(run.outcome), next=next_sequence
    )
