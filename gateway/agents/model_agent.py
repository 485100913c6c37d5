"""The configured agent: a model with its instructions, one call after the other.

A run is steps. A step is one call of the model; if it ends with calls of tools that all
can be executed here, they are, and the model is called again with what they came to. A
step with calls that nobody here executes ends the run, for the client to answer them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import Raw, Struct

from gateway.agents.usage import add_usage
from gateway.errors import AgentNotFoundError, ProviderError, ProviderUnavailableError
from gateway.providers.base import StepRequest, ToolSpec, Usage
from gateway.providers.part_ids import PartIds
from protocol.assembler import Assembler
from protocol.chunks import AnyChunk, FinishChunk, FinishStepChunk, MessageMetadataChunk
from protocol.messages import UIMessage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from gateway.agents.base import AgentRequest
    from gateway.providers.base import Provider, StepResult, ToolCall


class ToolExecutor(Protocol):
    """Executes tools in this process."""

    def executes(self, name: str) -> bool:
        """Whether calls of this tool are for us; else they are for the client."""
        ...

    def execute(self, calls: Sequence[ToolCall]) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the calls' outputs or errors, as chunks; every call gets one of them."""
        ...


class ModelAgentConfig(Struct, frozen=True, kw_only=True):
    """What makes a configured agent.

    Attributes:
        model: answers unless the client asks for one of `models`.
        parameters, provider_options: see `StepRequest`.
        message_metadata: whether the message says which model wrote it, what it used and
            how long it took.
        max_steps: calls of the model in one run.
    """

    name: str
    model: str
    models: Sequence[str] = ()
    system: str | None = None
    tools: Sequence[ToolSpec] = ()
    tool_choice: str | None = None
    parameters: Mapping[str, object] = {}
    provider_options: Mapping[str, object] = {}
    send_reasoning: bool = True
    send_sources: bool = False
    message_metadata: bool = True
    max_steps: int = 20


class MessageMetadata(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """What a message's metadata says of the run; times in milliseconds from its begin."""

    model: str | None = None
    usage: Usage | None = None
    first_chunk_ms: int | None = None
    duration_ms: int | None = None


class ModelAgent:
    """Implements `Agent` with a provider's model."""

    def __init__(
        self, config: ModelAgentConfig, provider: Provider, tools: ToolExecutor | None = None
    ) -> None:
        """Put an agent together; `tools` executes those of `config.tools` that it can."""
        self._config = config
        self._provider = provider
        self._tools = tools

    @property
    def name(self) -> str:
        """As clients name it."""
        return self._config.name

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the run's chunks. See `Agent.stream`.

        Raises:
            AgentNotFoundError: the request names a model that the agent does not have.
            ProviderError: the provider failed; metadata came before, if it is wanted.
        """
        run = _Run(self._config, self._provider, self._tools, request)
        try:
            async with aclosing(run.steps()) as steps:
                async for chunks in steps:
                    yield chunks
        except ProviderError:
            if self._config.message_metadata:
                yield [MessageMetadataChunk(message_metadata=run.metadata())]
            raise
        yield [run.finish()]


class _Run:
    """One run of an agent: its request, and what its steps came to so far."""

    def __init__(
        self,
        config: ModelAgentConfig,
        provider: Provider,
        tools: ToolExecutor | None,
        request: AgentRequest,
    ) -> None:
        self._config = config
        self._provider = provider
        self._tools = tools
        self._request = request
        self._model = _chosen_model(config, request.model)
        self._part_ids = PartIds()
        self._message = _message_so_far(request) if tools is not None else None
        self._began_s = time.monotonic()
        self._first_chunk_s: float | None = None
        self._usage: Usage | None = None
        self._result: StepResult | None = None

    async def steps(self) -> AsyncGenerator[Sequence[AnyChunk]]:
        history = self._request.history
        for _ in range(self._config.max_steps):
            async with aclosing(self._step(history)) as step:
                async for chunks in step:
                    yield self._seen(chunks)
            assert self._result is not None  # noqa: S101 - a step that ends has one
            executed = False
            async with aclosing(self._execute(self._result)) as outputs:
                async for chunks in outputs:
                    executed = True
                    yield self._seen(chunks)
            # An interrupted step's parts are open: the end of the run closes them with it.
            if self._result.finish_reason != "interrupted":
                yield self._seen([FinishStepChunk()])
            if not executed or self._message is None:
                return
            message = UIMessage.parse(self._message.message())
            history = [*_before(self._request), message]

    async def _step(self, history: Sequence[UIMessage]) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Call the model once."""
        async with self._provider.open_step(self._step_request(history)) as step:
            async for chunks in step:
                if self._first_chunk_s is None:
                    self._first_chunk_s = time.monotonic()
                yield chunks
        result = self._result = step.result
        if result.model is not None:
            self._model = result.model
        self._usage = add_usage(self._usage, result.usage)
        if result.failure is not None:
            raise result.failure
        if result.warning is not None:
            raise ProviderUnavailableError(result.warning)

    async def _execute(self, result: StepResult) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Execute a step's calls, if all of them can be executed here."""
        tools, calls = self._tools, result.tool_calls
        if tools is None or not calls or result.finish_reason not in ("stop", "tool-calls"):
            return
        if all(tools.executes(call.name) for call in calls):
            async for chunks in tools.execute(calls):
                yield chunks

    def _seen(self, chunks: Sequence[AnyChunk]) -> Sequence[AnyChunk]:
        if self._message is not None:
            self._message.apply_all(chunks)
        return chunks

    def _step_request(self, history: Sequence[UIMessage]) -> StepRequest:
        config = self._config
        return StepRequest(
            model=_chosen_model(config, self._request.model),
            messages=history,
            system=config.system,
            tools=config.tools,
            tool_choice=config.tool_choice,
            parameters=config.parameters,
            provider_options=config.provider_options,
            new_id=self._request.new_id,
            part_ids=self._part_ids,
            send_reasoning=config.send_reasoning,
            send_sources=config.send_sources,
        )

    def finish(self) -> FinishChunk:
        """Return the run's last chunk."""
        reason = "other" if self._result is None else self._result.finish_reason
        if not self._config.message_metadata:
            return FinishChunk(finish_reason=reason)
        return FinishChunk(finish_reason=reason, message_metadata=self.metadata())

    def metadata(self) -> Raw:
        """Return what the message's metadata says, as of now."""
        first = self._first_chunk_s
        metadata = MessageMetadata(
            model=self._model,
            usage=self._usage,
            first_chunk_ms=None if first is None else self._since_begin_ms(first),
            duration_ms=self._since_begin_ms(time.monotonic()),
        )
        return Raw(msgspec.json.encode(metadata))

    def _since_begin_ms(self, now_s: float) -> int:
        return round((now_s - self._began_s) * 1000)


def _chosen_model(config: ModelAgentConfig, wanted: str | None) -> str:
    if wanted is None or wanted == config.model or wanted in config.models:
        return wanted or config.model
    raise AgentNotFoundError(
        f"unable to use this model with the agent {config.name}; leave `model` out of the request, "
        "or name one that is configured"
    )


def _continued(request: AgentRequest) -> UIMessage | None:
    """Return the message that the run goes on with, if it does."""
    last = request.history[-1] if request.history else None
    return last if last is not None and last.role == "assistant" else None


def _before(request: AgentRequest) -> Sequence[UIMessage]:
    """Return the history without the message that the run writes."""
    return request.history if _continued(request) is None else request.history[:-1]


def _message_so_far(request: AgentRequest) -> Assembler:
    return Assembler(request.message_id, _continued(request))
