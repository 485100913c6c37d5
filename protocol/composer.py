"""Composes an agent's answer, one method a part, as chunks in an order that is always legal.

A part opens with its first text and closes when another one begins. A step opens with its
first chunk, and the next one begins once all calls of this one have results. A step that the
agent itself opens, by the chunk for it, lasts until the agent ends it.

Sans-IO: every method returns the chunks to send, in order, possibly none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import UNSET

from midstream.protocol.chunks import (
    AnyChunk,
    Chunk,
    FileChunk,
    FinishChunk,
    FinishStepChunk,
    MessageMetadataChunk,
    OpaqueChunk,
    ReasoningDeltaChunk,
    ReasoningEndChunk,
    ReasoningStartChunk,
    ResetStepChunk,
    SourceDocumentChunk,
    SourceUrlChunk,
    StartChunk,
    StartStepChunk,
    TextDeltaChunk,
    TextEndChunk,
    TextStartChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
    ToolOutputAvailableChunk,
    ToolOutputDeniedChunk,
    ToolOutputErrorChunk,
)
from midstream.protocol.codec import data_chunk, decode
from midstream.protocol.errors import IllegalChunkError
from midstream.protocol.json_values import encode_json, repaired_text
from midstream.protocol.steering import steering_chunk
from midstream.protocol.steps import belongs_in_step, calls_of, opens_step
from midstream.protocol.surrogates import TextHalves, well_formed
from midstream.protocol.writer import ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midstream.protocol.messages import UIMessage


class Composer:
    """Makes one run's chunks, except `start` and `finish`.

    Args:
        message_id: the message that the run writes.
        new_id: makes the ids of parts, calls and sources. If the run may be replayed from
            its beginning, it must then make the same ids again.
        base: if the run continues a message: that message before the run.
    """

    def __init__(
        self, message_id: str, new_id: Callable[[], str], base: UIMessage | None = None
    ) -> None:
        self._new_id = new_id
        self._writer = ChunkWriter(message_id, base)
        self._earlier_calls = calls_of(base)
        self._writer.write(StartChunk(message_id=message_id))
        self._text: str | None = None
        self._reasoning: str | None = None
        self._said, self._thought = TextHalves(), TextHalves()
        self._inputs: dict[str, TextHalves] = {}
        self._in_step = False
        self.steps = 0
        """Steps that the run has begun."""
        # Whether the agent opened the step itself: then it also ends it.
        self._is_agents_step = False
        self._waiting: set[str] = set()
        self._answered = False
        # Chunks that were made before a refused one; they are sent with the next one.
        self._made: list[AnyChunk] = []

    @property
    def waits_for_results(self) -> bool:
        """Whether a call of the current step has no result yet."""
        return bool(self._waiting)

    def text(self, delta: str) -> list[AnyChunk]:
        """Append to the answer's text; an empty delta only opens the part.

        Half a character at the delta's end waits for the next delta.
        """
        if self._said.waits or not delta.isascii():
            delta = self._said.add(delta)
        if self._text is not None and delta and not (self._answered or self._made):
            # Fast path: a delta of the open text.
            chunk = TextDeltaChunk(id=self._text, delta=delta)
            self._writer.write(chunk)
            return [chunk]
        self._begin()
        if self._text is None:
            self._close_parts()
            self._text = self._new_id()
            self._admit(TextStartChunk(id=self._text))
        if delta:
            self._admit(TextDeltaChunk(id=self._text, delta=delta))
        return self._take()

    def reasoning(self, delta: str, *, provider_metadata: object = UNSET) -> list[AnyChunk]:
        """Append to the reasoning; the metadata is the part's (for example a signature)."""
        metadata = UNSET if provider_metadata is UNSET else encode_json(provider_metadata)
        delta = self._thought.add(delta)
        self._begin()
        if self._reasoning is None:
            self._close_parts()
            self._reasoning = self._new_id()
            self._admit(ReasoningStartChunk(id=self._reasoning))
        if delta or metadata is not UNSET:
            self._admit(
                ReasoningDeltaChunk(id=self._reasoning, delta=delta, provider_metadata=metadata)
            )
        return self._take()

    def call_begins(self, name: str, call_id: str, *, dynamic: bool = False) -> list[AnyChunk]:
        """Open a tool call whose input streams."""
        self._begin()
        self._close_parts()
        self._admit(
            ToolInputStartChunk(
                tool_call_id=call_id, tool_name=name, dynamic=True if dynamic else UNSET
            )
        )
        return self._take()

    def call_input(self, call_id: str, delta: str) -> list[AnyChunk]:
        """Append a piece of JSON to a call's input."""
        delta = self._inputs.setdefault(call_id, TextHalves()).add(delta)
        if not delta:
            return self._take()
        self._admit(ToolInputDeltaChunk(tool_call_id=call_id, input_text_delta=delta))
        return self._take()

    def call(
        self,
        name: str,
        call_input: object,
        call_id: str,
        *,
        dynamic: bool = False,
        title: str | None = None,
        executed_by_provider: bool = False,
    ) -> list[AnyChunk]:
        """Write a tool call with its complete input, whether that was streamed or not."""
        chunk = ToolInputAvailableChunk(
            tool_call_id=call_id,
            tool_name=name,
            input=encode_json(call_input),
            dynamic=True if dynamic else UNSET,
            title=UNSET if title is None else title,
            provider_executed=True if executed_by_provider else UNSET,
        )
        self._begin()
        self._close_parts()
        self._admit(chunk)
        return self._take()

    def output(self, call_id: str, output: object, *, preliminary: bool = False) -> list[AnyChunk]:
        """Write a call's result; the next one replaces a preliminary one."""
        self._admit(
            ToolOutputAvailableChunk(
                tool_call_id=call_id,
                output=encode_json(output),
                preliminary=True if preliminary else UNSET,
            )
        )
        return self._take()

    def output_error(self, call_id: str, error_text: str) -> list[AnyChunk]:
        """Write that a call failed. The model reads the text, and the run continues."""
        self._admit(
            ToolOutputErrorChunk(tool_call_id=call_id, error_text=repaired_text(error_text))
        )
        return self._take()

    def source(
        self, url: str, title: str | None = None, *, source_id: str | None = None
    ) -> list[AnyChunk]:
        """Write a web page that the answer uses."""
        self._begin()
        self._admit(
            SourceUrlChunk(
                source_id=source_id or self._new_id(),
                url=repaired_text(url),
                title=UNSET if title is None else repaired_text(title),
            )
        )
        return self._take()

    def document(
        self,
        title: str,
        media_type: str,
        *,
        filename: str | None = None,
        source_id: str | None = None,
    ) -> list[AnyChunk]:
        """Write a document that the answer uses."""
        self._begin()
        self._admit(
            SourceDocumentChunk(
                source_id=source_id or self._new_id(),
                media_type=media_type,
                title=repaired_text(title),
                filename=UNSET if filename is None else repaired_text(filename),
            )
        )
        return self._take()

    def file(self, url: str, media_type: str) -> list[AnyChunk]:
        """Write a file; `url` may be a data URL."""
        self._begin()
        self._close_parts()
        self._admit(FileChunk(url=url, media_type=media_type))
        return self._take()

    def data(
        self, name: str, value: object, *, part_id: str | None = None, transient: bool = False
    ) -> list[AnyChunk]:
        """Write a `data-NAME` part; it replaces an earlier one with its id.

        Args:
            transient: only for present readers; never part of the message.
        """
        made = data_chunk(name, encode_json(value), id=part_id, transient=transient)
        return self._take_chunk(made)

    def status(self, text: str) -> list[AnyChunk]:
        """Write a progress note for present readers: a transient `data-status`."""
        return self.data("status", {"text": text}, transient=True)

    def metadata(self, metadata: object) -> list[AnyChunk]:
        """Merge into the message's metadata."""
        self._admit(MessageMetadataChunk(message_metadata=encode_json(metadata)))
        return self._take()

    def step(self) -> list[AnyChunk]:
        """Begin the next step, even if calls of this one have no results."""
        self._finish_step()
        self._begin()
        return self._take()

    def steering(self, messages: Iterable[UIMessage]) -> list[AnyChunk]:
        """Write that people's messages were taken up, between two steps."""
        self._finish_step()
        for message in messages:
            self._admit(steering_chunk(message))
        return self._take()

    def chunk(self, chunk: AnyChunk | Mapping[str, object] | bytes | str) -> list[AnyChunk]:
        """Write any chunk, given as a Struct, a mapping, or its JSON.

        Raises:
            MalformedFrameError, TypeError, ValueError: it is not a chunk; see `as_chunk`.
            IllegalChunkError: it is illegal here, or only the gateway may write it.
        """
        return self._take_chunk(as_chunk(chunk))

    def _take_chunk(self, made: AnyChunk) -> list[AnyChunk]:
        if isinstance(made, StartChunk | FinishChunk):
            raise IllegalChunkError("unable to take a start or a finish; the run writes its own")
        if belongs_in_step(made) and (self._in_step or opens_step(made, self._earlier_calls)):
            self._begin()
        self._admit(made)
        if isinstance(made, StartStepChunk):
            self._is_agents_step = True
        return self._take()

    def resume(self, stored: Iterable[AnyChunk]) -> None:
        """Resume after stored chunks, in the step and the part that they leave open.

        Raises:
            IllegalChunkError: the chunks are not in a legal order.
        """
        for chunk in stored:
            if isinstance(chunk, StartChunk):
                continue  # the writer has it from the beginning
            self._writer.write(chunk)
            self._look_at(chunk)
            if isinstance(chunk, TextStartChunk):
                self._text = chunk.id
            elif isinstance(chunk, ReasoningStartChunk):
                self._reasoning = chunk.id

    def end(self) -> list[AnyChunk]:
        """Close all open parts and steps. No chunk may follow."""
        self._close_parts()
        self._finish_step()
        return self._take()

    # -- inside -------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Enter a step: the next one, if all calls of this one have results."""
        if self._in_step and self._answered and not (self._waiting or self._is_agents_step):
            self._finish_step()
        if not self._in_step:
            self._admit(StartStepChunk())

    def _finish_step(self) -> None:
        if self._in_step:
            self._close_parts()
            self._admit(FinishStepChunk())

    def _close_parts(self) -> None:
        if self._text is not None:
            if rest := self._said.rest():
                self._admit(TextDeltaChunk(id=self._text, delta=rest))
            self._admit(TextEndChunk(id=self._text))
        if self._reasoning is not None:
            if rest := self._thought.rest():
                self._admit(ReasoningDeltaChunk(id=self._reasoning, delta=rest))
            self._admit(ReasoningEndChunk(id=self._reasoning))

    def _admit(self, chunk: AnyChunk) -> None:
        for each in self._writer.admit(chunk):
            self._look_at(each)
            self._made.append(each)

    def _take(self) -> list[AnyChunk]:
        made, self._made = self._made, []
        return made

    def _look_at(self, chunk: AnyChunk) -> None:
        match chunk:
            case StartStepChunk():
                self._in_step = True
                self.steps += 1
                self._answered = False
                self._waiting.clear()
            case FinishStepChunk():
                self._in_step = self._answered = self._is_agents_step = False
                self._text = self._reasoning = None
            case TextEndChunk() if chunk.id == self._text:
                self._text = None
            case ReasoningEndChunk() if chunk.id == self._reasoning:
                self._reasoning = None
            case ResetStepChunk():
                self._text = self._reasoning = None
                self._answered = False
                self._waiting.clear()
            case ToolInputStartChunk() | ToolInputAvailableChunk():
                self._waiting.add(chunk.tool_call_id)
            case ToolOutputAvailableChunk() if chunk.preliminary is not True:
                self._answer(chunk.tool_call_id)
            case ToolInputErrorChunk() | ToolOutputErrorChunk() | ToolOutputDeniedChunk():
                self._answer(chunk.tool_call_id)
            case _:
                pass

    def _answer(self, call_id: str) -> None:
        self._waiting.discard(call_id)
        self._answered = True


def as_chunk(chunk: AnyChunk | Mapping[str, object] | bytes | str) -> AnyChunk:
    """Return a chunk that is given as a Struct, a mapping, or its JSON.

    A Struct is decoded again, too: the types of its fields were never checked.

    Raises:
        MalformedFrameError: it is not a chunk.
        TypeError: it has another type, or a value in it has no JSON.
        ValueError: it is nested too deep.
    """
    if isinstance(chunk, OpaqueChunk):
        return decode(chunk.raw)
    if isinstance(chunk, bytes):
        return decode(well_formed(chunk))
    if isinstance(chunk, str):
        return decode(well_formed(repaired_text(chunk).encode()))
    if isinstance(chunk, Chunk | Mapping):
        return decode(bytes(encode_json(chunk)))
    raise TypeError(
        "unable to take a chunk; it must be a mapping, a Struct of midstream.protocol.chunks, or "
        f"its JSON, not {type(chunk).__name__}"
    )
