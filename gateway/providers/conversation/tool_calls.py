"""A step's tool calls: which tools exist, and whether what the model wrote for one is usable.

Every translator announces and completes its calls here, so that an undeclared tool, JSON
that does not parse and an input that a check rejects look the same for all providers: as
the AI SDK shows them.

Source: ai 7.0.173, `generate-text/parse-tool-call.ts` and `to-ui-message-chunk.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from midstream.protocol.chunks import (
    Json,
    ToolInputAvailableChunk,
    ToolInputErrorChunk,
    ToolInputStartChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.refused_keys import is_refused
from midstream.protocol.surrogates import well_formed
from midstream.providers.base import InputCheck, PendingCall, accept_any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from midstream.providers.base import ToolSpec

EMPTY_INPUT: Final = Raw(b"{}")

REFUSED: Final = "Object contains forbidden prototype property"
"""The AI SDK's sentence for an input with a key that clients refuse to read."""

_encode = msgspec.json.encode


class ToolCalls:
    """The calls of one step.

    Args:
        tool_names: the declared tools, by the names that clients know.
        check: looks at the inputs of declared tools.

    Attributes:
        pending: usable calls that the provider does not execute itself, in order.
    """

    def __init__(self, tool_names: Iterable[str], check: InputCheck = accept_any) -> None:
        """Begin a step."""
        # A dict for its order: the names are listed to the model.
        self._declared = dict.fromkeys(tool_names)
        self._check = check
        self.pending: list[PendingCall] = []

    @property
    def declared(self) -> Collection[str]:
        """The declared tools, by the names that clients know."""
        return self._declared.keys()

    def start(
        self,
        call_id: str,
        name: str,
        *,
        provider_executed: bool = False,
        input_encoding: Literal["json", "text"] | UnsetType = UNSET,
        metadata: Json | UnsetType = UNSET,
    ) -> ToolInputStartChunk:
        """Announce a call whose input is about to stream."""
        return ToolInputStartChunk(
            tool_call_id=call_id,
            tool_name=name,
            input_encoding=input_encoding,
            provider_executed=provider_executed or UNSET,
            provider_metadata=metadata,
            dynamic=UNSET if name in self._declared else False,
        )

    def complete(
        self,
        call_id: str,
        name: str,
        text: str,
        *,
        provider_executed: bool = False,
        provider_dynamic: bool = False,
        metadata: Json | UnsetType = UNSET,
    ) -> ToolInputAvailableChunk | ToolInputErrorChunk:
        """Finish a call, and remember it as pending if somebody here must execute it.

        `text` is the whole input as JSON text; blank means no arguments. A tool that the
        provider brought itself (`provider_dynamic`: MCP) need not be declared.
        """
        declared = name in self._declared
        value, problem = _parse(text) if text.strip() else (EMPTY_INPUT, None)
        if problem is not None:
            problem = f"Invalid input for tool {name}: {problem}"
        if not declared and not (provider_executed and provider_dynamic):
            problem = self._unavailable(name)
        elif declared and problem is None and (complaint := self._check(name, value)) is not None:
            problem = f"Invalid input for tool {name}: {complaint}"
        if problem is not None:
            return ToolInputErrorChunk(
                tool_call_id=call_id,
                tool_name=name,
                input=value if text.strip() else Raw(_encode(text)),
                error_text=problem,
                provider_executed=provider_executed or UNSET,
                provider_metadata=metadata,
                dynamic=UNSET if declared else True,
            )
        # A call that a stream tells of twice is one call.
        if not provider_executed and all(call.id != call_id for call in self.pending):
            self.pending.append(PendingCall(id=call_id, name=name, input=value, metadata=metadata))
        return ToolInputAvailableChunk(
            tool_call_id=call_id,
            tool_name=name,
            input=value,
            provider_executed=provider_executed or UNSET,
            provider_metadata=metadata,
            dynamic=UNSET if declared else True,
        )

    def _unavailable(self, name: str) -> str:
        available = f"Available tools: {', '.join(self._declared)}."
        return (
            f"Model tried to call unavailable tool '{name}'. "
            f"{available if self._declared else 'No tools are available.'}"
        )


def rewritten(text: bytes | Raw) -> str:
    """Return JSON as the AI SDK writes it anew: without blanks, and escapes that need not be."""
    try:
        return _encode(msgspec.json.decode(text)).decode()
    except (*UNREADABLE, OverflowError):
        return msgspec.json.format(bytes(text), indent=-1).decode()


def _parse(text: str) -> tuple[Raw, str | None]:
    """Return an input as JSON on one line, and why its text is not JSON, if so."""
    try:
        # Compact: what a model indents would not fit into a line of a batch.
        given = msgspec.json.format(well_formed(text.encode()), indent=-1)
        if not is_refused(given):
            return Raw(given), None
        error: object = REFUSED
    except (*UNREADABLE, MalformedFrameError) as unreadable:
        error = unreadable
    problem = f"AI_JSONParseError: JSON parsing failed: Text: {text}.\nError message: {error}"
    return Raw(_encode(text)), problem


def declared_calls(tools: Sequence[ToolSpec], check: InputCheck = accept_any) -> ToolCalls:
    """Return the account of a step's calls, which knows its tools."""
    return ToolCalls((tool.name for tool in tools), check)
