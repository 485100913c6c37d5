"""A call's request, as its SDK has sent it: the user's message, results of tools, and tools.

Only the end of the conversation is looked at; the session has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from midstream.providers.base import ToolSpec
from midstream.providers.passthrough.content import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable

NO_JSON: Final = Raw(b"null")


class ModelCall(Struct, frozen=True, kw_only=True):
    """Contents of a call.

    Attributes:
        streams: the answer is wanted as events.
        stored: the provider keeps the answer (of Responses).
        said: the parts of the user's last message, as a UIMessage has them; None without one.
        results: of tools since then, oldest first.
        goes_on: the conversation ends in results: the model continues its own message.
    """

    streams: bool = False
    stored: bool = True
    said: Sequence[Raw] | None = None
    results: Sequence[ToolResult] = ()
    goes_on: bool = False
    tools: Sequence[ToolSpec] = ()


class UserSaid(Struct, frozen=True):
    """The user's message, as parts of a UIMessage."""

    parts: Sequence[Raw]


class _DeclaredFunction(Struct):
    name: str = ""


class _DeclaredTool(Struct):
    type: str | None = None
    name: str | None = None
    function: _DeclaredFunction | None = None


class CallBody(Struct):
    """Fields that the bodies of all APIs have; each API adds its conversation."""

    stream: bool | None = None
    store: bool | None = None
    tools: list[Raw] | None = None

    def call(
        self, items: Sequence[Raw], read: Callable[[Raw], UserSaid | Sequence[ToolResult]]
    ) -> ModelCall:
        """Return the call.

        Args:
            items: the conversation, oldest first.
            read: reads one of them: the user's message, or the results in it, if any.
        """
        said: Sequence[Raw] | None = None
        results: list[Sequence[ToolResult]] = []
        goes_on = False
        for index, raw in enumerate(reversed(items)):
            found = read(raw)
            if isinstance(found, UserSaid):
                said = found.parts
                break
            if found:
                results.append(found)
                goes_on = goes_on or index == 0
        declared = map(_declared, self.tools or ())
        return ModelCall(
            streams=self.stream is True,
            stored=self.store is not False,
            said=said,
            results=[result for group in reversed(results) for result in group],
            goes_on=goes_on,
            tools=tuple(spec for spec in declared if spec is not None),
        )


_tool = msgspec.json.Decoder(_DeclaredTool)


def _declared(raw: Raw) -> ToolSpec | None:
    """Return a tool by its name; a provider's own that has none goes by its type."""
    tool = _tool.decode(raw)
    if tool.function is not None:
        return ToolSpec(name=tool.function.name)
    own = tool.type if tool.type not in (None, "function", "custom") else None
    name = tool.name or own
    return None if name is None else ToolSpec(name=name, provider_type=own)
