"""One call of a tool, as an agent in Python shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec
from msgspec import UNSET, Raw

from gateway.agents.tool_api import ToolError
from gateway.ids import new_id
from protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from gateway.agents.outbox import Outbox
    from protocol.chunks import AnyChunk
    from protocol.composer import Composer

FAILED = "The tool failed."


class ToolCall:
    """A call. It is shown from the first `async with` or method on.

    As a block: an exception that leaves it makes the call a failed one, with a `ToolError`'s
    text or a general one, and goes on. A block that gives no result leaves the call to the
    client, whose answer opens another run that goes on with the message. Without a block, one
    line does: `await run.tool("roll", {"sides": 6}).output(4)`.

    Attributes:
        id: the call's.
    """

    def __init__(
        self,
        composer: Composer,
        outbox: Outbox,
        name: str,
        tool_input: object,
        *,
        call_id: str | None,
        title: str | None,
        dynamic: bool,
    ) -> None:
        """Made by `Run.tool`."""
        self.id = call_id or new_id("call")
        self._composer = composer
        self._outbox = outbox
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
        self._outbox.check()
        if self._input is UNSET:
            await self._outbox.send(self._begin())
        else:
            await self._outbox.send(self._completed())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Complete its input; an exception is its result, if there is none yet."""
        if isinstance(error, Exception):
            if not self._answered and self._can_fail:
                await self.fail(str(error) if isinstance(error, ToolError) else FAILED)
        elif error is None:
            self._outbox.check()
            await self._outbox.send(self._completed())

    async def input(self, delta: str) -> None:
        """Stream more of its input: a piece of its JSON."""
        self._outbox.check()
        begun = self._begin()
        await self._outbox.send([*begun, *self._composer.call_input(self.id, delta)])
        self._streamed.append(delta)

    async def output(self, output: object, *, preliminary: bool = False) -> None:
        """Give its result, any JSON; a preliminary one is replaced by the next.

        Raises:
            ValueError: the streamed input is no JSON.
        """
        self._outbox.check()
        completed = self._completed()
        self._answered = self._answered or not preliminary
        await self._outbox.send(
            [*completed, *self._composer.output(self.id, output, preliminary=preliminary)]
        )

    async def fail(self, error_text: str) -> None:
        """Say that it failed: the model reads it, and the run goes on.

        Raises:
            ValueError: the streamed input is no JSON.
        """
        self._outbox.check()
        completed = self._completed()
        self._answered = True
        await self._outbox.send([*completed, *self._composer.output_error(self.id, error_text)])

    @property
    def _can_fail(self) -> bool:
        """A call whose input was cut is closed with the run, as one that is unusable."""
        return self._complete

    def _begin(self) -> Sequence[AnyChunk]:
        if self._begun:
            return ()
        self._begun = True
        return self._composer.call_begins(self._name, self.id, dynamic=self._dynamic)

    def _completed(self) -> Sequence[AnyChunk]:
        if self._complete:
            return ()
        given = self._streamed_input() if self._input is UNSET else self._input
        chunks = self._composer.call(
            self._name, given, self.id, dynamic=self._dynamic, title=self._title
        )
        self._complete = True
        return chunks

    def _streamed_input(self) -> Raw:
        text = "".join(self._streamed) or "{}"
        try:
            return msgspec.json.decode(text, type=Raw)
        except UNREADABLE as error:
            raise ValueError(
                f"unable to call {self._name}; its streamed input is no JSON: {error}"
            ) from None
