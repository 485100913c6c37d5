"""Host of Anthropic's own API."""

from __future__ import annotations

import os

from midstream.providers.hosts import is_one_of


def is_anthropic(base_url: str | None) -> bool:
    """Whether Anthropic's own API is there; None is where its SDK looks by itself."""
    base_url = base_url or os.environ.get("ANTHROPIC_BASE_URL")
    return not base_url or is_one_of(("anthropic.com",), base_url)
