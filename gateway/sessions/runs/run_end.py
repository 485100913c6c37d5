"""End of a run that this process produces: its cause, and its closing chunks.

The agent ends or fails; or one of the early causes arrives first, and the agent is cancelled.
docs/architecture.md, "What a run's end is", has the whole list, with the outcome of each.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from msgspec import UNSET, UnsetType

from midstream.agents.base import cut_call
from midstream.errors import AgentError, GatewayError, ProviderError
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk
from midstream.protocol.errors import RemoteProtocolError
from midstream.sessions.sentences import INTERNAL_SENTENCE
from midstream.store.records import RunOutcome
from midstream.telemetry import PROVIDER_ERRORS, quoted

if TYPE_CHECKING:
    from collections.abc import Container

    from midstream.agents.base import AgentTraits
    from midstream.protocol.chunks import AnyChunk
    from midstream.protocol.writer import ChunkWriter
    from midstream.store.calls import RunKey

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class Cause(Enum):
    """Cause of a run's end. The agent's own end is not early; the others cancel the agent."""

    AGENT = auto()
    """The agent has ended, failed or given up, or still writes."""
    STOPPED = auto()
    """A stop is recorded in the log."""
    INTERRUPTED = auto()
    """Something here is in the way: a shutdown, Redis away for long, a backend that left."""
    HANDED_OVER = auto()
    """This process shuts down, and another one resumes the run. No terminal is written."""
    LOST = auto()
    """The run is another producer's, gone, or a newer gateway's. No terminal is written."""


class RunEnd:
    """End of a run, as far as its causes have arrived.

    Attributes:
        cause: the first that came decides, but that a run can be lost after it.
        failure: the sentence that people read; None if the run does not end by an error.
    """

    __slots__ = ("_aborted", "_finish", "_key", "cause", "failure")

    def __init__(self, key: RunKey) -> None:
        self.cause = Cause.AGENT
        self.failure: str | None = None
        self._key = key
        self._finish = FinishChunk()
        self._aborted: AbortChunk | None = None

    @property
    def by_agent(self) -> bool:
        """Whether the agent has ended, and has not failed."""
        return self.cause is Cause.AGENT and self.failure is None

    @property
    def finished(self) -> bool:
        """Whether the agent has ended, and neither failed nor given up."""
        return self.by_agent and self._aborted is None

    def take(self, cause: Cause, sentence: str | None = None) -> bool:
        """Take the cause of an early end; False if an earlier one decides."""
        if cause is not Cause.LOST and self.cause is not Cause.AGENT:
            return False
        self.cause = cause
        if sentence is not None:
            self.failure = sentence
        return True

    def take_envelope(self, chunk: AnyChunk) -> None:
        """Take from the agent a chunk that only the run's opening and its terminal write.

        Raises:
            AgentError: the chunk says that the agent failed.
            CancelledError: the chunk says that the agent gave up; no more chunks are requested.
        """
        if isinstance(chunk, FinishChunk):
            self._finish = chunk
        elif isinstance(chunk, ErrorChunk):
            raise AgentError(chunk.error_text)
        elif isinstance(chunk, AbortChunk):
            self._aborted = chunk
            raise asyncio.CancelledError

    def take_error(self, error: BaseException) -> None:
        """Turn the agent's failure into a sentence. A bug is logged, and not shown."""
        if isinstance(error, ProviderError):
            PROVIDER_ERRORS.labels(error.code).inc()
        if isinstance(error, GatewayError):
            self.failure = error.message
        elif isinstance(error, RemoteProtocolError):
            self.failure = str(error)
        else:
            self.failure = INTERNAL_SENTENCE
            logger.error("agent_failed run=%s", self._key.run_id, exc_info=error)
            return
        note = error.note if isinstance(error, GatewayError) else ""
        logger.warning(
            "run_failing run=%s session=%s %s",
            self._key.run_id,
            self._key.session_id,
            " ".join(filter(None, (quoted(reason=self.failure), note))),
        )

    def closing(
        self, writer: ChunkWriter, traits: AgentTraits, begun: Container[str]
    ) -> tuple[RunOutcome, list[AnyChunk]]:
        """Return the outcome, and the chunks that close open parts and report it.

        Args:
            begun: ids of the calls whose tools the agent has started.
        """
        stopped = self.cause is Cause.STOPPED
        aborted = None if stopped or self.failure is not None else self._aborted
        if stopped or aborted is not None:
            reason = None if aborted is None else _or_none(aborted.reason)
            cut = cut_call(traits, begun, stopped=True)
            return RunOutcome.STOPPED, writer.abort(reason, cut)
        metadata = _or_none(self._finish.message_metadata)
        if self.failure is not None:
            interrupted = self.cause is Cause.INTERRUPTED
            outcome = RunOutcome.INTERRUPTED if interrupted else RunOutcome.FAILED
            cut = cut_call(traits, begun, stopped=False)
            return outcome, writer.fail(self.failure, metadata, cut)
        # A provider that ended its response without a last event has not finished its answer.
        broke_off = self._finish.finish_reason == "interrupted"
        outcome = RunOutcome.INTERRUPTED if broke_off else RunOutcome.FINISHED
        return outcome, writer.finish(_or_none(self._finish.finish_reason), metadata)


def _or_none(value: _T | UnsetType) -> _T | None:
    return None if value is UNSET else value
