"""Examines a cluster for `midstream doctor`: its primaries, and one session's life there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from midstream.errors import StoreError
from midstream.settings.redis_url import Address
from midstream.store.cluster.client import ClusterClient
from midstream.store.cluster.clients import url_of
from midstream.store.errors import UNREACHABLE
from midstream.store.keys import Keys
from midstream.store.server.facts import UNKNOWN
from midstream.store.server.inspection import inspect
from midstream.store.server.steps import clock, exposure, play, rights_of, unusable
from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from midstream.settings.redis_url import ClusterUrl
    from midstream.store.server.inspection import Inspection
    from midstream.store.server.settings import StoreSettings
    from midstream.store.server.steps import Tell

LEVELS: Final = tuple(Level)


async def examine_cluster(url: str, named: ClusterUrl, settings: StoreSettings, tell: Tell) -> None:
    """Examine the cluster at a URL; what is found is told at once. See `examine`."""
    async with _connected(named, settings) as client:
        try:
            await _examine(url, named, client, settings.key_prefix, tell)
        except StoreError as error:
            tell(await unusable(url_of(named, named.seeds[0]), error))


async def _examine(
    url: str, named: ClusterUrl, client: ClusterClient, prefix: str, tell: Tell
) -> None:
    seed = url_of(named, named.seeds[0])
    servers = await client.servers()
    seen = []
    for server in servers:
        try:
            seen.append(_as_node(await inspect(server), len(servers)))
        except StoreError as error:
            tell(await unusable_node(named, server.name, error))
            return
    names = [server.name for server in servers]
    found = zip(names, (each.verdicts for each in seen), strict=True)
    for verdict in worst((name, each) for name, verdicts in found for each in verdicts):
        tell(verdict)
    if any(each.facts.refusal is not None for each in seen):
        return
    tell(_coverage(client))
    for verdict in exposure(seed):
        tell(verdict)
    knows_all = all(each.facts is not UNKNOWN for each in seen)
    probes = {str(client.place(n.hint)): n for n in Keys(prefix, sharded=True).probe.names}
    rights = [
        await rights_of(server, prefix, knows_all=knows_all, probe=probes.get(server.name))
        for server in servers
    ]
    clocks = [await clock(server) for server in servers]
    for verdict in worst([*zip(names, rights, strict=True), *zip(names, clocks, strict=True)]):
        tell(verdict)
    await play(url, client, prefix, tell, sharded=True)


async def unusable_node(named: ClusterUrl, name: str, error: StoreError) -> Verdict:
    """Say why a node cannot be used: one of the URL, or one that the others lead to."""
    host, _, port = name.rpartition(":")
    at = Address(host, int(port))
    verdict = await unusable(url_of(named, at), error)
    if at in named.seeds:
        return verdict
    if error.message != UNREACHABLE:
        return replace(verdict, says=f"{name}: {verdict.says}")
    return replace(
        verdict,
        says=f"the cluster leads to {name}, which cannot be used: {verdict.says}",
        do="Start that node; if it is reached under another address, set "
        "cluster-announce-hostname, or cluster-announce-ip and cluster-announce-port, at the nodes",
    )


def _as_node(seen: Inspection, primaries: int) -> Inspection:
    if seen.facts is UNKNOWN:
        return seen
    facts = replace(seen.facts, primaries=str(primaries), elsewhere="")
    return replace(seen, facts=facts)


def _coverage(client: ClusterClient) -> Verdict:
    """Judge whether each session has a node."""
    if client.topology.is_whole:
        return Verdict("slots", Level.OK, "every slot has a primary")
    return Verdict(
        "slots",
        Level.FAULT,
        "some slots have no primary: their sessions cannot be used",
        "Run redis-cli --cluster fix HOST:PORT",
    )


def worst(said: Iterable[tuple[str, Verdict]]) -> list[Verdict]:
    """Return of each subject the worst that is said of a node; if it is bad, with its name."""
    found: dict[str, tuple[str, Verdict]] = {}
    for name, verdict in said:
        known = found.get(verdict.subject)
        if known is None or LEVELS.index(verdict.level) > LEVELS.index(known[1].level):
            found[verdict.subject] = name, verdict
    return [
        verdict if verdict.level is Level.OK else replace(verdict, says=f"{name}: {verdict.says}")
        for name, verdict in found.values()
    ]


@asynccontextmanager
async def _connected(url: ClusterUrl, settings: StoreSettings) -> AsyncIterator[ClusterClient]:
    client = ClusterClient(url, replace(settings, sharded=True))
    try:
        yield client
    finally:
        await client.aclose()
