"""Midstream: durable sessions for AI SDK frontends."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
