"""A backend's chunks, reordered so that every client can read them.

A backend may merge streams, or write an order that one version of the client shows whole and
another fails on. Such orders are not refused but rearranged here; the writer behind stays strict.

- A step ends while a text of another stream is open: clients before ai 7 forget open parts there.
  Its end is held until no part is open.
- A text begins under an open id: it is a new part, and the first one ends.
- A call has its result, or a question, before its input is whole: clients of every version let the
  input that follows take the result's place. It is held until the input is whole, or can come no
  more: then the call has the input that there was.
- A tool's input continues in a later step: clients search only the current step. It is shown when
  it is whole.

Chunks that no client shows (a delta of a part that was never opened, a result without a call) stay
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from midstream.protocol.chunks import (
    AnyChunk,
    FinishStepChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    StartStepChunk,
    TextEndChunk,
    TextStartChunk,
    ToolApprovalRequestChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.partial_json import parse_partial

if TYPE_CHECKING:
    from midstream.protocol.writer import ChunkWriter


class BackendOrder:
    """Reorders a backend's chunks, one by one.

    Args:
        writer: of the run; it checks the output.
    """

    def __init__(self, writer: ChunkWriter) -> None:
        self._writer = writer
        self._texts: set[str] = set()
        self._reasonings: set[str] = set()
        self._ends: list[FinishStepChunk] = []
        self._inputs: dict[str, _Input] = {}
        self._cut: set[str] = set()

    def take(self, chunk: AnyChunk) -> list[AnyChunk]:
        """Take a chunk, and return the chunks to write.

        Raises:
            IllegalChunkError: no client shows it there.
        """
        match chunk:
            case TextStartChunk():
                end: AnyChunk = TextEndChunk(id=chunk.id)
                return self._opened(chunk, chunk.id, self._texts, end)
            case ReasoningStartChunk():
                end = ReasoningEndChunk(id=chunk.id)
                return self._opened(chunk, chunk.id, self._reasonings, end)
            case TextEndChunk():
                return self._closed(chunk, chunk.id, self._texts)
            case ReasoningEndChunk():
                return self._closed(chunk, chunk.id, self._reasonings)
            case FinishStepChunk() if self._texts or self._reasonings:
                self._ends.append(chunk)
                return []
            case StartStepChunk():
                completed = self._complete_held()
                self._cut |= self._inputs.keys()
                self._inputs.clear()
                return [*completed, *self._writer.admit(chunk)]
            case _:
                return self._about_calls(chunk)

    def flush(self) -> list[AnyChunk]:
        """Return the held chunks at the end of the stream."""
        return self._complete_held()

    def _opened(self, chunk: AnyChunk, key: str, there: set[str], end: AnyChunk) -> list[AnyChunk]:
        before = self._writer.admit(end) if key in there else []
        there.add(key)
        return [*before, *self._writer.admit(chunk)]

    def _closed(self, chunk: AnyChunk, key: str, there: set[str]) -> list[AnyChunk]:
        chunks = self._writer.admit(chunk)
        there.discard(key)
        if self._texts or self._reasonings:
            return chunks
        for end in self._ends:
            chunks += self._writer.admit(end)
        self._ends.clear()
        return chunks

    def _about_calls(self, chunk: AnyChunk) -> list[AnyChunk]:
        match chunk:
            case ToolInputStartChunk() if chunk.tool_call_id in self._inputs:
                return []  # told again
            case ToolInputStartChunk():
                self._inputs[chunk.tool_call_id] = _Input(chunk)
                self._cut.discard(chunk.tool_call_id)
            case ToolInputDeltaChunk() if chunk.tool_call_id in self._cut:
                return []
            case ToolInputDeltaChunk() if chunk.tool_call_id in self._inputs:
                self._inputs[chunk.tool_call_id].text.append(chunk.input_text_delta)
            case ToolInputAvailableChunk() | ToolInputErrorChunk():
                return self._whole(chunk, chunk.tool_call_id)
            case (
                ToolOutputAvailableChunk()
                | ToolOutputErrorChunk()
                | ToolOutputDeniedChunk()
                | ToolApprovalRequestChunk()
            ) if chunk.tool_call_id in self._inputs:
                self._inputs[chunk.tool_call_id].held.append(chunk)
                return []
        return self._writer.admit(chunk)

    def _whole(self, chunk: AnyChunk, call_id: str) -> list[AnyChunk]:
        """Return a call's whole input, and the chunks held for it."""
        chunks = self._writer.admit(chunk)
        self._cut.discard(call_id)
        streamed = self._inputs.pop(call_id, None)
        for held in () if streamed is None else streamed.held:
            chunks += self._writer.admit(held)
        return chunks

    def _complete_held(self) -> list[AnyChunk]:
        """Return the calls with a result whose input can no longer arrive."""
        chunks: list[AnyChunk] = []
        for call_id, streamed in list(self._inputs.items()):
            if streamed.held:
                chunks += self._whole(streamed.as_far_as_it_came(), call_id)
        return chunks


class _Input:
    """A streaming tool input, and the chunks of its call that arrived before it was whole."""

    __slots__ = ("held", "start", "text")

    def __init__(self, start: ToolInputStartChunk) -> None:
        self.start = start
        self.text: list[str] = []
        self.held: list[AnyChunk] = []

    def as_far_as_it_came(self) -> ToolInputAvailableChunk:
        """Return the input that a client shows, as if it were whole."""
        start, given = self.start, parse_partial("".join(self.text))
        return ToolInputAvailableChunk(
            tool_call_id=start.tool_call_id,
            tool_name=start.tool_name,
            input=given if isinstance(given, Raw) else Raw(b"{}"),
            provider_executed=start.provider_executed,
            provider_metadata=start.provider_metadata,
            tool_metadata=start.tool_metadata,
            dynamic=start.dynamic,
            title=start.title,
        )
