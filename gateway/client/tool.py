"""One call of a tool, as a run shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec
from msgspec import UNSET, Raw

from gateway.client.errors import RunOver, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from protocol.chunks import AnyChunk
    from protocol.composer import Composer

FAILED: Final = "The tool failed."


class Emitter(Protocol):
    """A run, as its calls need it."""

    @property
    def composer(self) -> Composer:
        """Makes the chunks. Raises what the body is to end with."""
        ...

    async def emit(self, chunks: Sequence[AnyChunk]) -> None:
        """Send them."""
        ...


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
        self, run: Emitter, name: str, tool_input: object, *, call_id: str, title: str | None,
        dynamic: bool,
    ) -> None:  # fmt: skip
        """Made by `Run.tool`."""
        self.id = call_id
        self._run = run
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
        await self._run.emit(self._begin() if self._input is UNSET else self._completed())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete its input; an exception is its result, if there is none yet."""
        if error is None:
            await self._run.emit(self._completed())
        elif isinstance(error, RunOver) or not isinstance(error, Exception):
            return
        elif self._complete and not self._answered:
            await self.fail(str(error) if isinstance(error, ToolError) else FAILED)

    async def input(self, delta: str) -> None:
        """Stream more of its input: a piece of its JSON."""
        begun = self._begin()
        await self._run.emit([*begun, *self._run.composer.call_input(self.id, delta)])
        self._streamed.append(delta)

    async def output(self, output: object, *, preliminary: bool = False) -> None:
        """Give its result, any JSON; a preliminary one is replaced by the next.

        Raises:
            ValueError: the streamed input is no JSON.
        """
        completed = self._completed()
        self._answered = self._answered or not preliminary
        chunks = self._run.composer.output(self.id, output, preliminary=preliminary)
        await self._run.emit([*completed, *chunks])

    async def fail(self, error_text: str) -> None:
        """Say that it failed: the model reads it, and the run goes on.

        Raises:
            ValueError: the streamed input is no JSON.
        """
        completed = self._completed()
        self._answered = True
        await self._run.emit([*completed, *self._run.composer.output_error(self.id, error_text)])

    def _begin(self) -> Sequence[AnyChunk]:
        if self._begun:
            return ()
        self._begun = True
        return self._run.composer.call_begins(self._name, self.id, dynamic=self._dynamic)

    def _completed(self) -> Sequence[AnyChunk]:
        if self._complete:
            return ()
        given = self._streamed_input() if self._input is UNSET else self._input
        chunks = self._run.composer.call(
            self._name, given, self.id, dynamic=self._dynamic, title=self._title
        )
        self._complete = True
        return chunks

    def _streamed_input(self) -> Raw:
        text = "".join(self._streamed) or "{}"
        try:
            return msgspec.json.decode(text, type=Raw)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(
                f"unable to call {self._name}; its streamed input is no JSON: {error}"
            ) from None
