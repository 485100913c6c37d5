"""The configured agent: a model with its instructions, one call after the other.

A run is steps. A step is one call of the model, and then its tool calls: those that are
executed here are, side by side. If that answers all of them, the model is called again with
what they came to, and also if its provider still owes the result of a call that it executes
itself. A call that the client executes, or that a person must allow, ends the
run; its answer opens another, which goes on with the message: first with what was allowed
or refused, then, once nothing waits any more, with the next step.

Source: ai 7.0.173, `generate-text/stream-text.ts`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from gateway.agents.answers import Answers
from gateway.agents.tools import Tools
from gateway.agents.usage import add_usage
from gateway.errors import AgentNotFoundError, ProviderError, ProviderUnavailableError
from gateway.providers.base import StepRequest, Usage
from gateway.providers.part_ids import PartIds
from protocol.assembler import Assembler
from protocol.chunks import (
    AnyChunk,
    FinishChunk,
    FinishReason,
    FinishStepChunk,
    MessageMetadataChunk,
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
)
from protocol.continuation import without_cut_step
from protocol.errors import LocalProtocolError
from protocol.messages import UIMessage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from gateway.agents.base import AgentRequest
    from gateway.providers.base import Provider, ToolCall

logger = logging.getLogger(__name__)


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
    finish_reason: FinishReason | None = None
    first_chunk_ms: int | None = None
    duration_ms: int | None = None


class ModelAgent:
    """Implements `Agent` with a provider's model."""

    passes_on = True

    def __init__(
        self, config: ModelAgentConfig, provider: Provider, tools: Tools | None = None
    ) -> None:
        """Put an agent together."""
        self._config = config
        self._provider = provider
        self._tools = tools or Tools()

    @property
    def name(self) -> str:
        """As clients name it."""
        return self._config.name

    def executes(self, tool_name: str) -> bool:
        """Whether calls of this tool are executed here. See `ExecutesTools`."""
        return self._tools.executes(tool_name)

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
                yield [MessageMetadataChunk(message_metadata=run.metadata("error"))]
            raise
        yield [run.finish()]


class _Run:
    """One run of an agent: its request, and what its steps came to so far."""

    def __init__(
        self,
        config: ModelAgentConfig,
        provider: Provider,
        tools: Tools,
        request: AgentRequest,
    ) -> None:
        self._config = config
        self._provider = provider
        self._tools = tools
        self._request = request
        self._model = _chosen_model(config, request.model)
        self._part_ids = PartIds()
        self._deferring = frozenset(spec.name for spec in tools.specs if spec.defers_results)
        self._owed: set[str] = set()
        self._continued = _continued(request)
        self._message = Assembler(request.message_id, self._continued) if tools.specs else None
        self._began_s = time.monotonic()
        self._first_chunk_s: float | None = None
        self._usage: Usage | None = None
        self._finish_reason: FinishReason = "other"

    async def steps(self) -> AsyncGenerator[Sequence[AnyChunk]]:
        history = self._request.history
        if self._continued is not None and self._message is not None:
            answers = Answers.to(self._continued, self._tools)
            # Not applied to the message: the model is told who refused, and why.
            if answers.denied:
                yield answers.denied
            async with aclosing(self._execute(answers.allowed)) as outputs:
                async for chunks in outputs:
                    yield chunks
            if answers.interrupted:
                yield self._seen(answers.interrupted)
            if answers.waiting:
                self._finish_reason = "tool-calls"
                return
            history = self._history()
            history[-1] = without_cut_step(history[-1])
        for _ in range(self._config.max_steps):
            step = _Step()
            async with aclosing(self._step(step, history)) as answer:
                async for chunks in answer:
                    yield chunks
            # An interrupted step's parts are open: the end of the run closes them with it.
            if not step.cut:
                yield self._seen([FinishStepChunk()])
            if self._message is None or not step.may_be_followed(owed=bool(self._owed)):
                return
            history = self._history()

    async def _step(
        self, step: _Step, history: Sequence[UIMessage]
    ) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Call the model once, and then the tools that it called."""
        async with self._provider.open_step(self._step_request(history)) as stream:
            async for chunks in stream:
                if self._first_chunk_s is None:
                    self._first_chunk_s = time.monotonic()
                step.look_at(chunks)
                self._note_owed(chunks)
                yield self._seen(chunks)
        result = stream.result
        if result.model is not None:
            self._model = result.model
        self._usage = add_usage(self._usage, result.usage)
        self._finish_reason = result.finish_reason
        if result.failure is not None:
            raise result.failure
        if result.warning is not None:
            raise ProviderUnavailableError(result.warning)
        step.calls = result.tool_calls
        step.cut = result.finish_reason == "interrupted"
        if step.cut:
            return
        questions = await self._tools.ask(step.calls, self._request)
        if questions:
            yield self._seen(questions)
        if result.finish_reason not in _EXECUTING:
            return
        asked = {question.tool_call_id for question in questions}
        ours = [
            call for call in step.calls if self._tools.executes(call.name) and call.id not in asked
        ]
        async with aclosing(self._execute(ours)) as outputs:
            async for results in outputs:
                yield results
        step.executed = len(ours)

    def _note_owed(self, chunks: Sequence[AnyChunk]) -> None:
        """Keep in mind which results the provider has left to a later step."""
        for chunk in chunks if self._deferring else ():
            if isinstance(chunk, ToolInputAvailableChunk):
                if chunk.provider_executed is True and chunk.tool_name in self._deferring:
                    self._owed.add(chunk.tool_call_id)
            elif isinstance(chunk, ToolOutputAvailableChunk | ToolOutputErrorChunk):
                self._owed.discard(chunk.tool_call_id)

    async def _execute(self, calls: Sequence[ToolCall]) -> AsyncGenerator[Sequence[AnyChunk]]:
        async with aclosing(self._tools.execute(calls, self._request)) as outputs:
            async for chunks in outputs:
                yield self._seen(chunks)

    def _seen(self, chunks: Sequence[AnyChunk]) -> Sequence[AnyChunk]:
        if self._message is not None:
            try:
                self._message.apply_all(chunks)
            except LocalProtocolError as error:
                # Out of order, and dropped on its way to the log; so is what came with it here.
                logger.info("chunks_passed_over run=%s reason=%s", self._request.run_id, error)
        return chunks

    def _history(self) -> list[UIMessage]:
        """Return the conversation with the message as it is now."""
        assert self._message is not None  # noqa: S101 - who asks has looked
        before = self._request.history
        if self._continued is not None:
            before = before[:-1]
        return [*before, UIMessage.parse(self._message.message())]

    def _step_request(self, history: Sequence[UIMessage]) -> StepRequest:
        config = self._config
        return StepRequest(
            model=_chosen_model(config, self._request.model),
            messages=history,
            system=config.system,
            tools=self._tools.specs,
            tool_choice=config.tool_choice,
            parameters=config.parameters,
            provider_options=config.provider_options,
            new_id=self._request.new_id,
            part_ids=self._part_ids,
            send_reasoning=config.send_reasoning,
            send_sources=config.send_sources,
            check_input=self._tools.check,
        )

    def finish(self) -> FinishChunk:
        """Return the run's last chunk."""
        reason = self._finish_reason
        if not self._config.message_metadata:
            return FinishChunk(finish_reason=reason)
        return FinishChunk(finish_reason=reason, message_metadata=self.metadata(reason))

    def metadata(self, reason: FinishReason) -> Raw:
        """Return what the message's metadata says, as of now."""
        first = self._first_chunk_s
        metadata = MessageMetadata(
            model=self._model,
            usage=self._usage,
            finish_reason=reason,
            first_chunk_ms=None if first is None else self._since_begin_ms(first),
            duration_ms=self._since_begin_ms(time.monotonic()),
        )
        return Raw(msgspec.json.encode(metadata))

    def _since_begin_ms(self, now_s: float) -> int:
        return round((now_s - self._began_s) * 1000)


_EXECUTING: Final = ("stop", "tool-calls")
"""The reasons of steps whose calls are executed: others were cut."""


class _Step:
    """A step's calls.

    Attributes:
        calls: usable ones, for the gateway or the client.
        executed: how many of them have their result.
        cut: the provider broke off: the step is the last.
    """

    def __init__(self) -> None:
        self.calls: Sequence[ToolCall] = ()
        self.executed = 0
        self.cut = False
        self._refused = 0

    def look_at(self, chunks: Sequence[AnyChunk]) -> None:
        """Count the calls that the model has to be told of, because they are unusable."""
        for chunk in chunks:
            if isinstance(chunk, ToolInputErrorChunk) and chunk.provider_executed is not True:
                self._refused += 1

    def may_be_followed(self, *, owed: bool) -> bool:
        """Whether no call waits for anybody, and there is something to say to the model.

        Args:
            owed: whether the provider still has to answer a call of its own tools.
        """
        if len(self.calls) != self.executed or self.cut:
            return False
        return owed or self.executed + self._refused > 0


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
