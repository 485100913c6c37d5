"""Options for Anthropic in a part's metadata: `providerMetadata.anthropic`, and cache marks.

Source: @ai-sdk/anthropic 4.0.105, `get-cache-control.ts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Struct

from midstream.protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from midstream.providers.conversation.messages import Metadata

MAX_CACHE_MARKS: Final = 4
"""The API refuses a request with more."""


class CallerOption(Struct, rename="camel"):
    """Caller of a tool, as our chunks name it."""

    type: str
    tool_id: str | None = None


class AnthropicOptions(Struct, rename="camel"):
    """The fields that mean something in a request; the rest is for clients."""

    type: str | None = None
    signature: str | None = None
    redacted_data: str | None = None
    citations: Any = None
    server_name: str | None = None
    toolset_name: str | None = None
    caller: CallerOption | None = None
    container_upload: bool = False
    title: str | None = None
    context: str | None = None
    from_: Any = msgspec.field(name="from", default=None)
    to: Any = None
    cache_control: Any = None
    cache_control_snake: Any = msgspec.field(name="cache_control", default=None)

    @property
    def cites(self) -> bool:
        """Whether a file may be cited."""
        return isinstance(self.citations, dict) and self.citations.get("enabled") is True


class _AnthropicMetadata(Struct):
    anthropic: AnthropicOptions | None = None


_NO_OPTIONS: Final = AnthropicOptions()
_decoder: Final = msgspec.json.Decoder(_AnthropicMetadata)


def anthropic_options(metadata: Metadata) -> AnthropicOptions:
    """Read a part's metadata; what is not as it should be counts as absent."""
    if metadata is UNSET:
        return _NO_OPTIONS
    try:
        return _decoder.decode(metadata).anthropic or _NO_OPTIONS
    except UNREADABLE:
        return _NO_OPTIONS


class CacheMarks:
    """The cache marks of one request: the first few count, the rest are dropped."""

    def __init__(self) -> None:
        """Begin a request."""
        self._count = 0

    def of(self, options: AnthropicOptions) -> dict[str, object]:
        """Return the `cache_control` field of a block; empty if it has none."""
        return self.field(options.cache_control or options.cache_control_snake)

    def field(self, mark: object) -> dict[str, object]:
        """Return the `cache_control` field with this value; empty without one."""
        if not mark:
            return {}
        self._count += 1
        return {"cache_control": mark} if self._count <= MAX_CACHE_MARKS else {}
