"""The answer of an agent, one method a kind of content: in the gateway, or from a worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, Self

import msgspec
from msgspec import UNSET, Raw

from midstream.answer.checks import (
    checked_delta,
    checked_json,
    checked_object,
    checked_optional,
    checked_reason,
    checked_text,
)
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, StartChunk
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.composer import as_chunk
from midstream.protocol.json_values import repaired_text
from midstream.protocol.sse import DONE_DATA
from midstream.protocol.surrogates import well_formed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from midstream.protocol.chunks import AnyChunk, FinishReason
    from midstream.protocol.composer import Composer


FAILED: Final = "The tool failed."


class ToolError(Exception):
    """A tool's failure in a sentence of its own, which the model and the person read.

    Any other exception becomes a general sentence.
    """


class Answer(ABC):
    """The answer of a run. Parts, steps and blocks open and close by themselves.

    Every method raises a TypeError for an argument of another type, and for a value that has no
    JSON; nothing of it is sent then.

    Attributes:
        finish_reason: why the answer ends. None: `tool-calls` if a call waits for its result,
            else `stop`.
        last_metadata: the message's metadata that `finish` brings, as JSON.
        passes: exceptions that do not fail the tool in whose block they are raised.
    """

    passes: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self) -> None:
        self._finish_reason: FinishReason | None = None
        self.last_metadata: Raw | None = None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the answer ends; see `Answer`.

        Raises (when it is set):
            TypeError, ValueError: it is no reason.
        """
        return self._finish_reason

    @finish_reason.setter
    def finish_reason(self, reason: FinishReason | None) -> None:
        self._finish_reason = checked_reason(reason)

    @property
    @abstractmethod
    def composer(self) -> Composer:
        """Makes chunks. Raises once the run has ended."""

    @abstractmethod
    async def emit(self, chunks: Sequence[AnyChunk]) -> None:
        """Send what the composer has made."""

    @abstractmethod
    def new_id(self) -> str:
        """Return an id for a call that its caller has not named."""

    @abstractmethod
    def give_up(self, last: ErrorChunk | AbortChunk) -> None:
        """End the run with another stream's error or abort."""

    async def text(self, delta: str) -> None:
        """Say more of the answer."""
        await self.emit(self.composer.text(checked_delta("run.text", "delta", delta)))

    async def reasoning(self, delta: str, *, provider_metadata: object = UNSET) -> None:
        """Think aloud; metadata belongs to the part (a provider's signature, for example)."""
        said = checked_delta("run.reasoning", "delta", delta)
        metadata = checked_object("run.reasoning", "provider_metadata", provider_metadata)
        await self.emit(self.composer.reasoning(said, provider_metadata=metadata))

    def tool(
        self,
        name: str,
        tool_input: object = UNSET,
        *,
        call_id: str | None = None,
        title: str | None = None,
        dynamic: bool = False,
    ) -> ToolCall:
        """Call a tool, and show its result; see `ToolCall`.

            async with run.tool("weather", {"city": "Rome"}) as call:
                await call.output(await weather("Rome"))

        Args:
            name: the tool's.
            tool_input: any JSON; left out, it is streamed by `call.input`.
            call_id: the provider's, if it has one.
            title: for people.
            dynamic: the client does not know the tool: its part is a `dynamic-tool`.

        Raises:
            TypeError, ValueError: an argument is of another type, or has no JSON.
        """
        given = tool_input
        if tool_input is not UNSET:
            given = checked_json("run.tool", "tool_input", tool_input)
        return ToolCall(
            self,
            checked_text("run.tool", "name", name),
            given,
            call_id=checked_optional("run.tool", "call_id", call_id) or self.new_id(),
            title=checked_optional("run.tool", "title", title),
            dynamic=bool(dynamic),
        )

    async def source(
        self, url: str, title: str | None = None, *, source_id: str | None = None
    ) -> None:
        """Name a web page that the answer uses."""
        await self.emit(
            self.composer.source(
                checked_text("run.source", "url", url),
                checked_optional("run.source", "title", title),
                source_id=checked_optional("run.source", "source_id", source_id),
            )
        )

    async def document(
        self,
        title: str,
        media_type: str,
        *,
        filename: str | None = None,
        source_id: str | None = None,
    ) -> None:
        """Name a document that the answer uses."""
        await self.emit(
            self.composer.document(
                checked_text("run.document", "title", title),
                checked_text("run.document", "media_type", media_type),
                filename=checked_optional("run.document", "filename", filename),
                source_id=checked_optional("run.document", "source_id", source_id),
            )
        )

    async def file(self, url: str, media_type: str) -> None:
        """Show a file; the address may be a data URL."""
        await self.emit(
            self.composer.file(
                checked_text("run.file", "url", url),
                checked_text("run.file", "media_type", media_type),
            )
        )

    async def data(
        self, name: str, value: object, *, part_id: str | None = None, transient: bool = False
    ) -> None:
        """Send a `data-NAME` part. One with the id of an earlier one replaces it.

        Args:
            name: what follows `data-`.
            value: any JSON.
            part_id: the part's id.
            transient: for the readers of the moment; never part of the message.
        """
        await self.emit(
            self.composer.data(
                checked_text("run.data", "name", name),
                checked_json("run.data", "value", value),
                part_id=checked_optional("run.data", "part_id", part_id),
                transient=bool(transient),
            )
        )

    async def status(self, text: str) -> None:
        """Show a status to the readers of the moment: a transient `data-status` `{text}`."""
        await self.emit(self.composer.status(checked_text("run.status", "text", text)))

    async def metadata(self, metadata: Mapping[str, object]) -> None:
        """Merge into the message's metadata."""
        await self.emit(
            self.composer.metadata(checked_object("run.metadata", "metadata", metadata))
        )

    async def step(self) -> None:
        """Begin the next step, whether or not this one's calls have results."""
        await self.emit(self.composer.step())

    async def chunk(self, chunk: AnyChunk | Mapping[str, object] | bytes | str) -> None:
        """Send any chunk, as a Struct, a mapping, or its JSON: another stream's, for example.

        The run writes its own `start` and `finish`: of these, the metadata and the reason are
        taken. An `error` fails the run with its text, and an `abort` ends it; nothing can be
        said after them. The mark `[DONE]` at a stream's end is nothing.

        Raises:
            MalformedFrameError, TypeError, ValueError: it is no chunk.
            IllegalChunkError: it is not allowed here.
        """
        if isinstance(chunk, bytes | str) and chunk in (DONE_DATA, DONE_DATA.decode()):
            return
        made = as_chunk(chunk)
        match made:
            case StartChunk():
                if made.message_metadata is not UNSET:
                    await self.metadata(msgspec.json.decode(made.message_metadata))
            case FinishChunk():
                if made.finish_reason is not UNSET:
                    self.finish_reason = made.finish_reason
                if made.message_metadata is not UNSET:
                    self.last_metadata = made.message_metadata
            case ErrorChunk() | AbortChunk():
                self.give_up(made)
            case _:
                await self.emit(self.composer.chunk(made))


class ToolCall:
    """A call. It is shown from the first `async with` or method on.

    As a block: an exception that leaves it makes the call a failed one first, with a
    `ToolError`'s text or a general one. A block that gives no result leaves the call to the
    client, whose answer opens another run that continues the message. Without a block, one
    line is enough: `await run.tool("roll", {"sides": 6}).output(4)`.

    Attributes:
        id: the call's.
    """

    def __init__(
        self,
        answer: Answer,
        name: str,
        tool_input: object,
        *,
        call_id: str,
        title: str | None,
        dynamic: bool,
    ) -> None:
        """Made by `Answer.tool`."""
        self.id = call_id
        self._answer = answer
        self._name = name
        self._input = tool_input
        self._title = title
        self._dynamic = dynamic
        self._streamed: list[str] = []
        self._begun = False
        self._complete = False
        self._answered = False

    async def __aenter__(self) -> Self:
        """Show the call."""
        await self._answer.emit(self._begin() if self._input is UNSET else self._completed())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete its input; an exception is its result, if there is none yet."""
        if error is None:
            await self._answer.emit(self._completed())
        elif isinstance(error, self._answer.passes) or not isinstance(error, Exception):
            return
        elif self._complete and not self._answered:
            # A call whose input was cut is closed with the run, as one that is unusable.
            await self.fail(str(error) if isinstance(error, ToolError) else FAILED)

    async def input(self, delta: str) -> None:
        """Stream more of its input: a piece of its JSON."""
        piece = checked_delta("call.input", "delta", delta)
        begun = self._begin()
        await self._answer.emit([*begun, *self._answer.composer.call_input(self.id, piece)])
        self._streamed.append(piece)

    async def output(self, output: object, *, preliminary: bool = False) -> None:
        """Give its result, any JSON; a preliminary one is replaced by the next.

        Raises:
            TypeError: something in it has no JSON.
            ValueError: the streamed input is no JSON, or the output is nested too deep.
        """
        given = checked_json("call.output", "output", output)
        completed = self._completed()
        self._answered = self._answered or not preliminary
        chunks = self._answer.composer.output(self.id, given, preliminary=bool(preliminary))
        await self._answer.emit([*completed, *chunks])

    async def fail(self, error_text: str) -> None:
        """Fail the call: the model reads the text, and the run continues.

        Raises:
            TypeError: the text is no `str`; of an exception, give `str(error)`.
            ValueError: the streamed input is no JSON.
        """
        text = checked_text("call.fail", "error_text", error_text)
        completed = self._completed()
        self._answered = True
        await self._answer.emit([*completed, *self._answer.composer.output_error(self.id, text)])

    def _begin(self) -> Sequence[AnyChunk]:
        if self._begun:
            return ()
        self._begun = True
        return self._answer.composer.call_begins(self._name, self.id, dynamic=self._dynamic)

    def _completed(self) -> Sequence[AnyChunk]:
        if self._complete:
            return ()
        given = self._streamed_input() if self._input is UNSET else self._input
        chunks = self._answer.composer.call(
            self._name, given, self.id, dynamic=self._dynamic, title=self._title
        )
        self._complete = True
        return chunks

    def _streamed_input(self) -> Raw:
        text = repaired_text("".join(self._streamed)) or "{}"
        try:
            return msgspec.json.decode(well_formed(text.encode()), type=Raw)
        except UNREADABLE as error:
            raise ValueError(
                f"unable to call {self._name}; its streamed input is no JSON: {error}"
            ) from None
