"""The configured agent: a model with its instructions, one call after the other.

A run is steps. A step is one call of the model, and then its tool calls: those that are
executed here are, side by side. If that answers all of them, the model is called again with
their results, and also if its provider still owes the result of a call that it executes
itself. A call that the client executes, or that a person must allow, ends the
run; its answer opens another, which continues the message: first with the calls that were
allowed or refused, then, once no call waits, with the next step.

Source: ai 7.0.173, `generate-text/stream-text.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.agents.base import AgentTraits
from midstream.agents.model.left_out import LeavingOut, Refused
from midstream.agents.model.progress import has_words, open_calls, read_point
from midstream.agents.model.run import ModelRun
from midstream.agents.tools.executor import Tools

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from midstream.agents.base import AgentRequest, Interrupted
    from midstream.agents.model.config import ModelAgentConfig
    from midstream.protocol.chunks import AnyChunk
    from midstream.providers.base import DurableResponses, Provider


class ModelAgent:
    """Implements `AnyAgent`, and `DurableRuns`, with a provider's model.

    Attributes:
        traits: its runs are durable if interrupted steps are repeated, or if its provider
            continues without us.
    """

    def __init__(
        self, config: ModelAgentConfig, provider: Provider, tools: Tools | None = None
    ) -> None:
        """Put an agent together."""
        self._config = config
        self._provider = provider
        self._tools = tools or Tools()
        limit = config.parameters.get("max_output_tokens")
        durable = config.restarts or self._kept_by_provider() is not None
        self.traits = AgentTraits(
            executes=self._tools.executes,
            passes_on=True,
            durable=self if durable else None,
            max_output_tokens=limit if isinstance(limit, int) else None,
            steers=True,
        )
        self._refused = Refused()

    @property
    def name(self) -> str:
        """As clients name it."""
        return self._config.name

    def can_resume(self, interrupted: Interrupted) -> bool:
        """See DurableRuns.

        A step that is repeated must not have asked the client to execute a tool, which may
        have done so already.
        """
        point = read_point(interrupted.point)
        if point is None:
            return not interrupted.point
        if point.response or point.answered is not None or point.step < 0:
            return True
        held = interrupted.held
        clients = [
            call
            for call in open_calls(held)
            if call.provider_executed is not True and not self._tools.executes(call.tool_name)
        ]
        return not has_words(held) or (self._config.restarts and not clients)

    async def abandon(self, point: bytes) -> None:
        """See DurableRuns."""
        left, provider = read_point(point), self._kept_by_provider()
        if left is None or provider is None or not left.response or left.answered is not None:
            return
        await provider.cancel(left.response.encode())

    def _kept_by_provider(self) -> DurableResponses | None:
        """Return the provider's responses if they continue without us for this agent."""
        responses = self._provider.durable
        if responses is None or not responses.keeps(self._config.provider_options):
            return None
        return responses

    def stream(self, request: AgentRequest) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Return the run's chunks; see `AnyAgent.stream` and `ModelRun.stream`.

        Raises:
            AgentNotFoundError: at once, if the request names a model that the agent does not have.
        """
        provider = LeavingOut(self._provider, self._refused)
        return ModelRun(self._config, provider, self._tools, request).stream()
