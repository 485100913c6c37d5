"""Tool calls of compatible servers: names that come late, and what a call has to bring back.

Source: @ai-sdk/openai-compatible 3.0.92, `chat/openai-compatible-chat-language-model.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.codec import UNREADABLE
from midstream.providers.openai_chat.tool_deltas import FunctionDelta, ToolCallDelta, ToolCallDeltas

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.protocol.chunks import AnyChunk, Json
    from midstream.providers.conversation.tool_calls import ToolCalls


class CompatibleToolCallDelta(ToolCallDelta):
    """More of a call. `extra_content`: what its vendor adds."""

    extra_content: Raw = Raw()


class _Google(Struct):
    thought_signature: str | None = None


class _Extra(Struct):
    google: _Google | None = None


class _Held(Struct):
    """A call whose name has not come."""

    id: str | None = None
    arguments: str = ""
    extra_content: Raw = Raw()


_extra_decoder: Final = msgspec.json.Decoder(_Extra)
_ABSENT: Final = (b"", b"null")


class CompatibleToolCalls:
    """The calls of one step. See ToolCallDeltas.

    Args:
        name: the provider's, under which metadata is kept.
    """

    def __init__(self, calls: ToolCalls, new_id: Callable[[], str], name: str) -> None:
        """Begin a step."""
        self._deltas = ToolCallDeltas(calls, new_id)
        self._name = name
        self._held: dict[int, _Held] = {}
        self._named: set[int] = set()

    def receive(self, delta: CompatibleToolCallDelta) -> list[AnyChunk]:
        """Take a delta and return its chunks: none before the call has a name.

        Raises:
            ValueError: see ToolCallDeltas.
        """
        index = delta.index
        if index is None or index in self._named:
            return self._deltas.receive(delta, self._metadata(delta.extra_content))
        held = self._held.setdefault(index, _Held())
        held.id = delta.id if held.id is None else held.id
        if bytes(held.extra_content) in _ABSENT:
            held.extra_content = delta.extra_content
        function = delta.function or FunctionDelta()
        held.arguments += function.arguments or ""
        if function.name is None:
            return []
        del self._held[index]
        self._named.add(index)
        whole = FunctionDelta(function.name, held.arguments)
        return self._deltas.receive(
            ToolCallDelta(index, held.id, whole), self._metadata(held.extra_content)
        )

    def complete(self, *, cut: bool) -> list[AnyChunk]:
        """Complete all calls that have a name, at the stream's end. See ToolCallDeltas."""
        return self._deltas.complete(cut=cut)

    @property
    def nameless(self) -> bool:
        """Whether there is a call that has no name so far."""
        return bool(self._held)

    def _metadata(self, extra_content: Raw) -> Json | UnsetType:
        """Return the signature of the thought that led to a call, for the server to have back."""
        if bytes(extra_content) in _ABSENT:
            return UNSET
        try:
            google = _extra_decoder.decode(extra_content).google
        except UNREADABLE:
            return UNSET
        if google is None or not google.thought_signature:
            return UNSET
        kept = {self._name: {"thoughtSignature": google.thought_signature}}
        return Raw(msgspec.json.encode(kept))
