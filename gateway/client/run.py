"""A run in the hands of the worker that writes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import msgspec

from midstream.client.attempt import Attempt, OnRetry
from midstream.client.claiming import CANCELLED_SENTENCE, Claiming
from midstream.client.delivery import Delivery
from midstream.client.errors import (
    MidstreamError,
    RefusedError,
    RunEndedError,
    RunError,
    RunOver,
    RunSkipped,
)
from midstream.client.steering import SteeredAnswer, Steers
from midstream.client.wire import END_LIMIT_S
from midstream.protocol.chunks import ErrorChunk

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from types import TracebackType

    from midstream.client.wire import Gateways
    from midstream.protocol.chunks import AbortChunk, AnyChunk, FinishReason
    from midstream.protocol.composer import Composer

OnError = Literal["fail", "leave"]
OnExit = Literal["end", "leave"]

UNSUCCESSFUL: Final = ("failed", "interrupted")
"""Outcomes of an ended run that no later attempt may take for its own success."""


class Run(SteeredAnswer):
    """One run: an `async with` block, and one method for each kind of part.

    Parts, steps and blocks open and close automatically. Every method returns at once, unless
    too much is unsent. Chunks are sent in the background, and leaving the block waits until
    they are stored.

    When a person stops the run, the block is cancelled at its current `await`, and the code after
    it runs. If another attempt has finished the run, the block is skipped at its first method call
    or `await`, and `message` is what that attempt has written. A later attempt that claims the run
    cancels the block, too, which then raises `FencedError`: no job completes over an answer that it
    has not written.

    Attributes:
        outcome: `finished`, `stopped`, `failed`, `interrupted` or `fenced`, once the run has
            ended; for a skipped run from the beginning of the block. None: it is open, also
            after a block that leaves it so.
        messages: the conversation that the run answers, oldest first: UIMessages.
    """

    passes = (RunOver,)

    def __init__(
        self,
        gateways: Gateways,
        session_id: str,
        claim: Mapping[str, object],
        *,
        steering: bool,
        user: str | None,
        on_retry: OnRetry,
        on_error: OnError,
        on_exit: OnExit,
        flush_interval_s: float,
    ) -> None:
        """Use `Midstream.run` instead."""
        if on_exit == "leave" and on_retry == "replay":
            raise ValueError('a run of several blocks needs on_retry="continue"')
        super().__init__()
        self.session_id = session_id
        self.outcome: str | None = None
        self.messages: list[dict[str, Any]] = []
        self._gateways = gateways
        self._reads = steering
        self._user = user
        self._on_retry = on_retry
        self._on_error = on_error
        self._suspends = on_exit == "leave"
        self._left_for_s: float | None = None
        self._claiming = Claiming(gateways, session_id, claim, user, leaves=on_error == "leave")
        self._flush_interval_s = flush_interval_s
        self._id = ""
        self._message_id = ""
        self._attempt: Attempt | None = None
        self._delivery: Delivery | None = None
        self._stopping = asyncio.Event()
        self._skipped: RunOver | None = None
        self._body: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._cancelled = False
        self._ends_stopped = False
        self._soon: asyncio.Handle | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self._id

    @property
    def message_id(self) -> str:
        """The id of the message that the run writes."""
        return self._message_id

    @property
    def message(self) -> dict[str, Any]:
        """The message that the run writes, so far: a UIMessage.

        With `on_retry="continue"` it begins with the parts of earlier attempts.
        """
        return self._running.message()

    @property
    def is_open(self) -> bool:
        """Whether the run was claimed and has not ended."""
        return self._delivery is not None and self.outcome is None

    # -- the block ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Claim the run; see `open`."""
        self._body = asyncio.current_task()
        self._cancelling = 0 if self._body is None else self._body.cancelling()
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End the run as its body ended; see `close`."""
        if self._soon is not None:
            self._soon.cancel()
        body, self._body = self._body, None
        if (
            self._cancelled
            and body is not None
            and body.uncancel() <= self._cancelling
            and isinstance(error, asyncio.CancelledError)
        ):
            error = self._why  # our own cancellation; any other propagates
        return await self.close(error)

    async def open(self) -> None:
        """Open the run by its key, or take it over from an earlier attempt.

        Raises:
            RefusedError: for example, the session has another open run or another owner.
            NotAGatewayError: something else answers at the address.
            UnavailableError: no gateway answered in time.
            KeyReusedError: the key belongs to another question.
            FencedError: a later attempt has claimed the run.
            RunEndedError: an earlier attempt has ended the run without success.
        """
        claim = await self._claiming.claim()
        self._id, self._message_id = claim.run_id, claim.message_id
        self.messages = [msgspec.json.decode(message) for message in claim.messages]
        self.outcome = claim.outcome
        self._attempt = Attempt(claim, self._on_retry)
        if self._reads:
            self.steers = Steers(self._attempt)
        if not claim.fence:
            if claim.outcome in UNSUCCESSFUL:
                raise RunEndedError(claim.outcome)
            self._skipped = RunSkipped("the run has ended before")
            self._interrupt_soon()
            return
        self._delivery = Delivery(
            self._gateways,
            self._claiming.path_of(claim),
            claim,
            self._user,
            self._interrupt,
            flush_interval_s=self._flush_interval_s,
            steers=self.steers,
        )
        self._delivery.begin()
        if claim.stopped_by is not None:
            self._delivery.stop()

    async def close(self, error: BaseException | None) -> bool:
        """End the run; return whether to swallow `error`, the exception that ended the body.

        Raises:
            MidstreamError: the run could not be written.
        """
        delivery = self._delivery
        if self.steers is not None:
            self.steers.end()
        if delivery is None:
            return error is not None and error is self._skipped
        failure = error
        if failure is None and delivery.why is None and not self._suspends:
            failure = self._running.missing()
        try:
            await self._end(delivery, failure)
        finally:
            await delivery.leave()
            self.outcome = delivery.outcome
        ours = any(error is reason for reason in delivery.reasons)
        if isinstance(delivery.why, MidstreamError) and (ours or error is None):
            raise delivery.why
        if failure is not None and error is None:
            raise failure
        return ours

    async def _end(self, delivery: Delivery, error: BaseException | None) -> None:
        """Write the end that fits the body's; within a limit once the task is cancelled."""
        ending = self._ending(delivery, error)
        if ending is None:
            return
        task = asyncio.create_task(ending, name=f"end {self._id}")
        cancelled = error is not None and not isinstance(error, Exception)
        try:
            if not cancelled:
                await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            if cancelled:
                await _within(task, END_LIMIT_S)  # else its lease ends, and a gateway closes it

    def end_as_stopped(self) -> None:
        """Let the block's end be that of a stopped run, whatever ends the block.

        For a job that is cancelled for good. What was written stays.
        """
        self._ends_stopped = True

    @property
    def ends_as_stopped(self) -> bool:
        """Whether the block's end will be that of a stopped run."""
        return self._ends_stopped

    def end_as_failed(self) -> None:
        """Let an exception end the run with an error, also with `on_error="leave"`.

        For a job that is not tried again.
        """
        self._on_error = "fail"

    def suspend(self, lease_s: float | None = None) -> None:
        """Let the block's end leave the run open, for a later block with the same key.

        An exception ends the run all the same, unless it was made with `on_error="leave"`; then
        the time counts as well.

        Args:
            lease_s: how long the run waits for that block, at most the gateway's
                `runs.max_lease_s`; then it is closed. None: as `Midstream.run` was told.
        """
        self._suspends, self._left_for_s = True, lease_s

    def _ending(
        self, delivery: Delivery, error: BaseException | None
    ) -> Coroutine[Any, Any, None] | None:
        if delivery.is_over:
            return delivery.abandon() if isinstance(delivery.why, RefusedError) else None
        if delivery.why is not None or self._ends_stopped:
            return delivery.end("stopped")
        if error is None and self._suspends:
            return delivery.hand_over(self._left_for_s)
        if error is None:
            return delivery.end(
                "finished", finish_reason=self._reason(), metadata=self.last_metadata
            )
        if isinstance(error, RunError):
            return delivery.end("failed", error_text=str(error), metadata=self.last_metadata)
        if self._on_error == "leave":
            return delivery.hand_over(self._left_for_s)
        text = None if isinstance(error, Exception) else CANCELLED_SENTENCE
        return delivery.end("failed", error_text=text)

    def _reason(self) -> FinishReason:
        waits = self._running.composer.waits_for_results
        return self.finish_reason or ("tool-calls" if waits else "stop")

    # -- its end, by others ---------------------------------------------------------------------

    @property
    def is_stopped(self) -> bool:
        """Whether the run takes no more chunks: it was stopped, fenced, ended or lost."""
        return self._why is not None

    async def stopped(self) -> None:
        """Wait until the run takes no more chunks. For other tasks: the body is cancelled."""
        await self._stopping.wait()

    @property
    def _why(self) -> RunOver | MidstreamError | None:
        return self._skipped if self._delivery is None else self._delivery.why

    def _interrupt(self) -> None:
        """Cancel the body at its `await`; other tasks call this, so the body does wait."""
        self._stopping.set()
        if self.steers is not None:
            self.steers.end()
        body = self._body
        if body is None or self._cancelled:
            return
        if body is asyncio.current_task():
            self._interrupt_soon()
            return
        self._cancelled = True
        body.cancel()

    def _interrupt_soon(self) -> None:
        self._stopping.set()
        if self._body is not None:
            self._soon = asyncio.get_running_loop().call_soon(self._interrupt)

    # -- inside ---------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Wait until everything written so far is stored, for example before a checkpoint."""
        if self._delivery is not None:
            await self._delivery.flush()
        self._check()

    @property
    def composer(self) -> Composer:
        """The maker of chunks. Raises the exception that is to end the body."""
        self._check()
        return self._running.composer

    async def emit(self, chunks: Sequence[AnyChunk]) -> None:
        """Send chunks of the composer."""
        self._check()
        delivery = self._delivery
        if delivery is None:
            return
        delivery.put(self._running.say(chunks))
        if self.steers is not None:
            self.steers.move()
        if delivery.is_full:
            await delivery.room()
            self._check()

    def new_id(self) -> str:
        """Return the run's next id; attempts that replay get the same ids in the same order."""
        return self._running.new_id()

    def give_up(self, last: ErrorChunk | AbortChunk) -> None:
        """Raise a `RunError`, which ends the body and the run."""
        raise RunError(
            last.error_text if isinstance(last, ErrorChunk) else "The answer was cut short."
        )

    def _check(self) -> None:
        if self._why is not None:
            raise self._why

    @property
    def _running(self) -> Attempt:
        if self._attempt is None:
            raise RuntimeError("the run is not open; write to it in its `async with` block")
        return self._attempt


async def _within(task: asyncio.Task[None], limit_s: float) -> None:
    """Wait for a task, and cancel it after `limit_s`."""
    try:
        await asyncio.wait({task}, timeout=limit_s)
    finally:
        task.cancel()
