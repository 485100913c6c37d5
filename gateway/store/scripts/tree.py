"""The Lua scripts of a session's tree of messages, by what they are given. As `catalog.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.store.keys import SessionNames
from midstream.store.scripts.script import script

if TYPE_CHECKING:
    from midstream.ids import MessageId

ALL: Final = ("meta", "log", "runs", "side", "messages", "requests", "stops")
_FEED = ("feed",)
_PARTS: Final = ("rights", "format", "common", "whole", "lanes", "lease", "records", "queue")
_RETURNING: Final = ("leaving", "steers", "returning")


@script(SessionNames, *_PARTS, *_RETURNING, "tree", keys=ALL, channels=_FEED)
def delete(*, epoch: str, message: MessageId | str, ttl_s: int) -> None:
    """Delete a message, or all. `message`: '' for all."""


@script(SessionNames, *_PARTS, "tree", keys=ALL, channels=_FEED)
def select(*, epoch: str, message: MessageId, by: bytes, ttl_s: int) -> None:
    """Show another version. `by`: a JSON string."""
