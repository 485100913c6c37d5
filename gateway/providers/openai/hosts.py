"""Hosts of OpenAI's own APIs."""

from __future__ import annotations

import os
from typing import Final

from midstream.providers.hosts import is_one_of

_OPENAI_HOSTS: Final = ("api.openai.com", "openai.azure.com", "cognitiveservices.azure.com")
"""OpenAI's own, its regions, and Azure's resources, which serve the same API."""


def is_openai(base_url: str | None) -> bool:
    """Whether OpenAI's own API is there; None is where its SDK looks by itself."""
    base_url = base_url or os.environ.get("OPENAI_BASE_URL")
    return not base_url or is_one_of(_OPENAI_HOSTS, base_url)
