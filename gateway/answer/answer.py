"""What an agent can say, one method a thing: inside the gateway, or from a worker elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import msgspec
from msgspec import UNSET

from midstream.answer.checks import (
    checked_delta,
    checked_json,
    checked_object,
    checked_optional,
    checked_reason,
    checked_text,
)
from midstream.answer.tool_call import ToolCall
from midstream.protocol.chunks import AbortChunk, ErrorChunk, FinishChunk, StartChunk
from midstream.protocol.composer import as_chunk
from midstream.protocol.sse import DONE_DATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from msgspec import Raw

    from midstream.protocol.chunks import AnyChunk, FinishReason
    from midstream.protocol.composer import Composer


class Answer(ABC):
    """The words of a run. Parts, steps and blocks open and close by themselves.

    Every method raises a TypeError for an argument of another type, and for a value that has no
    JSON; nothing of it is sent then.

    Attributes:
        finish_reason: why the answer ends. None: `tool-calls` if a call waits for its result,
            else `stop`.
        last_metadata: the message's metadata that `finish` brings, as JSON.
        passes: exceptions that are no failure of the tool in whose block they are raised.
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
        """Makes chunks. Raises, where nothing can be said any more."""

    @abstractmethod
    async def emit(self, chunks: Sequence[AnyChunk]) -> None:
        """Send what the composer has made."""

    @abstractmethod
    def new_id(self) -> str:
        """Return an id for a call that its caller has not named."""

    @abstractmethod
    def give_up(self, last: ErrorChunk | AbortChunk) -> None:
        """End the run as another stream's end says; nothing can be said after it."""

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
            transient: for who is there now; never part of the message.
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
        """Say what goes on, for who is there now: a transient `data-status` `{text}`."""
        await self.emit(self.composer.status(checked_text("run.status", "text", text)))

    async def metadata(self, metadata: Mapping[str, object]) -> None:
        """Merge into the message's metadata."""
        await self.emit(
            self.composer.metadata(checked_object("run.metadata", "metadata", metadata))
        )

    async def step(self) -> None:
        """Begin the next step, whatever the calls of this one came to."""
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
