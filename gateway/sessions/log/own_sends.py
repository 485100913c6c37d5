"""Pages that ask to resume the answer that they are receiving already.

A page of the AI SDK may resume while the response of its own send streams: vercel/chatbot does,
as soon as the address of a new chat has changed. It then reads the run twice. The replay that a
late joiner gets is right for it as long as no tool is being called: ai 5 and 6 add the replay to
a message in which a tool's input is still streaming, and every version calls `onToolCall` for the
second time. So such a request waits until the calls are complete. If the run has ended by then,
its page has it all, and nothing is left to resume.

A second tab of the same browser looks the same to the gateway, and is to see the answer: that is
why it waits, and is not turned away.

The request may reach another process than the send did: a mark in Redis tells of the send, for two
minutes. A page asks right after its send, if it does.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from midstream.errors import StoreError
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
    from collections.abc import AsyncIterator, Awaitable, Callable

    from midstream.ids import RunId, SessionId
    from midstream.protocol.batch import ChunkBatch
    from midstream.sessions.log.run_view import RunView
    from midstream.sessions.types import Probe
    from midstream.store.contract import SessionStore

WAIT_S: Final = 10.0
"""For the calls to be complete: shorter than proxies wait for a response to begin."""

MARKED_MS: Final = 120_000
"""Lifetime of a mark in Redis. A process that dies leaves its marks behind."""

_INPUT_IS_COMPLETE: Final = (ToolInputAvailableChunk, ToolInputErrorChunk)
_IS_OVER: Final = (
    ToolInputErrorChunk,
    ToolOutputAvailableChunk,
    ToolOutputErrorChunk,
    ToolOutputDeniedChunk,
)


class OwnSends:
    """The sends whose responses are being read: those of this process, and marks of the others'."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._reading: Counter[tuple[RunId, str]] = Counter()
        self._forgetting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def reading(self, view: RunView, client: str) -> AsyncIterator[None]:
        """Note that a client reads the response of its send, as long as this is held."""
        reader = (view.info.id, _hashed(client))
        self._reading[reader] += 1
        try:
            with suppress(StoreError):  # then other processes take its page for another one
                await self._store.mark_reading(view.session_id, *reader, lifetime_ms=MARKED_MS)
            yield
        finally:
            self._reading[reader] -= 1
            if not self._reading[reader]:
                del self._reading[reader]
                # The reader may be cancelled: it does not wait for Redis.
                task = asyncio.create_task(self._forget(view.session_id, *reader))
                self._forgetting.add(task)
                task.add_done_callback(self._forgetting.discard)
            view.pulse.send()  # `may_replay` waits for this reader to leave

    async def aclose(self) -> None:
        """Take back the marks of the readers that have just left."""
        await asyncio.gather(*self._forgetting, return_exceptions=True)

    async def _forget(self, session_id: SessionId, run_id: RunId, client: str) -> None:
        with suppress(StoreError):
            await self._store.forget_reading(session_id, run_id, client)

    async def may_replay(
        self, view: RunView, probe: Probe, state: Callable[[], Awaitable[ChunkBatch]]
    ) -> bool:
        """Wait until the run can be replayed to a page that may be reading it already.

        Args:
            state: returns the message as it is now, as one batch.

        Returns:
            False if the page has nothing to resume.
        """
        reader = (view.info.id, _hashed(probe.client))
        elsewhere = reader not in self._reading and await self._is_marked(view.session_id, *reader)
        if not elsewhere and reader not in self._reading:
            return True
        unfinished, streaming = _calls(await state())
        if streaming and not probe.waits:
            return False
        try:
            async with asyncio.timeout(WAIT_S):
                while unfinished and not view.ended and (elsewhere or reader in self._reading):
                    await view.pulse.wait()
                    unfinished, streaming = _calls(await state())
        except TimeoutError:
            return not streaming
        return not view.ended

    async def _is_marked(self, session_id: SessionId, run_id: RunId, client: str) -> bool:
        try:
            return await self._store.is_marked_reading(session_id, run_id, client)
        except StoreError:
            return False


def _hashed(client: str) -> str:
    """Return a client's name in Redis: a hash, which identifies no person."""
    return hashlib.sha256(client.encode("utf-8", "surrogatepass")).hexdigest()[:20]


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
