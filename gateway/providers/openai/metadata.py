"""The `providerMetadata` of OpenAI's chunks."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

OURS: Final = "~"
"""Prefix of our name for an item without an id: no later request refers to it."""


def openai_metadata(**fields: object) -> Raw | UnsetType:
    """Return `{"openai": {…}}` as JSON; UNSET if no field is left.

    UNSET fields and our own ids are left out.
    """
    known = {name: value for name, value in fields.items() if value is not UNSET}
    item_id = known.get("itemId")
    if isinstance(item_id, str) and (not item_id or item_id.startswith(OURS)):
        del known["itemId"]
    return Raw(msgspec.json.encode({"openai": known})) if known else UNSET
