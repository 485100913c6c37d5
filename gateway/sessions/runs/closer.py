"""Ends of runs without a producer, written from their log.

The log may hold what cannot be read: another version wrote it, or a bug. A run is closed all
the same, with what can be read and an error, because an open one blocks its session.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.agents.base import cut_call
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import AbortChunk, ErrorChunk
from midstream.protocol.errors import ProtocolError
from midstream.protocol.salvage import salvaged
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.log.stored_run import message_before, readable_chunks
from midstream.sessions.runs.terminal import close_request, write_terminal_within
from midstream.sessions.sentences import ORPHAN_SENTENCE, UNANSWERED_SENTENCE, UNREADABLE_SENTENCE
from midstream.store.calls import AppendStatus, TakenOver
from midstream.store.records import RunOutcome
from midstream.telemetry import ORPHANS_CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.agents.base import AgentTraits
    from midstream.protocol.chunks import AnyChunk
    from midstream.store.calls import CloseRun, RunKey
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo

logger = logging.getLogger(__name__)

CLOSE_LIMIT_S: Final = 5.0


class _Remains(Struct, frozen=True):
    """Remains of a run.

    Attributes:
        assembler: None if the message cannot be rebuilt: the stored one stays unchanged.
        outcome: the run's outcome, if its log has the end; None if the end is not written yet.
    """

    writer: ChunkWriter
    assembler: Assembler | None
    is_whole: bool
    outcome: RunOutcome | None = None


def outcome_of(chunks: Sequence[AnyChunk]) -> RunOutcome:
    """Return the outcome of a run whose log has its end, and whose state lacks it.

    Redis writes both in one step. It breaks off in the middle if its user loses a right at that
    moment; another server may have been given one without the other.
    """
    kinds = {type(chunk) for chunk in chunks}
    if AbortChunk in kinds:
        return RunOutcome.STOPPED
    return RunOutcome.FAILED if ErrorChunk in kinds else RunOutcome.FINISHED


class RunCloser:
    """Closes runs whose producers cannot.

    Args:
        find_traits: the traits of the configured agent of this name; None if there is none.
    """

    def __init__(
        self,
        store: SessionStore,
        reconnect_window_s: float,
        find_traits: Callable[[str], AgentTraits | None] = lambda _: None,
    ) -> None:
        self._store = store
        self._reconnect_window_s = reconnect_window_s
        self._find_traits = find_traits

    async def close_orphan(self, taken: TakenOver) -> bool:
        """Write the terminal of a run whose producer has died.

        Returns:
            False if that became impossible: a newer gateway has raised the session's format.

        Raises:
            StoreUnavailableError: Redis cannot be reached; it stays an orphan.
        """
        stopped = taken.stopped_by is not None
        outcome = RunOutcome.STOPPED if stopped else RunOutcome.INTERRUPTED
        closed = await self._close(taken, outcome, ORPHAN_SENTENCE)
        if closed:
            ORPHANS_CLOSED.inc()
        return closed

    async def close_unanswered(self, taken: TakenOver) -> bool:
        """Write the terminal of a run whose wait has expired.

        Returns:
            False if that became impossible: a newer gateway has raised the session's format.

        Raises:
            StoreUnavailableError: Redis cannot be reached; it is closed one lease later.
        """
        return await self._close(taken, RunOutcome.FAILED, UNANSWERED_SENTENCE)

    async def close_crashed(self, key: RunKey, run: RunInfo, sentence: str) -> None:
        """Write the terminal of a run whose producer, in this process, has failed itself."""
        found = await self._store.load_run(key.session_id, key.run_id)
        if found is not None:
            taken = TakenOver(
                key=key, run=run, next=found.next, opened=found.opened, stopped_by=None
            )
            await self._close(taken, RunOutcome.FAILED, sentence)

    async def _close(self, taken: TakenOver, outcome: RunOutcome, sentence: str) -> bool:
        remains = await self._remains(taken)
        if not remains.is_whole:
            logger.error(
                "run_unreadable run=%s session=%s: closed with what can be read",
                *(taken.run.id, taken.key.session_id),
            )
            sentence = UNREADABLE_SENTENCE
        outcome = remains.outcome or outcome
        closing = self._closing(taken, remains, outcome, sentence)
        request = self._request(taken, closing, outcome, remains.assembler)
        answer = await write_terminal_within(CLOSE_LIMIT_S, self._store, request)
        return answer is None or answer.status is not AppendStatus.NEWER

    def _closing(
        self, taken: TakenOver, remains: _Remains, outcome: RunOutcome, sentence: str
    ) -> list[AnyChunk]:
        """Return the chunks that are still to come: none after a `finish`."""
        if remains.writer.ended:
            return []
        stopped = outcome is RunOutcome.STOPPED
        # Its process is gone: any call of it may have begun.
        begun = [call.id for call in remains.writer.waiting]
        cut = cut_call(self._find_traits(taken.run.agent), begun, stopped=stopped)
        if stopped:
            return remains.writer.abort(cut=cut)
        return remains.writer.fail(sentence, cut=cut)

    async def _remains(self, taken: TakenOver) -> _Remains:
        """Rebuild a run from its log, as far as that can be read."""
        run = taken.run
        try:
            base = await message_before(self._store, taken.key.session_id, run)
            chunks, is_whole = await readable_chunks(self._store, taken)
            writer, assembler, fits = salvaged(chunks, run.message_id, base)
        except (ProtocolError, ValueError, TypeError, LookupError) as error:
            # The message that it continues cannot be read, so no other may replace it.
            logger.warning("run_lost_in_log run=%s reason=%r", run.id, error)
            return _Remains(ChunkWriter(run.message_id), None, is_whole=False)
        outcome = outcome_of(chunks) if writer.ended else None
        return _Remains(writer, assembler, is_whole=is_whole and fits, outcome=outcome)

    def _request(
        self,
        taken: TakenOver,
        closing: Sequence[AnyChunk],
        outcome: RunOutcome,
        assembler: Assembler | None,
    ) -> CloseRun:
        message: bytes | None = None
        if assembler is not None:
            try:
                assembler.apply_all(closing)
                message = assembler.message()
            except (ProtocolError, ValueError, TypeError, LookupError) as error:
                logger.warning("message_untold run=%s reason=%r", taken.run.id, error)
        return close_request(
            taken.key,
            taken.run,
            closing,
            first=taken.next,
            outcome=outcome,
            message=message,
            reconnect_window_s=self._reconnect_window_s,
        )
