"""The Lua scripts by which one producer hands a run to the next. As `catalog.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from midstream.store.keys import SessionNames
from midstream.store.scripts.script import script

if TYPE_CHECKING:
    from midstream.ids import MessageId, RunId, TenantId, UserId
    from midstream.store.handoff.calls import HandoffChange

_ALL: Final = ("meta", "log", "runs", "side", "messages", "requests", "stops")
_LIVE: Final = ("meta", "side")
_FEED: Final = ("feed",)
_PARTS: Final = ("rights", "format", "common", "whole", "lanes", "lease")


@script(SessionNames, *_PARTS, "attempts", keys=_ALL, channels=_FEED)
def take_over(
    *,
    run: RunId,
    lease_ms: int,
    ttl_s: int,
    how: Literal["look", "take", "force"],
    ended_mark: bytes,
    attempt: int | str,
    patience_ms: int | str,
) -> None:
    """Raise the fence of a run, or look at its lease.

    `ended_mark`: of the lease that has ended; '' for none. `attempt`: of a job; '' for none.
    `patience_ms`: how long the run waits for the job's next attempt; '' for as long as its lease.
    """


@script(SessionNames, *_PARTS, "records", keys=_ALL, channels=_FEED)
def wait(*, run: RunId, fence: int, wait_ms: int, ttl_s: int) -> None:
    """Let a run wait, without a producer."""


@script(SessionNames, *_PARTS, "records", keys=_ALL, channels=_FEED)
def claim(*, run: RunId, claimant: str, lease_ms: int, ttl_s: int) -> None:
    """Give a run that waits a producer. `claimant`: who asks again with the same gets the same."""


@script(SessionNames, *_PARTS, "records", "messages", keys=_ALL, channels=_FEED)
def say(
    *,
    expected_owner: UserId,
    expected_tenant: TenantId,
    run: RunId,
    info: bytes,
    request_key: str,
    message: MessageId,
    message_parent: MessageId,
    message_hash: str,
    message_json: bytes,
    ttl_s: int,
) -> None:
    """Append a message while a run waits. `info`: of the run, which answers the message then.

    `request_key`: of its send; '' for none.
    """


@script(SessionNames, *_PARTS, "queue", keys=_ALL, channels=_FEED)
def hand_over(
    *,
    expected_owner: UserId,
    expected_tenant: TenantId,
    how: HandoffChange,
    holder: str,
    person: bytes,
    asked: bytes,
    to: str,
    note: bytes,
    wait_ms: int,
    claim_ms: int,
    ttl_s: int,
) -> None:
    """Hand a session to a person, or back. `to`: '' for the line. `note`: '' for none."""


@script(SessionNames, "lanes", keys=_LIVE)
def recall(*, run: RunId, fence: int) -> None:
    """Read what is kept for resuming a run."""


@script(SessionNames, "format", "common", "lanes", keys=_LIVE)
def release(*, run: RunId, fence: int) -> None:
    """End a lease before its time."""


@script(SessionNames, "format", "lanes", keys=_LIVE)
def remember(*, run: RunId, fence: int, point: bytes) -> None:
    """Keep where a run stands."""
