"""Connections to the nodes of a cluster: a client for each, made when it is first needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote

from midstream.settings.redis_url import Address
from midstream.store.redis.client import RedisClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.settings.redis_url import ClusterUrl
    from midstream.store.cluster.answers import Reply
    from midstream.store.cluster.slots import Node
    from midstream.store.scripts.catalog import Scripts
    from midstream.store.scripts.script import Command
    from midstream.store.server.settings import StoreSettings


class NodeClients:
    """Implements `Nodes`, over the credentials of a URL."""

    def __init__(self, url: ClusterUrl, settings: StoreSettings, scripts: Scripts) -> None:
        self._url = url
        self._settings = settings
        self._scripts = scripts
        self._clients: dict[Node, RedisClient] = {}

    async def send(self, node: Node, commands: Sequence[Command]) -> list[Reply]:
        """See `Nodes`."""
        return await self.client(node).exchange(commands)

    def client(self, node: Node) -> RedisClient:
        """Return the connections to a node."""
        client = self._clients.get(node)
        if client is None:
            client = self._clients[node] = RedisClient(
                url_of(self._url, node), self._settings, scripts=self._scripts, name=str(node)
            )
        return client

    async def keep_only(self, nodes: frozenset[Node]) -> None:
        """Close the connections to nodes that are no part of the cluster any more."""
        gone = [self._clients.pop(node) for node in self._clients.keys() - nodes]
        await asyncio.gather(*(client.aclose() for client in gone))

    async def aclose(self) -> None:
        """Close all connections."""
        await self.keep_only(frozenset())


def url_of(url: ClusterUrl, node: Node | Address) -> str:
    """Return the URL of one node of a cluster."""
    who = url.credentials
    secret = f"{quote(who.user, safe='')}:{quote(who.password, safe='')}@"
    return Address(node.host, node.port).url(
        tls=url.tls, secret=secret if who.user or who.password else "", ca_certs=url.ca_certs
    )
