"""Encoding of a session's queue and steers in its `meta`: see `lua/queue.lua`, `lua/steers.lua`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw

from midstream.ids import MessageId, RunId
from midstream.store.queue.state import QueuedMessage, QueueState, WaitingSteer

if TYPE_CHECKING:
    from collections.abc import Sequence


def decode_queue(flat: Sequence[bytes]) -> QueueState:
    """Decode what load.lua answers: why it pauses, what it waits for, then the entries."""
    paused, waits_for, *values = flat
    entries = [decode_entry_of_queue(*values[i : i + 4]) for i in range(0, len(values), 4)]
    return QueueState(
        entries=tuple(each for each in entries if not each.reason),
        paused=paused.decode() or None,
        waits_for=waits_for.decode() or None,
        unsent=tuple(each for each in entries if each.reason),
    )


def decode_steers(flat: Sequence[bytes]) -> tuple[WaitingSteer, ...]:
    """Decode what load.lua answers: id, header and content of each steer that waits."""
    return tuple(_decode_steer(*flat[i : i + 3]) for i in range(0, len(flat), 3))


def _decode_steer(id_: bytes, header: bytes, content: bytes) -> WaitingSteer:
    run, _, _, _, _, at, _, by = header.split(b"\n", 7)
    return WaitingSteer(
        id=MessageId(id_.decode()),
        run_id=RunId(run.decode()),
        at_ms=int(at),
        by=Raw(by),
        message=Raw(content.split(b"\n", 1)[1]),
    )


def decode_entry_of_queue(
    id_: bytes, reason: bytes, header: bytes, content: bytes
) -> QueuedMessage:
    """Decode one entry."""
    version, content_hash, _, _, _, at, by = header.split(b"\n", 6)
    facts, message = content.split(b"\n", 1)
    return QueuedMessage(
        id=MessageId(id_.decode()),
        version=int(version),
        content_hash=content_hash.decode(),
        at_ms=int(at),
        by=Raw(by),
        facts=Raw(facts),
        message=Raw(message),
        reason=reason.decode(),
    )
