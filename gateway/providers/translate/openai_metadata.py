"""The `providerMetadata` of OpenAI's chunks."""

from __future__ import annotations

import msgspec
from msgspec import Raw


def openai_metadata(**fields: object) -> Raw:
    """Return `{"openai": {…}}` as JSON; fields that are UNSET are left out."""
    known = {name: value for name, value in fields.items() if value is not msgspec.UNSET}
    return Raw(msgspec.json.encode({"openai": known}))
