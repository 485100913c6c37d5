"""A call of a proxied run, for the proxy that forwards its bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from midstream.errors import RunActiveError
from midstream.sessions.sentences import PARALLEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.errors import GatewayError
    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import StepResult
    from midstream.providers.part_ids import PartIds
    from midstream.providers.passthrough.content import ToolResult
    from midstream.sessions.proxied.run import ProxiedRun


class ProxiedCall:
    """A call under way.

    Attributes:
        ends: the run ends with its answer.
    """

    def __init__(self, run: ProxiedRun, *, ends: bool) -> None:
        self.ends = ends
        self._run = run
        self._ended = False

    @classmethod
    def begin(
        cls, run: ProxiedRun, results: Sequence[ToolResult], *, ends: bool = False
    ) -> ProxiedCall:
        """Begin a call of a run. See `ProxiedRun.begin`."""
        call = cls(run, ends=ends)
        run.begin(call, results)
        return call

    @property
    def part_ids(self) -> PartIds:
        """Ids of the run's parts, shared by its calls."""
        return self._run.part_ids

    def write(self, chunks: Sequence[AnyChunk], size_bytes: int) -> None:
        """Show chunks; never waits. See `ProxiedRun.write`."""
        self._run.write(chunks, size_bytes)

    def end(self, result: StepResult) -> None:
        """End the call: its answer is complete."""
        self._ended = True
        self._run.end_call(self, result)

    def fail(self, failure: GatewayError, *, comes_again: bool = False) -> None:
        """End the call: the provider failed. See `ProxiedRun.fail_call`."""
        self._run.fail_call(self, failure, comes_again=comes_again)

    def end_run(self, failure: GatewayError | None) -> None:
        """End the run: no call is made."""
        self._run.drop_call(self)
        self._run.finish(failure)

    async def settled(self) -> None:
        """Wait until the log has the answer, before its caller has its last byte.

        See `ProxiedRun.settled`.
        """
        await self._run.settled()

    def leave(self) -> None:
        """End the run, whose caller has left, unless the call has ended."""
        self._run.leave_call(self)

    async def until_stopped(self) -> None:
        """Return when a person has stopped the run; never, if it ends in another way.

        Raises:
            RunActiveError: another call of the run has taken it over, through another process.
        """
        producer = self._run.producer
        if producer is not None:
            await producer.until_agent_ended()
        if not self._ended:
            if self._run.stopped:
                return
            if await self._run.is_taken():
                raise RunActiveError(PARALLEL)
        await asyncio.Event().wait()
