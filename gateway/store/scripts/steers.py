"""The Lua scripts of steers: messages for the main run under way. As `catalog.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from midstream.store.keys import SessionNames
from midstream.store.scripts.queue import ALL
from midstream.store.scripts.script import script

if TYPE_CHECKING:
    from midstream.ids import MessageId, RunId, TenantId, UserId

_FEED = ("feed",)
_READS: Final = ("rights", "format", "common", "whole", "lanes", "queue")
_PARTS: Final = (*_READS, "leaving", "steers")


@script(SessionNames, *_PARTS, "returning", "steering", keys=ALL, channels=_FEED)
def steer(
    *,
    expected_owner: UserId,
    expected_tenant: TenantId,
    entry: MessageId,
    hash: str,
    size: int,
    by: bytes,
    request_key: str,
    content: bytes,
    max_bytes: int,
    expected_run: RunId | str,
    sender: bytes,
    may_any: int,
    unsupported: int,
    is_send: int,
    back: int | str,
    ttl_s: int,
) -> None:
    """Give a message to the run under way. `entry` to `max_bytes`: as of `enqueue`.

    `expected_run`: '' for whichever is. `sender`: who asks, as of `open`; `may_any`: 1 if they may
    steer runs of others. `unsupported`: 1 if the run's agent takes no message; a worker may still
    read it. `is_send`: 1 if an idle session is left alone. `back`: 1 if the sender wants it back.
    """


@script(SessionNames, *_PARTS, "steering", keys=ALL, channels=_FEED)
def steer_entry(
    *,
    entry: MessageId,
    expected_run: RunId | str,
    sender: bytes,
    may_any: int,
    unsupported: int,
    ttl_s: int,
) -> None:
    """Give a queued message to the run under way. As of `steer`."""


@script(SessionNames, *_READS, "leaving", "steers", keys=ALL, channels=_FEED)
def take_steers(*ids: MessageId, run: RunId, fence: int, step: int | str) -> None:
    """Read the steers of a run. `step`: the one that all, or these, are for; '' for none."""


@script(SessionNames, *_PARTS, keys=ALL, channels=_FEED)
def confirm_steers(*ids: MessageId, run: RunId, ttl_s: int) -> None:
    """Record that a run has taken steers up."""


@script(SessionNames, *_PARTS, "returning", keys=ALL, channels=_FEED)
def note_reader(*, run: RunId, fence: int, reads: int, ttl_s: int) -> None:
    """Note whether the worker of a pushed run reads steers. `reads`: 1 or 0."""


@script(SessionNames, *_PARTS, "returning", keys=ALL, channels=_FEED)
def refuse_steer(*, run: RunId, fence: int, entry: MessageId, reason: str, ttl_s: int) -> None:
    """Give back one that a run has taken. `reason`: in the AI SDK's words."""
