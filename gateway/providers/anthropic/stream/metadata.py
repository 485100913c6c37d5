"""The `providerMetadata` of Anthropic's chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Raw, UnsetType

if TYPE_CHECKING:
    from midstream.protocol.chunks import Json
    from midstream.providers.anthropic.stream.blocks import BlockCaller

_encode = msgspec.json.Encoder().encode


def anthropic_metadata(**fields: object) -> Raw:
    """Return `{"anthropic": {…}}` as JSON; fields that are UNSET are left out."""
    known = {name: value for name, value in fields.items() if value is not UNSET}
    return Raw(_encode({"anthropic": known}))


def caller_fields(caller: BlockCaller | None) -> dict[str, str]:
    """Return a caller in the AI SDK's spelling."""
    if caller is None:
        return {}
    if caller.tool_id is UNSET:
        return {"type": caller.type}
    return {"type": caller.type, "toolId": caller.tool_id}


def call_metadata(caller: BlockCaller | None, toolset: str | None = None) -> Json | UnsetType:
    """Return the metadata of a tool call or its result; UNSET if there is nothing to say."""
    if caller is None and toolset is None:
        return UNSET
    return anthropic_metadata(
        toolsetName=UNSET if toolset is None else toolset,
        caller=UNSET if caller is None else caller_fields(caller),
    )
