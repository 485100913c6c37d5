"""The Lua scripts of a session's queue, by what they are given. As `catalog.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from midstream.store.keys import SessionNames
from midstream.store.scripts.script import script

if TYPE_CHECKING:
    from midstream.ids import MessageId, TenantId, UserId

ALL: Final = ("meta", "log", "runs", "side", "messages", "requests", "stops")
_FEED = ("feed",)
_PARTS: Final = ("rights", "format", "common", "whole", "lanes", "queue")


@script(SessionNames, *_PARTS, keys=ALL, channels=_FEED)
def enqueue(
    *,
    expected_owner: UserId,
    expected_tenant: TenantId,
    entry: MessageId,
    hash: str,
    size: int,
    by: bytes,
    reader: str,
    request_key: str,
    content: bytes,
    max_bytes: int,
    ttl_s: int,
) -> None:
    """Put a message into the queue.

    `by`: a JSON object. `reader`: 1 if a response waits for its run, else ''. `content`: the facts
    of its run as JSON, NL, the message as JSON.
    """


@script(SessionNames, *_PARTS, "leaving", "steers", "returning", "turns", keys=ALL, channels=_FEED)
def take_entry(*, mine: MessageId | str, take_ms: int) -> None:
    """Take the first entry. `mine`: the one that this process has taken; '' for none."""


@script(SessionNames, *_PARTS, "leaving", keys=ALL, channels=_FEED)
def change_entry(
    *,
    entry: MessageId,
    how: Literal["edit", "move", "drop", "fail", "unread", "answered"],
    if_version: int | str,
    before: MessageId | str,
    hash: str,
    size: int,
    message_json: bytes,
    reason: str,
    max_bytes: int,
    ttl_s: int,
) -> None:
    """Change an entry. `if_version`: '' for any. `before`: '' for the end. `size`: as edited."""


@script(SessionNames, *_PARTS, "leaving", keys=ALL, channels=_FEED)
def change_queue(
    *, how: Literal["clear", "resume", "now"], entry: MessageId | str, ttl_s: int
) -> None:
    """Change the queue as a whole. `entry`: the one to send now."""
