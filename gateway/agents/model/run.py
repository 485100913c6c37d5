"""One run of a model agent: its steps and their results.

A run with a memory remembers its point before each call of the model, and before it executes tools.
A process that takes it over resumes there (`Progress`), and repeats the chunks that follow.
"""

from __future__ import annotations

import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from midstream.agents.metadata import MessageMetadata, add_usage
from midstream.agents.model.approvals import PendingApprovals
from midstream.agents.model.opening import StepOpening
from midstream.agents.model.progress import (
    Answered,
    Progress,
    StepProgress,
    has_words,
    model_visible,
    questions_of,
    reserve_ids,
    settled,
    step_ids,
    taken_back,
)
from midstream.agents.model.steering import StepSteers
from midstream.agents.model.step import EXECUTING, ModelStep, Owed
from midstream.aio.entered import Entered
from midstream.authors import with_speakers
from midstream.errors import ProviderError, ProviderUnavailableError
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import (
    AnyChunk,
    FinishChunk,
    FinishReason,
    FinishStepChunk,
    MessageMetadataChunk,
    StartStepChunk,
)
from midstream.protocol.continuation import without_cut_step
from midstream.protocol.deltas import only_words
from midstream.protocol.errors import LocalProtocolError
from midstream.protocol.messages import UIMessage
from midstream.providers.base import StepRequest, Usage
from midstream.providers.part_ids import PartIds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from midstream.agents.base import AgentRequest, Interrupted
    from midstream.agents.model.config import ModelAgentConfig
    from midstream.agents.tools.executor import Tools
    from midstream.providers.base import PendingCall, Provider, StepResult


logger = logging.getLogger(__name__)


class ModelRun:
    """One run of an agent: its request, and the results of its steps so far."""

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
        self._model = config.chosen_model(request.model)
        self._part_ids = PartIds()
        self._owed = Owed(
            spec.name for spec in tools.specs if spec.provider_type in provider.deferring_tools
        )
        self._continued = request.continued
        self._message = Assembler(request.message_id, self._continued) if tools.specs else None
        self._progress = Progress(request.memory)
        self._began_s = time.monotonic()
        self._first_chunk_s: float | None = None
        self._usage: Usage | None = None
        self._finish_reason: FinishReason = "other"
        self._waiting = False
        self._steers = StepSteers(request, self._progress.interrupted)
        if self._steers.any_taken and self._message is None:
            self._message = Assembler(request.message_id, self._continued)
        if self._progress.interrupted is not None:
            self._restore(self._progress.interrupted)

    def _restore(self, interrupted: Interrupted) -> None:
        """Restore the state that the run had in another process."""
        point = self._progress.point
        self._began_s -= max(0.0, time.time() - point.began_ms / 1000)
        if point.first_chunk_ms is not None:
            self._first_chunk_s = self._began_s + point.first_chunk_ms / 1000
        self._model = point.model or self._model
        self._usage = point.usage
        self._request.spent.note(point.usage)
        # A resumed step reserves its own ids again.
        known = point.begins if point.answered is None else interrupted.next
        reserve_ids(self._part_ids, interrupted.chunks[:known])
        if self._message is not None:
            self._message.apply_all(model_visible(interrupted.chunks[: interrupted.next]))
        self._owed.note(interrupted.chunks[: interrupted.next])

    @property
    def _is_behind(self) -> bool:
        """Whether the log holds more chunks of the run than were yielded."""
        interrupted = self._progress.interrupted
        return interrupted is not None and self._progress.next < len(interrupted.chunks)

    async def stream(self) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Yield the results of allowed calls, then step after step, and the finish.

        Raises:
            ProviderError: the provider failed; metadata came before, if it is wanted.
        """
        first = self._progress.point.step
        try:
            if first < 0 and self._continued is not None and self._message is not None:
                pending = PendingApprovals.of(self._continued, self._tools)
                async with aclosing(self._resolve(pending)) as outcomes:
                    async for chunks in outcomes:
                        yield chunks
            numbers = range(max(0, first), self._config.max_steps)
            for number in () if self._waiting else numbers:
                step = ModelStep(number)
                interrupted = self._progress.take_interrupted(number)
                answered = None if interrupted is None else self._progress.point.answered
                if interrupted is None and (taken := await self._take_up(number)):
                    yield taken
                    await self._steers.confirm(taken)
                if answered is None:
                    async with aclosing(self._ask_model(step, interrupted)) as answer:
                        async for chunks in answer:
                            yield chunks
                    interrupted, answered = None, await self._note_answer(step)
                async with aclosing(self._call_tools(step, answered, interrupted)) as outputs:
                    async for chunks in outputs:
                        yield chunks
                if step.cut:
                    break  # its parts are open: the end of the run closes them with it
                yield self._seen([FinishStepChunk()])
                if self._tools.specs and step.may_be_followed(owed=self._owed.any):
                    continue
                if not (self._steers.wait and step.may_be_steered(self._finish_reason)):
                    break
                if number + 1 == self._config.max_steps:
                    continue  # for want of steps
                if not (taken := await self._take_up(number + 1)):
                    break
                yield taken
                await self._steers.confirm(taken)
            else:
                self._steers.end("stop-condition")
        except ProviderError:
            # Until the log is repeated in full, any other chunk would diverge from it.
            if self._config.message_metadata and not self._is_behind:
                yield [MessageMetadataChunk(message_metadata=self._metadata("error"))]
            raise
        yield [self._finish()]

    async def _take_up(self, number: int) -> Sequence[AnyChunk]:
        """Return the messages of people that come before a step, as chunks."""
        taken = await self._steers.take(number) if self._steers.wait else ()
        if taken and self._message is None:
            self._message = await self._steers.message_so_far(self._request.message_id)
        return self._seen(taken)

    async def _resolve(self, pending: PendingApprovals) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Yield the outcomes of the calls that the run's message waited for."""
        interrupted = self._progress.take_interrupted(-1)
        if interrupted is None or not self._progress.point.executing:
            # Not applied to the message: the model's note names the person who refused, and the
            # reason.
            if pending.denied:
                yield pending.denied
            if pending.allowed:
                await self._keep(executing=True)
            outputs = self._execute(pending.allowed)
        else:
            outputs = self._settle(pending.allowed, interrupted)
        async with aclosing(outputs):
            async for chunks in outputs:
                yield chunks
        if pending.interrupted:
            yield self._seen(pending.interrupted)
        if pending.waiting:
            self._finish_reason = "tool-calls"
            self._waiting = True

    async def _note_answer(self, step: ModelStep) -> Answered:
        """Remember the calls of the model's answer, and those that a person must approve."""
        questions = await self._tools.ask(step.calls, self._request)
        answered = Answered(
            finish_reason=self._finish_reason,
            calls=tuple(step.calls),
            refused=step.refused,
            questions=tuple((each.approval_id, each.tool_call_id) for each in questions),
        )
        await self._keep(answered=answered)
        return answered

    async def _call_tools(
        self, step: ModelStep, answered: Answered, interrupted: Interrupted | None
    ) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Execute the tools that a step calls, or settle the interrupted ones."""
        step.calls, step.refused = answered.calls, answered.refused
        step.cut = answered.finish_reason == "interrupted"
        self._finish_reason = answered.finish_reason
        if answered.questions:
            yield self._seen(questions_of(answered))
        if answered.finish_reason not in EXECUTING:
            return
        asked = {call_id for _, call_id in answered.questions}
        ours = [
            call for call in step.calls if self._tools.executes(call.name) and call.id not in asked
        ]
        outputs = self._execute(ours) if interrupted is None else self._settle(ours, interrupted)
        async with aclosing(outputs):
            async for results in outputs:
                yield results
        step.executed = len(ours)

    async def _ask_model(
        self, step: ModelStep, interrupted: Interrupted | None
    ) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Call the model, or resume the interrupted call."""
        point = self._progress.point
        if interrupted is None:
            await self._keep(
                step=step.number,
                begins=await self._progress.reached(),
                attempt=0,
                executing=False,
                response="",
                answered=None,
            )
        elif not point.response and interrupted.held:
            for chunks in self._begin_again(interrupted):
                yield chunks
            attempt = point.attempt + has_words(interrupted.held)
            await self._keep(begins=await self._progress.reached(), attempt=attempt)
        else:
            step.look_at(interrupted.chunks[point.begins : interrupted.next])
        async with aclosing(self._read_answer(step)) as answer:
            async for chunks in answer:
                yield chunks

    async def _read_answer(self, step: ModelStep) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Send the request of a step; the answer goes out by call, where somebody takes it so."""
        again, emission = self._progress.point.attempt > 0, self._request.emission

        def fresh(chunks: Sequence[AnyChunk]) -> Sequence[AnyChunk]:
            if self._first_chunk_s is None:
                self._first_chunk_s = time.monotonic()
            if not only_words(chunks):
                step.look_at(chunks)
                self._owed.note(chunks)
                if again:
                    chunks = [chunk for chunk in chunks if not isinstance(chunk, StartStepChunk)]
            return self._seen(chunks)

        async with Entered() as entered:
            opening = StepOpening(self._provider.open_step(self._step_request()), entered)
            async with aclosing(opening.retries()) as retries:
                async for status in retries:
                    yield self._seen([status])
            stream = opening.stream
            del opening, retries
            if emission is not None:
                await stream.pump(lambda chunks: emission.take(fresh(chunks)), emission.room)
            else:
                async for chunks in stream:
                    yield fresh(chunks)
        self._note_result(stream.result)
        step.calls = stream.result.tool_calls

    def _note_result(self, result: StepResult) -> None:
        if result.model is not None:
            self._model = result.model
        self._usage = add_usage(self._usage, result.usage)
        self._request.spent.note(self._usage)
        self._finish_reason = result.finish_reason
        if result.failure is not None:
            raise result.failure
        if result.warning is not None:
            raise ProviderUnavailableError(result.warning)

    def _begin_again(self, interrupted: Interrupted) -> Iterator[Sequence[AnyChunk]]:
        """Repeat the chunks of an interrupted attempt, then reset the step."""
        reserve_ids(self._part_ids, interrupted.held)
        yield self._seen(interrupted.held)
        if again := taken_back(interrupted.held):
            yield self._seen(again)

    async def _settle(
        self, calls: Sequence[PendingCall], interrupted: Interrupted
    ) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Yield the outcomes of calls whose process died; none is executed again."""
        for chunks in settled(calls, interrupted.held):
            yield self._seen(chunks)

    async def _keep(self, **changes: Any) -> None:
        """Remember the run's point, with the metadata of the moment."""
        first = self._first_chunk_s
        point = replace(
            self._progress.point,
            **changes,
            model=self._model,
            usage=self._usage,
            first_chunk_ms=None if first is None else self._since_begin_ms(first),
        )
        await self._progress.keep(point)

    async def _execute(self, calls: Sequence[PendingCall]) -> AsyncGenerator[Sequence[AnyChunk]]:
        async with aclosing(self._tools.execute(calls, self._request)) as outputs:
            async for chunks in outputs:
                yield self._seen(chunks)

    def _seen(self, chunks: Sequence[AnyChunk]) -> Sequence[AnyChunk]:
        if self._message is not None:
            try:
                self._message.apply_all(chunks)
            except LocalProtocolError as error:
                # Out of order: the producer drops it, and we drop the chunks beside it.
                logger.info("chunks_passed_over run=%s reason=%s", self._request.run_id, error)
        return chunks

    def _history(self) -> Sequence[UIMessage]:
        """Return the conversation with the message in its current state."""
        assert self._message is not None  # noqa: S101 - callers have checked
        before, message = self._request.history, UIMessage.parse(self._message.message())
        if self._continued is not None:
            before = before[:-1]
            if self._progress.point.step == 0 and not self._steers.any_taken:
                message = without_cut_step(message)
        return [*before, message]

    def _step_request(self) -> StepRequest:
        config, progress = self._config, self._progress
        point = progress.point
        later = self._message is not None and (
            point.step > 0 or self._continued is not None or self._steers.any_taken
        )
        messages = self._history() if later else self._request.history
        new_id = self._request.new_id
        if progress.is_kept:
            new_id = step_ids(self._request.run_id, point.step, point.attempt)
        return StepRequest(
            model=config.chosen_model(self._request.model),
            messages=with_speakers(messages) if config.name_speakers else messages,
            system=config.system,
            tools=self._tools.specs,
            tool_choice=config.tool_choice,
            parameters=config.parameters,
            provider_options=config.provider_options,
            new_id=new_id,
            memory=StepProgress(progress) if progress.is_kept else None,
            part_ids=self._part_ids,
            send_reasoning=config.send_reasoning,
            send_sources=config.send_sources,
            check_input=self._tools.check,
        )

    def _finish(self) -> FinishChunk:
        """Return the run's last chunk."""
        reason = self._finish_reason
        if not self._config.message_metadata:
            return FinishChunk(finish_reason=reason)
        return FinishChunk(finish_reason=reason, message_metadata=self._metadata(reason))

    def _metadata(self, reason: FinishReason) -> Raw:
        """Return the message's metadata of the moment."""
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
