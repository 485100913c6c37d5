"""Send queue of a pushed run: one batch in flight, retried unchanged until stored.

sender   sends the waiting chunks, at most one request each `flush_interval_s`
keeper   renews the lease; the gateway holds its request, and answers at once when a
         person stops the run, or says something to it
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from midstream.client.errors import (
    FencedError,
    MidstreamError,
    RefusedError,
    RunEndedError,
    RunOver,
    RunStopped,
)
from midstream.client.wire import Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from midstream.client.steering import Steers
    from midstream.client.wire import Claim, Gateways

MAX_BATCH_BYTES: Final = 256 * 1024
MAX_BATCH_CHUNKS: Final = 5_000
"""Size limit of one request; a single chunk may be larger, up to the gateway's limit."""

MAX_PENDING_BYTES: Final = 1024 * 1024
"""Unsent bytes from which on a run's methods wait."""

ABANDON_LIMIT_S: Final = 5.0
"""Time limit for ending a run after a gateway refused a request of it."""

MIN_RENEWAL_S: Final = 0.25
"""Shortest time between two renewals that the gateway answers at once."""

Outcome = Literal["finished", "stopped", "failed"]


class Delivery:
    """Delivers one run's chunks to the gateway.

    Args:
        run_path: `/api/agent/runs/SESSION/RUN`.
        on_over: called once, in this event loop, when the run takes no more chunks or a person
            has stopped it; `why` is set before.
        steers: takes what people say to the run; None: nobody reads it.

    Attributes:
        why: a `RunOver`, or the error that ended the delivery.
        outcome: the run's outcome, once it has ended.
        reasons: all values that `why` has had.
        is_over: the run takes no more chunks. A stopped run still takes those put in before.
    """

    def __init__(
        self,
        gateways: Gateways,
        run_path: str,
        claim: Claim,
        user: str | None,
        on_over: Callable[[], None],
        *,
        flush_interval_s: float,
        steers: Steers | None = None,
    ) -> None:
        self.why: RunOver | MidstreamError | None = None
        self.reasons: list[RunOver | MidstreamError] = []
        self.outcome: str | None = None
        self.is_over = False
        self._gateways = gateways
        self._path = run_path
        self._fence = claim.fence
        self._lease_s = claim.lease_ms / 1000
        self._max_bytes = claim.max_bytes
        self._user = user
        self._on_over = on_over
        self._flush_interval_s = flush_interval_s
        self._steers = steers
        self._next = claim.next
        self._ending: Outcome | None = None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._more = asyncio.Event()
        self._hurry = asyncio.Event()
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Start the tasks; `leave` ends them."""
        self._tasks = [
            asyncio.create_task(self._guarded(self._send), name=f"send {self._path}"),
            asyncio.create_task(self._guarded(self._keep), name=f"keep {self._path}"),
        ]

    def put(self, lines: Sequence[bytes]) -> None:
        """Take chunks to send.

        Raises:
            MidstreamError: a chunk is larger than the gateway accepts.
        """
        largest = max(map(len, lines), default=0)
        if largest > self._max_bytes:
            raise MidstreamError(
                f"unable to send a chunk of {largest} bytes; the gateway takes {self._max_bytes}. "
                "Put files elsewhere, and send their URL"
            )
        self._pending += lines
        self._pending_bytes += sum(map(len, lines))
        self._more.set()

    @property
    def is_full(self) -> bool:
        """Whether the caller should wait for `room` before it puts in more."""
        return self._pending_bytes > MAX_PENDING_BYTES

    async def room(self) -> None:
        """Wait until the queue is not full, or the delivery is over."""
        while self.is_full and self.why is None:
            await self._moved.wait()

    async def flush(self) -> None:
        """Wait until all chunks are stored, or the delivery is over."""
        while self._pending and not self.is_over:
            self._hurry.set()
            await self._moved.wait()

    async def leave(self) -> None:
        """End the tasks and drop unsent chunks."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def end(
        self,
        outcome: Outcome,
        *,
        finish_reason: str | None = None,
        metadata: object = None,
        error_text: str | None = None,
    ) -> None:
        """Store the unsent chunks, then the run's end; `why` and `outcome` tell the result."""
        await self.flush()
        if self.is_over:
            return
        body: dict[str, object] = {"first": self._next, "outcome": outcome}
        if finish_reason is not None:
            body["finishReason"] = finish_reason
        if metadata is not None:
            body["metadata"] = metadata
        if error_text is not None:
            body["errorText"] = error_text[:2_000]
        content = msgspec.json.encode(body)
        self._ending = outcome
        try:
            await self._gateways.post(
                f"{self._path}/end?fence={self._fence}", content, Stored, user=self._user
            )
            self.outcome = outcome
        except MidstreamError as error:
            self._fail(error)

    async def hand_over(self, lease_s: float | None) -> None:
        """Store the unsent chunks, and leave the run to its next writer.

        Args:
            lease_s: how long the run waits for it; None: as the claim has said.
        """
        await self.flush()
        if self.is_over or lease_s is None:
            return
        lease_ms = max(1, round(lease_s * 1000))
        target = f"{self._path}/renew?fence={self._fence}&leaseMs={lease_ms}"
        try:
            self._look_at(await self._gateways.post(target, b"", Stored, user=self._user))
        except MidstreamError as error:
            self._fail(error)

    async def abandon(self) -> None:
        """End the run after a refusal, with the stored chunks, if it can still be ended."""
        self._ending = "failed"
        target, body = f"{self._path}/end?fence={self._fence}", {"first": self._next}
        content = msgspec.json.encode({**body, "outcome": self._ending})
        with suppress(MidstreamError):
            await self._gateways.post(
                target, content, Stored, user=self._user, limit_s=ABANDON_LIMIT_S
            )
            self.outcome = self._ending

    # -- the tasks ------------------------------------------------------------------------------

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except MidstreamError as error:
            self._fail(error)
        except Exception as error:
            failure = MidstreamError("unable to write this run; the client itself has failed")
            failure.__cause__ = error
            self._fail(failure)

    async def _send(self) -> None:
        sent_at = 0.0
        while True:
            await self._more.wait()
            if not self._pending:
                self._more.clear()
                continue
            delay_s = sent_at + self._flush_interval_s - time.monotonic()
            if delay_s > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), delay_s)
            self._hurry.clear()
            sent_at = time.monotonic()
            batch = _batch_of(self._pending)
            await self._append(batch)
            self._pending_bytes -= sum(map(len, batch))
            del self._pending[: len(batch)]
            self._move()

    async def _append(self, batch: Sequence[bytes]) -> None:
        """Store a batch; a part of it may be stored already.

        Raises:
            MidstreamError.
        """
        after = self._next + len(batch)
        while batch:
            target = f"{self._path}/chunks?fence={self._fence}&first={self._next}"
            try:
                stored = await self._gateways.post(
                    target, b"\n".join(batch), Stored, user=self._user
                )
            except RefusedError as error:
                known = error.details.get("next")
                if not isinstance(known, int) or not self._next < known <= after:
                    raise
                batch = batch[known - self._next :]
                self._next = known
                if error.code != "sequence_gap":
                    raise
                continue
            self._next = after
            self._look_at(stored)
            return

    async def _keep(self) -> None:
        wait_s = self._lease_s / 3
        hold_s = wait_s if self._steers is None else 0.0  # what waits already is asked for at once
        while True:
            wait_ms = max(1, int(hold_s * 1000))
            target = f"{self._path}/renew?fence={self._fence}&waitMs={wait_ms}"
            asked_at = time.monotonic()
            body = b"" if self._steers is None else self._steers.asked()
            renewed = await self._gateways.post(
                target, body, Stored, user=self._user, held_s=hold_s
            )
            self._look_at(renewed)
            if self._steers is not None:
                self._steers.receive(renewed.steers)
            if self.why is not None:
                await asyncio.sleep(wait_s)  # a known stop is answered at once
            elif hold_s and time.monotonic() - asked_at < MIN_RENEWAL_S:
                await asyncio.sleep(MIN_RENEWAL_S)  # a gateway that shuts down holds no request
            hold_s = wait_s

    def _look_at(self, answer: Stored) -> None:
        if answer.stopped_by is not None:
            self.stop()

    def stop(self) -> None:
        """Note that a person has stopped the run."""
        if self.why is None:
            self._become(RunStopped("a person stopped the run"))

    def _fail(self, error: MidstreamError) -> None:
        """End the delivery with an error."""
        if self.is_over or self._is_own_end(error):
            return
        self.is_over = True
        self._become(self._meaning(error))

    def _is_own_end(self, error: MidstreamError) -> bool:
        """Whether a `run_ended` of the keeper reports our own end, whose answer is under way."""
        return (
            self._ending is not None
            and isinstance(error, RefusedError)
            and error.code == "run_ended"
            and error.details.get("outcome") == self._ending
        )

    def _become(self, why: RunOver | MidstreamError) -> None:
        self.why = why
        self.reasons.append(why)
        self._move()
        if len(self.reasons) == 1:
            self._on_over()

    def _meaning(self, error: MidstreamError) -> RunOver | MidstreamError:
        if not isinstance(error, RefusedError):
            return error
        if error.code == "fenced":
            self.outcome = "fenced"
            return FencedError()
        if error.code == "run_ended":
            self.outcome = str(error.details.get("outcome"))
            if self.outcome == "stopped":
                return RunStopped("a person stopped the run")
            if self.outcome == "finished":
                self.outcome = "fenced"  # what this attempt has written is not the whole answer
                return FencedError()
            return RunEndedError(self.outcome)
        return error

    def _move(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


def _batch_of(pending: Sequence[bytes]) -> list[bytes]:
    size = 0
    batch: list[bytes] = []
    for line in pending[:MAX_BATCH_CHUNKS]:
        size += len(line)
        if batch and size > MAX_BATCH_BYTES:
            break
        batch.append(line)
    return batch
