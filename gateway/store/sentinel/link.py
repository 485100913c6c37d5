"""The connections to one Sentinel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from midstream.aio.cancellation import raise_if_cancelled
from midstream.store.sentinel.words import read_word

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.settings.redis_url import Address, SentinelUrl
    from midstream.store.sentinel.words import Word

ASK_LIMIT_S: Final = 1.0
"""Longest wait for one Sentinel's answer; the others are asked at the same time."""

ANNOUNCEMENTS: Final = ("+switch-master", "+promoted-slave")
"""Channels of Sentinels. The one that leads a failover says the second as soon as its answer
changes; the first may come seconds later."""


class SentinelLink:
    """One Sentinel, asked for a primary by name."""

    def __init__(self, at: Address, url: SentinelUrl) -> None:
        self.at = at
        self._name = url.name
        who = url.sentinel_credentials
        self._redis = Redis(
            host=at.host,
            port=at.port,
            username=who.user or None,
            password=who.password or None,
            ssl=url.tls,
            ssl_ca_certs=url.ca_certs or None,
            socket_timeout=ASK_LIMIT_S,
            socket_connect_timeout=ASK_LIMIT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )

    async def ask(self) -> Word:
        """Return where the primary is, as this Sentinel says.

        Raises:
            RedisError, OSError, TimeoutError: it refuses, or does not answer in time.
            ValueError: it names no primary.
        """
        return read_word(*await self.replies())

    async def replies(self) -> tuple[list[bytes], list[bytes] | None]:
        """Return the replies to MASTER and to GET-MASTER-ADDR-BY-NAME.

        Raises:
            RedisError, OSError, TimeoutError: it refuses, or does not answer in time.
        """
        async with (
            asyncio.timeout(ASK_LIMIT_S),
            self._redis.pipeline(transaction=False) as pipe,
        ):
            # In this order: a change between the two gives a new address too old an epoch, which
            # the next answer corrects.
            pipe.execute_command("SENTINEL", "MASTER", self._name)
            pipe.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
            told, address = await pipe.execute()
        return told, address

    async def listen(self, announced: Callable[[], None]) -> None:
        """Call `announced` at each announcement of a failover, until the connection is lost.

        Raises:
            RedisError, OSError: it is.
        """
        async with self._redis.pubsub() as announcements:
            await announcements.subscribe(*ANNOUNCEMENTS)
            raise_if_cancelled()  # redis-py 8.1 may lose it while it connects
            async for message in announcements.listen():
                if message["type"] == "message":
                    announced()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
