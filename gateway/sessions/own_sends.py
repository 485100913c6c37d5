"""Pages that ask to resume the answer that they are receiving already.

A page of the AI SDK may resume while the response of its own send streams: vercel/chatbot does,
as soon as the address of a new chat has changed. It then reads the run twice. The replay that a
late joiner gets is right for it as long as no tool is being called: ai 5 and 6 add the replay to
a message in which a tool's input is still streaming, and every version calls `onToolCall` for the
second time. So such a request waits until the calls are complete. If the run has ended by then,
its page has it all, and nothing is left to resume.

A second tab of the same browser looks the same to the gateway, and is to see the answer: that is
why it waits, and is not turned away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.protocol.chunks import (
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import decode_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.ids import RunId
    from midstream.protocol.batch import ChunkBatch
    from midstream.sessions.run_log import RunLog

WAIT_S: Final = 10.0
"""For the calls to be complete: shorter than proxies wait for a response to begin."""

_INPUT_IS_COMPLETE: Final = (ToolInputAvailableChunk, ToolInputErrorChunk)
_IS_OVER: Final = (
    ToolInputErrorChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
    ToolOutputDeniedChunk,
)


class Probe(Struct, frozen=True):
    """A request to resume whatever runs, of a client that cannot say what it has.

    Attributes:
        client: what its page and the page of a send have in common: see `api/parameters.py`.
        waits: whether the client looks at its own message after the response has begun, as from
            ai 6 on; ai 5 looks before it asks, so that waiting changes nothing for it.
    """

    client: str
    waits: bool


class OwnSends:
    """The sends of this process whose responses are being read, by run and client."""

    def __init__(self) -> None:
        self._reading: Counter[tuple[RunId, str]] = Counter()

    def began(self, log: RunLog, client: str) -> Callable[[], None]:
        """Note that a client reads the response of its send; returns what forgets it."""
        key = (log.info.id, client)
        self._reading[key] += 1

        def ended() -> None:
            self._reading[key] -= 1
            if not self._reading[key]:
                del self._reading[key]
            log.pulse.send()  # who waits for it need not any more

        return ended

    async def may_replay(
        self, log: RunLog, probe: Probe, state: Callable[[], Awaitable[ChunkBatch]]
    ) -> bool:
        """Wait until the run can be told to a page that may be reading it already.

        Args:
            state: returns the message as it is now, as one batch.

        Returns:
            False if there is nothing that the page should be told.
        """
        if not self._is_reading(log, probe):
            return True
        unfinished, streaming = _calls(await state())
        if streaming and not probe.waits:
            return False
        try:
            async with asyncio.timeout(WAIT_S):
                while unfinished and not log.ended and self._is_reading(log, probe):
                    await log.pulse.wait()
                    unfinished, streaming = _calls(await state())
        except TimeoutError:
            return not streaming
        return not log.ended

    def _is_reading(self, log: RunLog, probe: Probe) -> bool:
        return (log.info.id, probe.client) in self._reading


def _calls(state: ChunkBatch) -> tuple[set[str], set[str]]:
    """Return the calls that are not over, and those whose input is still streaming."""
    unfinished: set[str] = set()
    streaming: set[str] = set()
    for chunk in decode_lines(state.payload):
        if isinstance(chunk, ToolInputStartChunk):
            unfinished.add(chunk.tool_call_id)
            streaming.add(chunk.tool_call_id)
        elif isinstance(chunk, (*_INPUT_IS_COMPLETE, *_IS_OVER)):
            unfinished.add(chunk.tool_call_id)
            streaming.discard(chunk.tool_call_id)
            if isinstance(chunk, _IS_OVER):
                unfinished.discard(chunk.tool_call_id)
    return unfinished, streaming
