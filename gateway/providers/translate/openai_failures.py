"""What OpenAI's translators say of events that they cannot read."""

from __future__ import annotations

from typing import Final

UNREADABLE_EVENT: Final = "unable to understand a part of what the model provider answered"
