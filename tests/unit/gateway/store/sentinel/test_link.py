"""The connection to one Sentinel, and a library that loses cancellations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from midstream.settings.redis_url import Address, SentinelUrl, parse_redis_url
from midstream.store.sentinel.link import SentinelLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self


class Forgetful:
    """A subscription that takes a cancellation for a reason to connect once more."""

    def __init__(self) -> None:
        self.subscribing = asyncio.Event()
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    async def subscribe(self, *_: str) -> None:
        self.subscribing.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def listen(self) -> AsyncIterator[dict[str, object]]:
        await asyncio.Event().wait()
        yield {}


def test_listening_ends_although_the_library_loses_the_cancellation() -> None:
    """Otherwise nothing that has to end with it would: a start, a shutdown."""

    async def scenario() -> tuple[bool, bool]:
        url = cast("SentinelUrl", parse_redis_url("redis+sentinel://127.0.0.1:1/main"))
        link, subscription = SentinelLink(Address("127.0.0.1", 1), url), Forgetful()
        redis = cast("Any", link)._redis
        redis.pubsub = lambda: subscription
        listening = asyncio.create_task(link.listen(lambda: None))
        await subscription.subscribing.wait()
        listening.cancel()
        await asyncio.wait({listening}, timeout=30)
        return listening.cancelled(), subscription.closed

    assert asyncio.run(scenario()) == (True, True)
