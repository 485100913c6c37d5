"""The commands, names, scripts and times that every part of the store in Redis shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from midstream.ids import TenantId, UserId
from midstream.store.cluster.commands import Commands
from midstream.store.keys import Keys
from midstream.store.redis.hints import Hints
from midstream.store.server.settings import QueueSettings

if TYPE_CHECKING:
    from midstream.store.server.settings import StoreSettings


class RedisAccess(Struct, frozen=True, kw_only=True):
    """Round trips, names, and times, shared by the parts of a store.

    Attributes:
        ttl_s: a session that was not written for so long expires.
        reconnect_window_ms: an ended run's chunks can be read again for so long.
        sharded: the server is a cluster.
        queue: bounds of the queue of each session.
    """

    client: Commands
    keys: Keys
    hints: Hints
    ttl_s: int
    reconnect_window_ms: int
    sharded: bool
    queue: QueueSettings

    @classmethod
    def of(cls, client: Commands, keys: Keys, settings: StoreSettings) -> Self:
        """Make what the settings say."""
        ttl_s = math.ceil(settings.session_ttl_s)
        return cls(
            client=client,
            keys=keys,
            hints=Hints(client, keys, ttl_s),
            ttl_s=ttl_s,
            reconnect_window_ms=round(settings.reconnect_window_s * 1_000),
            sharded=settings.sharded,
            queue=settings.queue,
        )


def owner_of(owner: bytes, tenant: bytes) -> tuple[UserId, TenantId]:
    """Decode whose a session is."""
    return UserId(owner.decode()), TenantId(tenant.decode())
