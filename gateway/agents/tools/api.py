"""API for tools in Python: the caller, failures, results, and options for providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from midstream.agents.tools.output import ToolFile, ToolOutput
from midstream.answer import ToolError
from midstream.ids import NO_TENANT, RunId, SessionId, TenantId, UserId
from midstream.providers.base import ToolOptions

__all__ = [
    "ToolContext",
    "ToolError",
    "ToolFile",
    "ToolOutput",
    "options_of",
    "tool_options",
]

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE: Final = "__midstream_tool_options__"
_NO_OPTIONS: Final = ToolOptions()


class ToolContext(Struct, frozen=True, kw_only=True):
    """The caller of a tool. A parameter annotated with it is filled in; no model sees it.

    `user`: the `sub` of the token. The same `sub` in another `tenant` is another person.
    """

    session_id: SessionId
    run_id: RunId
    user: UserId
    tool_call_id: str
    tenant: TenantId = NO_TENANT


def tool_options(
    *,
    strict: bool | None = None,
    defer_loading: bool | None = None,
    allowed_callers: Sequence[str] | None = None,
    input_examples: Sequence[Mapping[str, object]] | None = None,
    cache_control: Mapping[str, object] | None = None,
    eager_input_streaming: bool | None = None,
) -> Callable[[F], F]:
    """Set a function's options in the provider's API, as a decorator; see `ToolOptions`.

        @tool_options(strict=True, input_examples=[{"city": "Oslo"}])
        async def forecast(city: str) -> str: ...

    The settings of an agent (`tool_options`) come first.
    """
    options = ToolOptions(
        strict=strict,
        defer_loading=defer_loading,
        allowed_callers=allowed_callers,
        input_examples=input_examples,
        cache_control=cache_control,
        eager_input_streaming=eager_input_streaming,
    )

    def mark(function: F) -> F:
        setattr(function, _ATTRIBUTE, options)
        return function

    return mark


def options_of(function: Callable[..., Any]) -> ToolOptions:
    """Return the options that `tool_options` has set on a function."""
    options = getattr(function, _ATTRIBUTE, _NO_OPTIONS)
    return options if isinstance(options, ToolOptions) else _NO_OPTIONS
