"""Options of a request in a part's metadata for OpenAI, and in the step's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from midstream.protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.protocol.chunks import Json
    from midstream.providers.openai.models import GptTraits

_SAMPLING: Final = ("temperature", "top_p")


class ProgramCaller(Struct, rename="camel"):
    """Caller of a function: the model, or a program that it wrote."""

    type: str
    caller_id: str | None = None


class PartOptions(Struct, rename="camel"):
    """The metadata of a part that OpenAI made, or the options of one for it."""

    item_id: str | None = None
    phase: str | None = None
    reasoning_encrypted_content: str | None = None
    encrypted_content: str | None = None
    namespace: str | None = None
    is_async: bool | None = msgspec.field(name="async", default=None)
    caller: ProgramCaller | None = None
    image_detail: str | None = None
    prompt_cache_breakpoint: Raw = Raw()
    parallel_tool_call: Raw = Raw()

    @property
    def cache_breakpoint(self) -> dict[str, object]:
        """The field that ends a cached prefix, if it ends here."""
        if bytes(self.prompt_cache_breakpoint) in (b"", b"null"):
            return {}
        return {"prompt_cache_breakpoint": self.prompt_cache_breakpoint}


class _OpenAIMetadata(Struct):
    openai: PartOptions | None = None


_NO_OPTIONS: Final = PartOptions()
_decoder = msgspec.json.Decoder(_OpenAIMetadata)


def part_options(metadata: Json | UnsetType) -> PartOptions:
    """Read a part's OpenAI metadata; empty if it has none that can be read."""
    if metadata is UNSET:
        return _NO_OPTIONS
    try:
        return _decoder.decode(metadata).openai or _NO_OPTIONS
    except UNREADABLE:
        return _NO_OPTIONS


def drop_sampling(
    body: dict[str, object], traits: GptTraits, effort: object, *, more: tuple[str, ...] = ()
) -> None:
    """Remove what a model that reasons does not take.

    Args:
        body: the request, changed in place.
        effort: the reasoning effort that it asks for, or None.
        more: fields that such a model never takes.
    """
    if not traits.reasons:
        return
    if not (effort == "none" and traits.samples_without_reasoning):
        for name in _SAMPLING:
            body.pop(name, None)
    for name in more:
        body.pop(name, None)


def renamed(parameters: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Return the parameters that have a name at the API, under it."""
    return {
        api_name: parameters[name]
        for name, api_name in names.items()
        if parameters.get(name) is not None
    }
