"""One call of a tool, as an answer shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec
from msgspec import UNSET, Raw

from midstream.answer.checks import checked_delta, checked_json, checked_text
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.json_values import repaired_text
from midstream.protocol.surrogates import well_formed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from midstream.answer.answer import Answer
    from midstream.protocol.chunks import AnyChunk

FAILED: Final = "The tool failed."


class ToolError(Exception):
    """A tool's failure in a sentence of its own, which the model and the person read.

    Any other exception is told as a general sentence.
    """


class ToolCall:
    """A call. It is shown from the first `async with` or method on.

    As a block: an exception that leaves it makes the call a failed one first, with a
    `ToolError`'s text or a general one. A block that gives no result leaves the call to the
    client, whose answer opens another run that goes on with the message. Without a block, one
    line does: `await run.tool("roll", {"sides": 6}).output(4)`.

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
        """Say that it failed: the model reads it, and the run goes on.

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
