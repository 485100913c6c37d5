"""Terminal of a run: its closing chunks, its outcome and its message, in one atomic step.

Every run's end is written here: by its producer, by the closer of a dead or broken one, or for the
worker that pushes it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from midstream.aio.backoff import Backoff
from midstream.errors import StoreUnavailableError
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, StartChunk
from midstream.protocol.codec import encode_lines
from midstream.protocol.continuation import waiting_for
from midstream.protocol.messages import UIMessage
from midstream.protocol.vocabulary import level_of_chunks
from midstream.store.calls import AppendStatus, CloseRun, NewMessage
from midstream.store.records import ChunksRecord, RunOutcome
from midstream.telemetry import RUNS_ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.calls import Appended, RunKey
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo

logger = logging.getLogger(__name__)

ENVELOPE: Final = frozenset({StartChunk, FinishChunk, ErrorChunk, AbortChunk})
"""Chunks that begin and end a run. No agent and no worker writes them: the run's opening and its
terminal do."""


_UNDELIVERED: Final = {RunOutcome.FINISHED: "finished", RunOutcome.STOPPED: "aborted"}
"""Outcome -> why a message for the run was not delivered; any other: `error`."""

_WAITING_STATES: Final = (b'"approval-requested"', b'"input-available"')


def close_request(
    key: RunKey,
    run: RunInfo,
    chunks: Sequence[AnyChunk],
    *,
    first: int,
    outcome: RunOutcome,
    message: bytes | None,
    reconnect_window_s: float,
    undelivered: str | None = None,
) -> CloseRun:
    """Put a run's terminal together.

    Args:
        chunks: the closing chunks, with `finish` at the end.
        first: the sequence of the first of them.
        message: the message after them; None leaves the stored one unchanged.
        undelivered: why the run can take up no more messages, if its end does not say it.
    """
    waits_for = _waits_for(message) if outcome is RunOutcome.FINISHED else None
    if waits_for is not None:
        undelivered = "waiting-for-tool-results"
    elif outcome is not RunOutcome.FINISHED or undelivered is None:
        undelivered = _UNDELIVERED.get(outcome, "error")
    return CloseRun(
        key=key,
        chunks=ChunksRecord(
            run_id=key.run_id,
            first=first,
            count=len(chunks),
            level=level_of_chunks(chunks),
            payload=encode_lines(chunks),
        ),
        outcome=outcome,
        message=None
        if message is None
        else NewMessage(
            id=run.message_id,
            parent_id=run.user_message_id,
            content_hash="",
            message=Raw(message),
        ),
        trim_before_ms=int((time.time() - reconnect_window_s) * 1000),
        waits_for=waits_for,
        undelivered=undelivered,
    )


def _waits_for(message: bytes | None) -> str | None:
    """Return what a message waits for; few do, and only those are read."""
    if message is None or not any(state in message for state in _WAITING_STATES):
        return None
    return waiting_for(UIMessage.parse(message))


async def write_terminal(store: SessionStore, request: CloseRun) -> Appended:
    """Write a terminal by one attempt, for a worker that tries again by itself.

    Raises:
        StoreUnavailableError: Redis cannot be reached.
    """
    answer = await store.close_run(request)
    _tell(request, answer)
    return answer


async def write_terminal_within(
    limit_s: float, store: SessionStore, request: CloseRun
) -> Appended | None:
    """Write a terminal until its outcome is known; None if Redis stayed away for `limit_s`."""
    backoff = Backoff()
    answer: Appended | None = None
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while answer is None:
                try:
                    answer = await store.close_run(request)
                except StoreUnavailableError:
                    await backoff.wait()
    _tell(request, answer, again=backoff.attempts > 0)
    return answer


def _tell(request: CloseRun, answer: Appended | None, *, again: bool = False) -> None:
    """Count and log an end, once: not again when a worker repeats its request.

    Args:
        again: an earlier attempt of this process may be the one that stored it.
    """
    status = None if answer is None else answer.status
    if status is AppendStatus.DUPLICATE and not again:
        return
    is_stored = status in (AppendStatus.APPENDED, AppendStatus.DUPLICATE)
    if is_stored:
        RUNS_ENDED.labels(request.outcome).inc()
    logger.info(
        "%s run=%s session=%s outcome=%s chunks=%d status=%s",
        "run_ended" if is_stored else "run_not_ended",
        *(request.key.run_id, request.key.session_id, request.outcome),
        request.chunks.first + request.chunks.count,
        "unknown" if status is None else status,
    )
