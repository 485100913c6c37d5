"""The `parallel` wrapper: several function calls that a model writes as one.

Models sometimes call an internal tool named `parallel` whose input lists the real calls.
It is opened only if every call in it is one of a declared function; else it stays what it
looks like, a call of an undeclared tool.

Source: @ai-sdk/openai 4.0.118, `responses/expand-parallel-tool-call.ts`. Deviations: its full name
is known, too, and so it is in Chat Completions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw, Struct

from midstream.protocol.codec import UNREADABLE
from midstream.providers.conversation.tool_calls import rewritten

if TYPE_CHECKING:
    from collections.abc import Collection

WRAPPERS: Final = frozenset({"parallel", "multi_tool_use.parallel"})
_RECIPIENT_PREFIX: Final = "functions."


class _ToolUse(Struct):
    recipient_name: str
    parameters: Raw


class _WrapperInput(Struct):
    tool_uses: list[_ToolUse]


_decoder = msgspec.json.Decoder(_WrapperInput)


def is_parallel_wrapper(name: str, functions: Collection[str]) -> bool:
    """Whether a call is the wrapper, and not a declared function of that name."""
    return name in WRAPPERS and name not in functions


def wrapped_calls(arguments: str, functions: Collection[str]) -> list[tuple[str, str]]:
    """Return name and arguments of the calls inside a wrapper; none if it cannot be opened."""
    try:
        uses = _decoder.decode(arguments).tool_uses
    except UNREADABLE:
        return []
    names = [use.recipient_name.removeprefix(_RECIPIENT_PREFIX) for use in uses]
    understood = all(
        use.recipient_name.startswith(_RECIPIENT_PREFIX)
        and name in functions
        and bytes(use.parameters).startswith(b"{")
        for name, use in zip(names, uses, strict=True)
    )
    if not understood:
        return []
    return [(name, rewritten(use.parameters)) for name, use in zip(names, uses, strict=True)]
