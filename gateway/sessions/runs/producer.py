"""The task that drives one run: it asks the agent, and ends the run exactly once.

    generate   the agent's chunks, checked by the writer, into the run's lane
    close      parts closed, abort or error, finish, the final message: one atomic step

An early end (`stop`, `interrupt`, `hand_over`, `lost`, `broken`) cancels the agent; `run_end.py`
has the causes. A reader's disconnect is none of them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from midstream.aio.pulse import Pulse
from midstream.authors import start_of
from midstream.errors import AgentError, StoreUnavailableError, UpgradeNeededError
from midstream.protocol.assembler import Assembler
from midstream.protocol.codec import encode_lines
from midstream.protocol.continuation import has_approved_call
from midstream.protocol.deltas import only_words
from midstream.protocol.errors import IllegalChunkError
from midstream.protocol.refused_keys import encode_readable
from midstream.protocol.vocabulary import level_of_chunks
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.runs.committer import recover
from midstream.sessions.runs.lane import Lane
from midstream.sessions.runs.replay import Replay, StoredMemory
from midstream.sessions.runs.run_end import Cause, RunEnd
from midstream.sessions.runs.steering import RunSteers
from midstream.sessions.runs.terminal import ENVELOPE, close_request, write_terminal_within
from midstream.sessions.sentences import DIVERGED_SENTENCE, OUTAGE_SENTENCE, RESTART_SENTENCE
from midstream.sessions.spending import tokens_used
from midstream.store.calls import Appended, AppendStatus, Renewed, RunKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.agents.base import AgentRequest, AnyAgent, Interrupted
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.sessions.runs.committer import Committing
    from midstream.sessions.runs.limits import ProducerLimits
    from midstream.store.contract import SessionStore
    from midstream.store.records import RunInfo

logger = logging.getLogger(__name__)

_STORED: Final = (AppendStatus.APPENDED, AppendStatus.DUPLICATE)

AGENT_GRACE_S: Final = 5.0
"""Time for a cancelled agent to let go, before its run is closed without it."""


class Producer:
    """Drives one run. `run()` is its task; the other methods may be called at any time.

    Args:
        continued: the message that the run continues, as it was before; None: it has its own.
        stored: for a run that was taken over, all the chunks that its log holds.
        interrupted: set if the agent resumes it (`AgentTraits.durable`).
    """

    def __init__(
        self,
        key: RunKey,
        run: RunInfo,
        *,
        agent: AnyAgent,
        request: AgentRequest,
        continued: UIMessage | None,
        committer: Committing,
        store: SessionStore,
        limits: ProducerLimits,
        stored: Sequence[AnyChunk] = (),
        interrupted: Interrupted | None = None,
    ) -> None:
        self.key = key
        self.run_info = run
        self._agent, self._traits = agent, agent.traits
        self._store, self._committer = store, committer
        self._limits = limits
        self._lane = Lane(key, self, first=len(stored), held_s=limits.held_s)
        # What a person has allowed begins only after the run's `start` is in the log: then a
        # run that left none behind is known to have begun nothing, and may be tried again.
        self._waits_for_start = continued is not None and has_approved_call(continued)
        self._replay: Replay | None = None
        if interrupted is not None and stored:
            self._replay = Replay(interrupted, run.message_id, continued)
            self._writer = self._replay.writer()
        else:
            self._writer = ChunkWriter.resume_from(stored, run.message_id, continued)
        self._memory = StoredMemory(
            self._lane,
            store,
            interrupted=interrupted,
            replay=self._replay,
            limit_s=limits.outage_limit_s,
        )
        self._request = request
        self._assembler = Assembler(run.message_id, continued)
        self._steers = RunSteers(key, store, self._lane.drained, self._assembler.message, stored)
        self._assembler.apply_all(stored)
        self._committed = len(stored) - 1
        self._before_close: list[AnyChunk] | None = None
        self._end = RunEnd(key)
        self._broken: Exception | None = None
        self._pump: asyncio.Task[None] | None = None
        self._agent_ended = False
        self._at_end = Pulse()

    @property
    def stopped(self) -> bool:
        """Whether a person's stop ends the run, or has ended it."""
        return self._end.cause is Cause.STOPPED

    @property
    def fenced_off(self) -> bool:
        """Whether the run is not ours any more."""
        return self._end.cause is Cause.LOST

    @property
    def handed_over(self) -> bool:
        """Whether another process resumes the run."""
        return self._end.cause is Cause.HANDED_OVER

    @property
    def agent_ended(self) -> bool:
        """Whether the agent has ended, or was cancelled: nothing it yields is taken any more."""
        return self._agent_ended

    async def drained(self) -> None:
        """Wait until the log has all that the agent has yielded, or will have no more of it."""
        await self._lane.drained()

    async def until_agent_ended(self) -> None:
        """Wait for the agent's end, which is a moment before the terminal."""
        while not self._agent_ended:
            await self._at_end.wait()

    def _note_agent_end(self, _: object = None) -> None:
        self._agent_ended = True
        self._at_end.send()

    # -- early ends -------------------------------------------------------------------------

    def stop(self, by: str) -> None:
        """End the run: a stop is recorded for it. `by` is for the log line only."""
        if self._end_early(Cause.STOPPED):
            logger.info(
                "run_stopping run=%s session=%s by=%s", self.key.run_id, self.key.session_id, by
            )

    def steered(self) -> None:
        """See LiveRun."""
        self._steers.note()

    def interrupt(self, sentence: str = RESTART_SENTENCE) -> None:
        """End the run with an error that says why."""
        self._end_early(Cause.INTERRUPTED, sentence)

    def hand_over(self, sentence: str = RESTART_SENTENCE) -> None:
        """Leave the run to another process, if its agent can resume there; else interrupt it."""
        if self._traits.durable is None:
            self.interrupt(sentence)
        elif self._end_early(Cause.HANDED_OVER):
            logger.info("run_handed_over run=%s session=%s", self.key.run_id, self.key.session_id)

    def lost(self, status: AppendStatus) -> None:
        """End without writing: the run is not ours any more."""
        if self._end_early(Cause.LOST):
            logger.warning(
                "run_lost run=%s session=%s status=%s", self.key.run_id, self.key.session_id, status
            )

    def broken(self, error: Exception) -> None:
        """End the run, for others to close it from the log: our way into the log has failed."""
        self._broken = error
        self._end_early(Cause.INTERRUPTED)

    def renewed(self, answer: Renewed) -> None:
        """Take the answer to a renewal of the lease: a stop may be recorded, or the run lost."""
        if answer.stopped_by is not None:
            self.stop(answer.stopped_by)
        elif not answer.held:
            self.lost(AppendStatus.NEWER if answer.newer else AppendStatus.FENCED)

    def _end_early(self, cause: Cause, sentence: str | None = None) -> bool:
        """Cancel the agent, once: the only way in for an end that is not the agent's own.

        Returns:
            False if an earlier cause decides, or the agent has ended. A run can be lost until its
            terminal is on its way; then the answer to that decides.
        """
        late = self._agent_ended if cause is not Cause.LOST else self._before_close is not None
        if late or not self._end.take(cause, sentence):
            return False
        self._cancel_pump()
        return True

    def _cancel_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            asyncio.get_running_loop().call_later(AGENT_GRACE_S, self._note_agent_end)

    # -- the state of the message -------------------------------------------------------------

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        """Apply stored chunks to the state."""
        self._assembler.apply_all(chunks)
        self._committed += len(chunks)
        if answer.stopped_by is not None:
            self.stop(answer.stopped_by)

    def state(self) -> tuple[list[AnyChunk], int]:
        """See LiveRun."""
        if self._before_close is not None:
            return self._before_close, self._committed
        return self._assembler.replay(), self._committed

    # -- the run ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Generate, and close; returns when the terminal is committed, or the run lost."""
        if not self._writer.started:
            start = start_of(self.run_info.message_id, self.run_info.agent)
            self._writer.write(start)
            self._put([start])
        pump = asyncio.create_task(self._generate(), name=f"agent {self.key.run_id}")
        pump.add_done_callback(self._note_agent_end)
        self._pump = pump
        if self._end.cause is not Cause.AGENT:
            self._cancel_pump()
        try:
            await self.until_agent_ended()
        except asyncio.CancelledError:
            pump.cancel()
            await asyncio.wait({pump}, timeout=AGENT_GRACE_S)
            raise
        self._take_end(pump)
        try:
            async with asyncio.timeout(self._limits.close_limit_s):
                await self._lane.drained()
        except TimeoutError:
            logger.error("run_given_up run=%s: Redis stays away", self.key.run_id)
            return
        if self._broken is not None:
            raise self._broken
        if self.handed_over:
            await self._release()
        elif self._end.cause is not Cause.LOST:
            await self._close_and_abandon()

    async def _generate(self) -> None:
        if self._waits_for_start:
            await self._lane.drained()
        memory = self._memory if self._traits.durable else None
        request = replace(self._request, memory=memory, emission=self, steering=self._steers)
        async with aclosing(self._agent.stream(request)) as stream:  # type: ignore[type-var]
            async for chunks in stream:
                if self.take(chunks):
                    await self.room()

    def take(self, chunks: Sequence[AnyChunk]) -> bool:
        """Check, encode and hand to the committer (`Emission`); an end is kept for the close.

        Raises:
            IllegalChunkError, AgentError: a chunk is out of place, or says that the agent failed.
        """
        if self._end.cause is not Cause.AGENT and self._pump is not None:
            raise asyncio.CancelledError  # an agent that took no notice of its cancellation
        admitted: list[AnyChunk] = []
        try:
            for chunk in chunks:
                if self._writer.only_extends(chunk):
                    admitted.append(chunk)
                elif type(chunk) in ENVELOPE:
                    self._end.take_envelope(chunk)
                else:
                    admitted += self._admitted(chunk)
        finally:
            if admitted:  # also before a bad chunk: the writer knows of these, and will close them
                self._put(admitted)
        return self._lane.pending_bytes > self._limits.max_pending_bytes

    def _admitted(self, chunk: AnyChunk) -> list[AnyChunk]:
        try:
            return self._writer.admit(chunk)
        except IllegalChunkError as error:
            if not self._traits.passes_on:
                raise
            logger.info("chunk_dropped run=%s reason=%s", self.key.run_id, error)
            return []

    def _put(self, chunks: Sequence[AnyChunk]) -> None:
        if self._replay is None and only_words(chunks):
            self._lane.put_words(chunks)
        else:
            payload, chunks = encode_readable(chunks)
            if self._replay is not None:
                chunks = self._replay.pass_over(chunks)
                if self._replay.is_complete:
                    self._replay = None
                if not chunks:
                    return
                payload = encode_lines(chunks)
            self._lane.put(payload, chunks, level_of_chunks(chunks))
        self._committer.notify(self._lane)

    async def room(self) -> None:
        """Wait until little is pending (`Emission`); a run that waits too long is interrupted."""
        try:
            async with asyncio.timeout(self._limits.outage_limit_s):
                await self._lane.below(self._limits.max_pending_bytes)
        except TimeoutError:
            self.interrupt(OUTAGE_SENTENCE)
            await asyncio.sleep(0)  # the cancellation arrives here

    def _take_end(self, pump: asyncio.Task[None]) -> None:
        """Learn how the agent has ended."""
        if not pump.done():
            logger.error("agent_ignores_cancellation run=%s", self.key.run_id)
            return
        if pump.cancelled():
            return
        error = pump.exception()
        if error is None and self._replay is not None and not self._replay.is_complete:
            error = AgentError(DIVERGED_SENTENCE)  # it ended before the log does
        if error is not None and self._end.cause is Cause.AGENT:
            self._end.take_error(error)

    def leave(self) -> None:
        """Have nothing refer back to it once it has ended: a collection would be needed for it."""
        self._lane.leave()

    def count_tokens(self) -> int:
        """Return the tokens that the run has used, as far as known; once it has ended."""
        continued = self._request.continued
        return tokens_used(
            self._assembler.message(),
            known=self._request.spent.tokens,
            before=None if continued is None else continued.raw,
            whole=self._end.finished,
        )

    # -- the terminal -------------------------------------------------------------------------

    async def _release(self) -> None:
        try:
            await self._store.release(self.key)
        except (StoreUnavailableError, UpgradeNeededError) as error:
            # It is taken over all the same, once its lease has run out.
            logger.warning("run_not_released run=%s reason=%s", self.key.run_id, error)

    async def _close_and_abandon(self) -> None:
        """Close; and release what the agent holds elsewhere, if no process will use it.

        A stop ends the run in whichever process it is. After any other end, it is ours to release
        only if the run was ours to close.
        """
        durable, point = self._traits.durable, self._memory.point
        if durable is None or self._end.by_agent or not point:
            await self._close()
        elif self._end.cause is Cause.STOPPED:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(durable.abandon(point), name=f"abandon {self.key.run_id}")
                await self._close()
        elif await self._close():
            await durable.abandon(point)

    async def _close(self) -> bool:
        """Write the terminal; False if the run was not ours to end, or if that is not known."""
        if self._replay is not None:
            self._writer = self._replay.last_writer()
        outcome, closing = self._end.closing(self._writer, self._traits, self._request.begun)
        _, chunks = encode_readable(closing)
        # What is applied now is not in the log yet, and no late joiner may see it.
        self._before_close = self._assembler.replay()
        self._assembler.apply_all(chunks)
        request = close_request(
            self.key,
            self.run_info,
            chunks,
            first=self._lane.next_sequence,
            outcome=outcome,
            message=self._assembler.message(),
            reconnect_window_s=self._limits.reconnect_window_s,
            undelivered=self._steers.undelivered,
        )
        limit_s = self._limits.close_limit_s
        answer = await write_terminal_within(limit_s, self._store, request)
        while answer is not None and answer.status is AppendStatus.GAP:
            if not await recover(self._committer, self._lane, answer.next, limit_s):
                return False
            answer = await write_terminal_within(limit_s, self._store, request)
        return answer is not None and answer.status in _STORED
