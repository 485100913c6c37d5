"""Execution of an agent's tools, and approvals of their calls.

A tool's failure fails its call, never the run: the model reads it and continues.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from msgspec import Raw, structs

from midstream.agents.tools.api import ToolContext, ToolError, ToolOutput
from midstream.agents.tools.threads import Threads
from midstream.protocol.chunks import (
    AnyChunk,
    ToolApprovalRequestChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.json_values import encode_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from midstream.agents.base import AgentRequest
    from midstream.agents.tools.python_tool import PythonTool
    from midstream.providers.base import PendingCall, ToolSpec

logger = logging.getLogger(__name__)

MAX_UNREAD: Final = 64
"""Most results that wait to be sent; tools that yield more wait too."""

_NOT_JSON: Final = (TypeError, ValueError)


class Tools:
    """The tools of an agent.

    Args:
        python: executed here.
        declared: others, which the client or the provider executes.

    Attributes:
        specs: of all tools, for the model.
    """

    def __init__(
        self, python: Sequence[PythonTool] = (), declared: Sequence[ToolSpec] = ()
    ) -> None:
        self._python = {tool.name: tool for tool in python}
        self._threads = Threads()
        self.specs: Sequence[ToolSpec] = (*(tool.spec for tool in python), *declared)

    def executes(self, name: str) -> bool:
        """Whether the gateway executes calls of this tool; otherwise the client does."""
        return name in self._python

    def check(self, name: str, given: Raw) -> str | None:
        """Return the problem with a call's input, for the model. See `InputCheck`."""
        tool = self._python.get(name)
        return None if tool is None else tool.check(given)

    async def ask(
        self, calls: Sequence[PendingCall], request: AgentRequest
    ) -> list[ToolApprovalRequestChunk]:
        """Return a question for each of the calls that a person must allow."""
        questions = []
        for call in calls:
            tool = self._python.get(call.name)
            if tool is not None and await self._asks(tool, call, request):
                approval_id = request.new_id()
                question = ToolApprovalRequestChunk(approval_id=approval_id, tool_call_id=call.id)
                questions.append(question)
        return questions

    async def execute(
        self, calls: Sequence[PendingCall], request: AgentRequest
    ) -> AsyncGenerator[Sequence[AnyChunk]]:
        """Execute calls side by side, and yield results as they come.

        Every call gets one final result or error. Closing the generator, or cancelling it,
        ends the calls that have none yet.
        """
        arrived: asyncio.Queue[AnyChunk | None] = asyncio.Queue(MAX_UNREAD)
        request.begun.update(call.id for call in calls)
        tasks = [
            asyncio.create_task(self._run(call, request, arrived), name=f"tool {call.name}")
            for call in calls
        ]
        unfinished = len(tasks)
        try:
            while unfinished:
                chunk = await arrived.get()
                if chunk is None:
                    unfinished -= 1
                else:
                    yield [chunk]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(
        self, call: PendingCall, request: AgentRequest, arrived: asyncio.Queue[AnyChunk | None]
    ) -> None:
        """Execute one call; unless it is cancelled, its last chunk is final."""
        try:
            await arrived.put(await self._result(call, request, arrived))
        except ToolError as error:
            await arrived.put(_error(call, str(error) or _failed(call)))
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # else it is not ours: something that the tool awaited was cancelled
            logger.exception("tool_failed tool=%s run=%s", call.name, request.run_id)
            await arrived.put(_error(call, _failed(call)))
        await arrived.put(None)

    async def _result(
        self, call: PendingCall, request: AgentRequest, arrived: asyncio.Queue[AnyChunk | None]
    ) -> ToolOutputAvailableChunk:
        """Return the final result of a call; preliminary ones are sent before.

        A generator's last value is sent twice, as by the AI SDK: only the generator's end shows
        that it was the last.
        """
        tool = self._python.get(call.name)
        if tool is None:
            raise ToolError(f"The tool {call.name} is not available any more.")
        if (problem := tool.check(call.input)) is not None:
            raise ToolError(f"Invalid input for tool {call.name}: {problem}")
        output = _output(call, None)
        try:
            async with asyncio.timeout(tool.limit_s) as limit:
                values = tool.call(call.input, _context(call.id, request), self._threads)
                async with aclosing(values):
                    async for value in values:
                        output = _output(call, value)
                        if tool.is_stream:
                            await arrived.put(structs.replace(output, preliminary=True))
        except TimeoutError:
            if not limit.expired():
                raise
            raise ToolError(
                f"The tool {call.name} was given up; it took longer than {tool.limit_s:g} seconds."
            ) from None
        return output

    async def _asks(self, tool: PythonTool, call: PendingCall, request: AgentRequest) -> bool:
        context = _context(call.id, request)
        try:
            async with asyncio.timeout(tool.limit_s):
                return await tool.asks(call.input, context, self._threads)
        except Exception:
            # The check failed, so a person decides.
            logger.exception("approval_undecided tool=%s run=%s", call.name, request.run_id)
            return True


def _context(tool_call_id: str, request: AgentRequest) -> ToolContext:
    return ToolContext(
        session_id=request.session_id,
        run_id=request.run_id,
        user=request.user,
        tenant=request.tenant,
        tool_call_id=tool_call_id,
    )


def _json_of(call: PendingCall, value: object) -> Raw:
    try:
        return encode_json(value)
    except _NOT_JSON:
        logger.warning("tool_result_not_json tool=%s type=%s", call.name, type(value).__name__)
        raise ToolError(f"The tool {call.name} returned something that is not JSON.") from None


def _output(call: PendingCall, value: object) -> ToolOutputAvailableChunk:
    metadata = call.metadata
    if isinstance(value, ToolOutput):
        metadata = value.marked(metadata)
        value = value.output()
    return ToolOutputAvailableChunk(
        tool_call_id=call.id, output=_json_of(call, value), provider_metadata=metadata
    )


def _error(call: PendingCall, text: str) -> ToolOutputErrorChunk:
    return ToolOutputErrorChunk(
        tool_call_id=call.id, error_text=text, provider_metadata=call.metadata
    )


def _failed(call: PendingCall) -> str:
    return f"The tool {call.name} failed because of an internal error."
