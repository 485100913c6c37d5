"""Examines a Redis for `midstream doctor`: what it is, what we may do there, and how fast it is.

It destroys nothing: it reads what the server says of itself, and plays one session's life under a
prefix of its own (`rehearsal.py`).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from midstream.errors import StoreError
from midstream.settings.redis_url import ClusterUrl, SentinelUrl, parse_redis_url
from midstream.store.redis.client import RedisClient
from midstream.store.sentinel.dial import dialing
from midstream.store.server.cluster_examination import examine_cluster
from midstream.store.server.facts import UNKNOWN
from midstream.store.server.inspection import inspect
from midstream.store.server.sentinels import judge_partition, witness
from midstream.store.server.settings import StoreSettings
from midstream.store.server.steps import clock, exposure, play, rights_of, unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.settings.redis_url import RedisUrl
    from midstream.store.server.steps import Tell


async def examine(url: str, prefix: str, tell: Tell, *, command_timeout_s: float = 5.0) -> None:
    """Examine the Redis at a URL; what is found is told at once.

    Args:
        prefix: of the gateway's keys; none of those is touched.
    """
    settings = StoreSettings(key_prefix=prefix, command_timeout_s=command_timeout_s)
    named = parse_redis_url(url)
    if isinstance(named, ClusterUrl):
        await examine_cluster(url, named, settings, tell)
        return
    if isinstance(named, SentinelUrl):
        seen = await witness(named)
        for verdict in seen.verdicts:
            tell(verdict)
        if seen.primary is None:
            return
    async with _connected(url, settings) as client:
        try:
            await _examine(url, client, prefix, tell)
        except StoreError as error:
            tell(await unusable(_looked_at(url, client.at, named), error))


def _looked_at(url: str, at: str, named: RedisUrl) -> str:
    """Return the URL of the server that could not be used, as one of its own."""
    if not isinstance(named, SentinelUrl):
        return url
    return f"{at}?{urlencode({'ssl_ca_certs': named.ca_certs})}" if named.ca_certs else at


async def _examine(url: str, client: RedisClient, prefix: str, tell: Tell) -> None:
    seen = await inspect(client)
    for verdict in (*seen.verdicts, *exposure(url)):
        tell(verdict)
    if seen.facts.refusal is not None:
        return
    named = parse_redis_url(url)
    if isinstance(named, SentinelUrl) and (split := judge_partition(seen)) is not None:
        tell(split)
    tell(await rights_of(client, prefix, knows_all=seen.facts is not UNKNOWN))
    tell(await clock(client))
    await play(url, client, prefix, tell)


@asynccontextmanager
async def _connected(url: str, settings: StoreSettings) -> AsyncIterator[RedisClient]:
    async with dialing(url, settings.command_timeout_s) as dial:
        client = RedisClient(dial, settings)
        try:
            yield client
        finally:
            await client.aclose()
