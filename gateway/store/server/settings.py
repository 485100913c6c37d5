"""Settings of the store's use of Redis."""

from __future__ import annotations

from msgspec import Struct


class QueueSettings(Struct, frozen=True, kw_only=True):
    """Bounds of a session's queue.

    Attributes:
        max_bytes: of the messages in it.
        take_ms: how long an entry that was taken is its taker's: one lease.
        wait_ms: how long it waits for an approval, or for a tool of the client.
    """

    max_bytes: int = 1024 * 1024
    take_ms: int = 8_000
    wait_ms: int = 1_800_000


class StoreSettings(Struct, frozen=True, kw_only=True):
    """Settings of the store's use of Redis.

    Attributes:
        key_prefix: of every key and channel, so that two deployments can share a Redis.
        session_ttl_s: a session that was not written for so long expires.
        reconnect_window_s: an ended run's chunks can be read again for so long.
        command_timeout_s: a round trip that takes longer has an unknown outcome.
        sharded: publish by SPUBLISH, for a cluster.
        queue: bounds of the queue of each session.
    """

    key_prefix: str = "ms"
    session_ttl_s: float = 7 * 24 * 3_600.0
    reconnect_window_s: float = 3_600.0
    command_timeout_s: float = 5.0
    sharded: bool = False
    queue: QueueSettings = QueueSettings()
