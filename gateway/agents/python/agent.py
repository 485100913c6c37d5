"""An agent in Python: a function of a `Run`."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias

from msgspec import UNSET

from midstream.agents.base import AgentTraits
from midstream.agents.python.outbox import LateWriteError, Outbox
from midstream.agents.python.run import Run
from midstream.errors import SettingsError
from midstream.protocol.chunks import FinishChunk
from midstream.protocol.composer import Composer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from midstream.agents.base import AgentRequest
    from midstream.ids import RunId
    from midstream.protocol.chunks import AnyChunk

    Said: TypeAlias = AnyChunk | Mapping[str, object] | str
    Answer: TypeAlias = Callable[[Run], Awaitable[None] | AsyncIterator[Said | Sequence[Said]]]

logger = logging.getLogger(__name__)


class Agent:
    """Answers with a function.

    Args:
        name: in clients' requests.
        answer: `async def answer(run: Run) -> None`, which writes with the run's methods; or
            an async generator function, which may also yield text (`str`), chunks (Structs or
            mappings), and lists of these. When it returns, the answer is finished. When it
            raises an `AgentError`, the run fails with that sentence; with anything else, it
            fails with a general one, and the exception is logged. A stop cancels it.
        models: that clients may request, its own first. Empty: the agent decides.

    Raises:
        SettingsError: `answer` is no such function.
    """

    def __init__(self, name: str, answer: Answer, models: Sequence[str] = ()) -> None:
        problem = _problem(answer)
        if problem is not None:
            raise SettingsError(f"unable to use the agent `{name}`; {problem}")
        if not name:
            raise SettingsError(
                "unable to use an agent without a name; clients name it in their requests"
            )
        self.name = name
        self.answer = answer
        self.models = tuple(models)
        self.traits = AgentTraits(steers=True)

    async def stream(self, request: AgentRequest) -> AsyncIterator[Sequence[AnyChunk]]:
        """Yield the run's chunks. See `AnyAgent.stream`."""
        outbox = Outbox()
        composer = Composer(request.message_id, request.new_id, request.continued)
        run = Run(request, composer, outbox)
        answering = asyncio.create_task(self._answer(run), name=f"answer {request.run_id}")
        answering.add_done_callback(lambda _: outbox.close())
        try:
            while chunks := await outbox.take():
                yield chunks
            if answering.cancelled():
                raise RuntimeError("the agent has cancelled itself")
            await answering
            yield [*composer.end(), _finish(run, composer)]
            outbox.end(cut_short=False)
        finally:
            outbox.end(cut_short=not answering.done())
            if not answering.done():
                answering.cancel()
                await asyncio.wait({answering})
                _log_failure(answering, request.run_id)

    async def _answer(self, run: Run) -> None:
        answered = self.answer(run)
        if not isinstance(answered, AsyncIterator):
            await answered
            return
        async with aclosing(answered) as said:  # type: ignore[type-var]
            async for each in said:
                await _say(run, each)


async def _say(run: Run, said: Said | Sequence[Said]) -> None:
    match said:
        case str():
            await run.text(said)
        case list() | tuple():
            for each in said:
                await _say(run, each)
        case _:
            await run.chunk(said)  # type: ignore[arg-type] # no other sequence is allowed


def _log_failure(answering: asyncio.Task[None], run_id: RunId) -> None:
    """Log a failure of the agent's cleanup; its run has ended already."""
    error = None if answering.cancelled() else answering.exception()
    if error is not None and not isinstance(error, LateWriteError):
        logger.warning("agent_failed_after_its_end run=%s", run_id, exc_info=error)


def _finish(run: Run, composer: Composer) -> FinishChunk:
    reason = run.finish_reason
    if reason is None:
        reason = "tool-calls" if composer.waits_for_results else "stop"
    return FinishChunk(
        finish_reason=reason,
        message_metadata=UNSET if run.last_metadata is None else run.last_metadata,
    )


def _problem(answer: object) -> str | None:
    """Return the problem with an agent's function, if there is one."""
    called = answer if inspect.isroutine(answer) else getattr(answer, "__call__", answer)  # noqa: B004
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    if not any(is_kind(each) for is_kind in kinds for each in (answer, called)):
        return "it must be an `async def` function of a Run, or an async generator function"
    try:
        inspect.signature(answer).bind(None)  # type: ignore[arg-type] # it is callable
    except TypeError as error:
        return f"it must take one argument, the Run: {error}"
    return None
