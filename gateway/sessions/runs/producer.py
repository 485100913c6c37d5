"""The task that drives one run: it asks the agent, and ends the run exactly once.

    generate   the agent's chunks, checked by the writer, into the run's lane
    close      parts closed, abort or error, finish, the final message: one atomic step

Whatever happens to a run comes in by one of five doors: the agent ends or fails; `stop`
(a person's decision, read from the log); `interrupt` (this process shuts down, or Redis
is away for too long); `hand_over` (it shuts down, and another one can go on); `lost` (another
producer took over, the run is gone, or newer gateways alone may write it, and one of them ends
it). After the last two nothing more is written. A reader's disconnect is none of them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from midstream.agents.base import cut_call
from midstream.aio.pulse import Pulse
from midstream.errors import AgentError, GatewayError, StoreUnavailableError, UpgradeNeededError
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, StartChunk
from midstream.protocol.codec import encode_lines
from midstream.protocol.continuation import has_allowed
from midstream.protocol.errors import IllegalChunkError, RemoteProtocolError
from midstream.protocol.refused_keys import encode_readable
from midstream.protocol.vocabulary import level_of_chunks
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.runs.committer import Committer, Lane
from midstream.sessions.runs.replay import Rejoin, StoredMemory
from midstream.sessions.runs.terminal import ENVELOPE, close_request, write_terminal_within
from midstream.sessions.sentences import (
    DIVERGED_SENTENCE,
    INTERNAL_SENTENCE,
    OUTAGE_SENTENCE,
    RESTART_SENTENCE,
)
from midstream.sessions.spending import tokens_used
from midstream.store.records import (
    Appended,
    AppendStatus,
    RunInfo,
    RunKey,
    RunOutcome,
)
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.agents.base import AgentRequest, AnyAgent, Interrupted
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.messages import UIMessage
    from midstream.store.store import SessionStore

logger = logging.getLogger(__name__)


_T = TypeVar("_T")

_STORED: Final = (AppendStatus.APPENDED, AppendStatus.DUPLICATE)

AGENT_GRACE_S: Final = 5.0
"""How long a cancelled agent may take to let go before its run is closed without it."""


class ProducerLimits(Struct, frozen=True, kw_only=True):
    """Bounds of one run.

    Attributes:
        max_pending_bytes: chunks held while Redis is away; the agent waits beyond it.
        outage_limit_s: how long the agent may wait so before the run is given up.
        close_limit_s: how long what is left, and then the terminal, is tried; after it the
            lease runs out, and whoever notices closes the run.
        reconnect_window_s: how long chunks of ended runs are kept.
    """

    max_pending_bytes: int = 4 * 1024 * 1024
    outage_limit_s: float = 60.0
    close_limit_s: float = 600.0
    reconnect_window_s: float = 3600.0


class _Reason(Enum):
    AGENT = auto()
    STOPPED = auto()
    INTERRUPTED = auto()
    HANDED_OVER = auto()
    LOST = auto()


class Producer:
    """Drives one run. `run()` is its task; the other methods may be called at any time.

    Args:
        continued: for a run that goes on with a message, that message as it was before.
        stored: for a run that was taken over, all the chunks that its log holds.
        interrupted: set if the agent goes on with it (`AgentTraits.durable`).
    """

    def __init__(
        self,
        key: RunKey,
        run: RunInfo,
        *,
        agent: AnyAgent,
        request: AgentRequest,
        continued: UIMessage | None,
        committer: Committer,
        store: SessionStore,
        limits: ProducerLimits,
        stored: Sequence[AnyChunk] = (),
        interrupted: Interrupted | None = None,
    ) -> None:
        self.key = key
        self.run_info = run
        self._agent = agent
        self._durable = agent.traits.durable
        self._drops_illegal = agent.traits.passes_on
        self._store = store
        self._limits = limits
        self._committer = committer
        self._lane = Lane(key, self, first=len(stored))
        # What a person has allowed begins only after the run's `start` is in the log: then a
        # run that left none behind is known to have begun nothing, and may be tried again.
        self._waits_for_start = continued is not None and has_allowed(continued)
        self._next = len(stored)
        self._rejoin: Rejoin | None = None
        if interrupted is not None and stored:
            self._rejoin = Rejoin(interrupted, run.message_id, continued)
            self._writer = self._rejoin.writer()
        else:
            self._writer = ChunkWriter.resume_from(stored, run.message_id, continued)
        self._memory = StoredMemory(
            self._lane,
            store,
            interrupted=interrupted,
            next_sequence=self._next_sequence,
            limit_s=limits.outage_limit_s,
            lost=self.lost,
        )
        self._request = replace(request, memory=self._memory if self._durable else None)
        self._assembler = Assembler(run.message_id, continued)
        self._assembler.apply_all(stored)
        self._committed = len(stored) - 1
        self._before_close: list[AnyChunk] | None = None
        self._finish = FinishChunk()
        self._failure: str | None = None
        self._aborted: AbortChunk | None = None
        self._reason = _Reason.AGENT
        self._broken: Exception | None = None
        self._pump: asyncio.Task[None] | None = None
        self._agent_ended = False
        self._at_end = Pulse()

    @property
    def stopped(self) -> bool:
        """Whether a person's stop ends the run, or has ended it."""
        return self._reason is _Reason.STOPPED

    @property
    def fenced_off(self) -> bool:
        """Whether the run is not ours any more."""
        return self._reason is _Reason.LOST

    @property
    def agent_ended(self) -> bool:
        """Whether the agent has ended, or was cancelled: nothing it yields is taken any more."""
        return self._agent_ended

    async def drained(self) -> None:
        """Wait until the log has all that the agent has yielded, or will have no more of it."""
        await self._lane.drained()

    async def until_agent_ended(self) -> None:
        """Wait for that; it is so a moment before the terminal is written."""
        while not self._agent_ended:
            await self._at_end.wait()

    def _note_agent_end(self, _: object = None) -> None:
        self._agent_ended = True
        self._at_end.send()

    # -- the doors --------------------------------------------------------------------------

    def stop(self, by: str) -> None:
        """A stop is recorded for the run: end it. `by` is for the log line only."""
        if self._end_pump(_Reason.STOPPED):
            logger.info(
                "run_stopping run=%s session=%s by=%s", self.key.run_id, self.key.session_id, by
            )

    def interrupt(self, sentence: str = RESTART_SENTENCE) -> None:
        """End the run early, with an error that says why."""
        if self._end_pump(_Reason.INTERRUPTED):
            self._failure = sentence

    def hand_over(self, sentence: str = RESTART_SENTENCE) -> None:
        """Leave the run to another process, if its agent can go on there; else interrupt it."""
        if self._durable is None:
            self.interrupt(sentence)
        elif self._end_pump(_Reason.HANDED_OVER):
            logger.info("run_handed_over run=%s session=%s", self.key.run_id, self.key.session_id)

    @property
    def handed_over(self) -> bool:
        """Whether the run goes on elsewhere."""
        return self._reason is _Reason.HANDED_OVER

    def lost(self, status: AppendStatus) -> None:
        """The run is not ours any more: end without writing."""
        if self._before_close is not None:
            return  # the answer to our own close decides
        logger.warning(
            "run_lost run=%s session=%s status=%s", self.key.run_id, self.key.session_id, status
        )
        self._reason = _Reason.LOST
        self._cancel_pump()

    def broken(self, error: Exception) -> None:
        """Our way into the log has failed: the run is closed from what the log has."""
        self._broken = error
        self._end_pump(_Reason.INTERRUPTED)

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        """Take over into the state what is in the log now."""
        self._assembler.apply_all(chunks)
        self._committed += len(chunks)
        if answer.stopped_by is not None:
            self.stop(answer.stopped_by)

    def state(self) -> tuple[list[AnyChunk], int]:
        """Return the message as committed so far, and the sequence that it includes (-1: none)."""
        if self._before_close is not None:
            return self._before_close, self._committed
        return self._assembler.replay(), self._committed

    def _end_pump(self, reason: _Reason) -> bool:
        """Cancel the agent, once; what came first decides how the run ends."""
        if self._reason is not _Reason.AGENT or self._agent_ended:
            return False
        self._reason = reason
        self._cancel_pump()
        return True

    def _cancel_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            asyncio.get_running_loop().call_later(AGENT_GRACE_S, self._note_agent_end)

    # -- the run ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Generate, and close; returns when the terminal is committed, or the run lost."""
        if not self._writer.started:
            start = StartChunk(message_id=self.run_info.message_id)
            self._writer.write(start)
            self._put([start])
        pump = asyncio.create_task(self._generate(), name=f"agent {self.key.run_id}")
        pump.add_done_callback(self._note_agent_end)
        self._pump = pump
        if self._reason is not _Reason.AGENT:
            self._cancel_pump()
        try:
            await self.until_agent_ended()
        except asyncio.CancelledError:
            pump.cancel()
            await asyncio.wait({pump}, timeout=AGENT_GRACE_S)
            raise
        self._look_at(pump)
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
        elif self._reason is not _Reason.LOST:
            await self._end()

    async def _generate(self) -> None:
        if self._waits_for_start:
            await self._lane.drained()
        async with aclosing(self._agent.stream(self._request)) as stream:  # type: ignore[type-var]
            async for chunks in stream:
                self._emit(chunks)
                if self._lane.pending_bytes > self._limits.max_pending_bytes:
                    await self._wait_for_room()

    def _emit(self, chunks: Sequence[AnyChunk]) -> None:
        """Check, encode and hand to the committer; how the run ends is kept for the close.

        Raises:
            IllegalChunkError: a chunk is not allowed where it stands.
            AgentError: a chunk says that the agent failed.
        """
        if self._reason is not _Reason.AGENT and self._pump is not None:
            raise asyncio.CancelledError  # an agent that took no notice of its cancellation
        admitted: list[AnyChunk] = []
        try:
            for chunk in chunks:
                if type(chunk) in ENVELOPE:
                    self._look_at_envelope(chunk)
                else:
                    admitted += self._admitted(chunk)
        finally:
            # Also before a bad chunk: the writer knows of these, and will close them.
            if admitted:
                self._put(admitted)

    def _admitted(self, chunk: AnyChunk) -> list[AnyChunk]:
        try:
            return self._writer.admit(chunk)
        except IllegalChunkError as error:
            if not self._drops_illegal:
                raise
            logger.info("chunk_dropped run=%s reason=%s", self.key.run_id, error)
            return []

    def _put(self, chunks: Sequence[AnyChunk]) -> None:
        payload, chunks = encode_readable(chunks)
        if self._rejoin is not None:
            chunks = self._rejoin.pass_over(chunks)
            if self._rejoin.is_complete:
                self._rejoin = None
            if not chunks:
                return
            payload = encode_lines(chunks)
        self._next += len(chunks)
        self._lane.put(payload, chunks, level_of_chunks(chunks))
        self._committer.notify(self._lane)

    def _next_sequence(self) -> int:
        return self._next if self._rejoin is None else self._rejoin.next

    def _look_at_envelope(self, chunk: AnyChunk) -> None:
        """Take from the agent what is ours to write: we began, and we end the run."""
        if isinstance(chunk, FinishChunk):
            self._finish = chunk
        elif isinstance(chunk, ErrorChunk):
            raise AgentError(chunk.error_text)
        elif isinstance(chunk, AbortChunk):
            self._aborted = chunk
            raise asyncio.CancelledError  # the agent has given up: it is asked for nothing more

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._limits.outage_limit_s):
                await self._lane.below(self._limits.max_pending_bytes)
        except TimeoutError:
            self.interrupt(OUTAGE_SENTENCE)
            await asyncio.sleep(0)  # the cancellation arrives here

    def _look_at(self, pump: asyncio.Task[None]) -> None:
        """Turn the agent's own failure into a sentence; a bug is logged, and not shown."""
        if not pump.done():
            logger.error("agent_ignores_cancellation run=%s", self.key.run_id)
            return
        if pump.cancelled():
            return
        error = pump.exception()
        if error is None and self._rejoin is not None and not self._rejoin.is_complete:
            error = AgentError(DIVERGED_SENTENCE)  # it ended before the log does
        if error is None or self._reason is not _Reason.AGENT:
            return
        if isinstance(error, GatewayError):
            self._failure = error.message
        elif isinstance(error, RemoteProtocolError):
            self._failure = str(error)
        else:
            self._failure = INTERNAL_SENTENCE
            logger.error("agent_failed run=%s", self.key.run_id, exc_info=error)
            return
        said = error.note if isinstance(error, GatewayError) else ""
        logger.warning(
            "run_failing run=%s session=%s %s",
            self.key.run_id,
            self.key.session_id,
            " ".join(filter(None, (quoted(reason=self._failure), said))),
        )

    def count_tokens(self) -> int:
        """Return what the run has used, as far as that is known; once it has ended."""
        continued = self._request.continued
        return tokens_used(
            self._assembler.message(),
            known=self._request.spent.tokens,
            before=None if continued is None else continued.raw,
            whole=self._reason is _Reason.AGENT and not (self._failure or self._aborted),
        )

    # -- the terminal -------------------------------------------------------------------------

    def _terminal(self) -> tuple[RunOutcome, list[AnyChunk]]:
        stopped = self._reason is _Reason.STOPPED
        aborted = None if stopped or self._failure is not None else self._aborted
        if stopped or aborted is not None:
            reason = None if aborted is None else _or_none(aborted.reason)
            cut = cut_call(self._agent.traits, self._request.begun, stopped=True)
            return RunOutcome.STOPPED, self._writer.abort(reason, cut)
        if self._failure is not None:
            interrupted = self._reason is _Reason.INTERRUPTED
            outcome = RunOutcome.INTERRUPTED if interrupted else RunOutcome.FAILED
            cut = cut_call(self._agent.traits, self._request.begun, stopped=False)
            return outcome, self._writer.fail(
                self._failure, _or_none(self._finish.message_metadata), cut
            )
        finish = self._finish
        closing = self._writer.finish(
            _or_none(finish.finish_reason), _or_none(finish.message_metadata)
        )
        # The provider ended its response without a last event: it is no finished answer.
        broke_off = finish.finish_reason == "interrupted"
        return RunOutcome.INTERRUPTED if broke_off else RunOutcome.FINISHED, closing

    async def _release(self) -> None:
        try:
            await self._store.release(self.key)
        except (StoreUnavailableError, UpgradeNeededError) as error:
            # It is taken over all the same, once its lease has run out.
            logger.warning("run_not_released run=%s reason=%s", self.key.run_id, error)

    async def _end(self) -> None:
        """Close; and release what the agent holds elsewhere, if nobody will use it.

        A stop ends the run whoever produces it now. After any other end, it is ours to release
        only if the run was ours to close.
        """
        durable, point = self._durable, self._memory.point
        finished = self._reason is _Reason.AGENT and self._failure is None
        if durable is None or finished or not point:
            await self._close()
        elif self._reason is _Reason.STOPPED:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(durable.abandon(point), name=f"abandon {self.key.run_id}")
                await self._close()
        elif await self._close():
            await durable.abandon(point)

    async def _close(self) -> bool:
        """Write the terminal; False if the run was not ours to end, or if that is not known."""
        if self._rejoin is not None:
            self._writer = self._rejoin.last_writer()
        outcome, closing = self._terminal()
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
        )
        answer = await write_terminal_within(self._limits.close_limit_s, self._store, request)
        return answer is not None and answer.status in _STORED


def _or_none(value: _T | UnsetType) -> _T | None:
    return None if value is UNSET else value
