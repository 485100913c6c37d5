"""Describes the server behind the URL, and judges whether it keeps sessions well.

The facts are read from INFO, which clouds allow even where they refuse CONFIG. A server that
refuses INFO is used without a description, and without warnings.
"""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING, Final

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from midstream.errors import StoreUnavailableError
from midstream.settings.redis_url import REDIS_PORT, SENTINEL_FORM, Address
from midstream.store.calls import FAILOVER_S, HELD_S
from midstream.store.server.verdict import Level, Verdict
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from midstream.store.redis.client import RedisClient

logger = logging.getLogger(__name__)

SAFE_POLICY: Final = "noeviction"

PERSISTENCE: Final = ("none", "snapshots", "", "aof")
"""Kinds of it, the worst first."""

NODE_TIMEOUT: Final = "cluster-node-timeout"

OLDEST_REDIS: Final = (6, 2)
"""XRANGE after an id, and XTRIM before one."""

FRESH_S: Final = 10.0
"""Time for which the facts are cached. Later the URL may lead to another server, or other
settings hold."""


class ServerFacts(Struct, frozen=True, kw_only=True, rename="camel"):
    """A server's description of itself; unknown fields are empty.

    Attributes:
        server: `redis`, `valkey`, or another name.
        mode: `standalone`, `cluster` or `sentinel`.
        role: `primary`, `replica` or `sentinel`.
        maxmemory_policy: Redis's setting: the keys that a full server evicts.
        persistence: `aof`, `snapshots` or `none`.
        elsewhere: URL that keeps sessions: of a replica's primary, or of what a Sentinel watches;
            for a node of a cluster that was asked by a URL of one server, its own address.
        primaries: how many a cluster has; empty if the URL is of one server.
        detection_ms: how long a primary may be silent before it is replaced; empty if nobody does.
    """

    server: str = ""
    version: str = ""
    mode: str = ""
    role: str = ""
    maxmemory_policy: str = ""
    persistence: str = ""
    elsewhere: str = ""
    primaries: str = ""
    detection_ms: str = ""

    @property
    def named(self) -> dict[str, str]:
        """The known facts by name, for people to read."""
        facts: dict[str, str] = to_builtins(self)
        return {name: value for name, value in facts.items() if value}

    @property
    def verdicts(self) -> list[Verdict]:
        """What is said of each known property."""
        judged = (rule(self) for rule in RULES)
        return [verdict for verdict in judged if verdict is not None]

    @property
    def refusal(self) -> str | None:
        """The reason why the gateway cannot use the server, and the setting to change; or None."""
        return next((v.text for v in self.verdicts if v.level is Level.FAULT), None)

    @property
    def warnings(self) -> list[str]:
        """Properties that may lose sessions, each with the setting to change."""
        return [v.text for v in self.verdicts if v.level is Level.DANGER]


def _kind(facts: ServerFacts) -> Verdict | None:
    """Judge whether it is a server that can keep sessions."""
    instead = f", {facts.elsewhere}" if facts.elsewhere else ""
    if facts.mode == "sentinel":
        return Verdict(
            "kind",
            Level.FAULT,
            "it is a Sentinel",
            f"Set REDIS_URL to {facts.elsewhere or SENTINEL_FORM}, with the addresses of all "
            "Sentinels",
        )
    if facts.mode == "cluster" and not facts.primaries:
        return Verdict(
            "kind",
            Level.FAULT,
            "it is one node of a cluster, and the URL is of one server",
            f"Set REDIS_URL to redis+cluster://{facts.elsewhere or 'HOST:PORT,HOST:PORT'}",
        )
    if facts.primaries and facts.mode == "standalone":
        return Verdict(
            "kind",
            Level.FAULT,
            "it is no cluster, and the URL is of one",
            "Write redis:// instead of redis+cluster://",
        )
    if facts.role == "replica":
        return Verdict(
            "kind",
            Level.FAULT,
            "it is a replica, which takes no writes",
            f"Set REDIS_URL to its primary{instead}, or to a name that follows it",
        )
    if not facts.version:
        return None
    what = f"a cluster of {facts.primaries} primaries" if facts.primaries else "a primary"
    return Verdict("kind", Level.OK, f"it is {facts.server} {facts.version}, {what}")


def _version(facts: ServerFacts) -> Verdict | None:
    """Judge whether it has the commands that the store calls."""
    if facts.server != "redis" or not facts.version or _number(facts.version) >= OLDEST_REDIS:
        return None
    return Verdict(
        "version",
        Level.FAULT,
        f"it is Redis {facts.version}, which lacks commands that the gateway needs",
        f"Use Redis {'.'.join(map(str, OLDEST_REDIS))} or newer, or Valkey",
    )


def _eviction(facts: ServerFacts) -> Verdict | None:
    """Judge which keys a full server deletes: every key of ours has a TTL."""
    if not facts.maxmemory_policy:
        return None
    if facts.maxmemory_policy == SAFE_POLICY:
        return Verdict(
            "eviction",
            Level.OK,
            f"maxmemory-policy is {SAFE_POLICY}: a Redis that is full refuses writes, and deletes "
            "nothing",
        )
    return Verdict(
        "eviction",
        Level.DANGER,
        f"maxmemory-policy is {facts.maxmemory_policy}: a Redis that is full deletes parts of "
        "sessions",
        f"Set it to {SAFE_POLICY}",
    )


def _disk(facts: ServerFacts) -> Verdict | None:
    """Judge what a restart costs."""
    match facts.persistence:
        case "aof":
            return Verdict(
                "persistence", Level.OK, "writes go to an append-only file, and outlive a restart"
            )
        case "none":
            return Verdict(
                "persistence",
                Level.DANGER,
                "nothing is written to disk: sessions end with a restart of Redis",
                "Set appendonly to yes",
            )
        case "snapshots":
            return Verdict(
                "persistence",
                Level.DANGER,
                "no append-only file is written: a crash of Redis costs what came after its last "
                "snapshot",
                "Set appendonly to yes",
            )
    return None


def _retention(facts: ServerFacts) -> Verdict | None:
    """Judge whether gateways hold what a failover takes back: twice over, as clocks differ."""
    if not facts.detection_ms:
        return None
    setting = "cluster-node-timeout" if facts.mode == "cluster" else "down-after-milliseconds"
    says = f"{setting} is {facts.detection_ms}"
    if 2 * int(facts.detection_ms) <= HELD_S * 1000:
        return Verdict(
            "retention",
            Level.OK,
            f"{says}: what a primary acknowledges meanwhile that is cut off, gateways hold, and "
            "append again",
        )
    return Verdict(
        "retention",
        Level.DANGER,
        f"{says}: a primary that dies is away for longer than that, and what one acknowledges "
        f"meanwhile that is cut off is lost: gateways hold {HELD_S:g} s, and need twice the time",
        f"Set it to {FAILOVER_S * 1000:g}",
    )


RULES: Final[tuple[Callable[[ServerFacts], Verdict | None], ...]] = (
    _kind,
    _version,
    _eviction,
    _disk,
    _retention,
)
"""The rules of the start, of `/readyz` and of `midstream doctor`. Each judges one property; None:
there is nothing to say of it."""


UNKNOWN: Final = ServerFacts()
"""The facts of a server that refuses INFO."""


class KnownServer:
    """The server behind a URL, with a cache of its facts.

    Args:
        now: returns the time in seconds.
    """

    def __init__(
        self,
        describe: Callable[[], Awaitable[ServerFacts]],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._describe = describe
        self._now = now
        self._facts = UNKNOWN
        self._old_at = now()

    async def facts(self) -> ServerFacts:
        """Return the server's facts, from the cache if they are fresh.

        Raises:
            StoreUnavailableError: the server had to be asked, and cannot be reached.
        """
        now = self._now()
        if now >= self._old_at:
            self._facts = await self._describe()
            self._old_at = now + FRESH_S
        return self._facts


async def log_server(server: KnownServer) -> None:
    """Log the server's facts, its refusal and its warnings; once, at the start."""
    try:
        facts = await server.facts()
    except StoreUnavailableError:
        return  # the client has logged the reason, and /readyz asks again
    logger.info("redis_found %s", quoted(**facts.named))
    if facts.refusal is not None:
        logger.error("redis_unusable reason=%s", facts.refusal)
    for warning in facts.warnings:
        logger.warning("redis_risk reason=%s", warning)


async def describe(server: RedisClient) -> ServerFacts:
    """Return a server's report of itself; `UNKNOWN` if it refuses.

    Raises:
        StoreUnavailableError: it cannot be reached.
    """
    info, save, timeout = await server.ask(
        [("INFO",), ("CONFIG", "GET", "save"), ("CONFIG", "GET", NODE_TIMEOUT)]
    )
    if not isinstance(info, bytes):
        return UNKNOWN
    times = save[1] if isinstance(save, list) and len(save) == 2 else None
    facts = read_info(info, times, at=server.at)
    told = timeout[1].decode() if isinstance(timeout, list) and len(timeout) == 2 else ""
    return at_address(detecting(facts, server, told), server.address)


def detecting(facts: ServerFacts, server: RedisClient, node_timeout_ms: str) -> ServerFacts:
    """Return the facts with how long a primary may be silent: its cluster's, or its Sentinels'.

    Args:
        node_timeout_ms: Redis's setting, which only holds in a cluster; empty if it is not told.
    """
    watched_ms = str(server.dial.down_after_ms or "")
    of_cluster = facts.mode == "cluster"
    return replace(facts, detection_ms=node_timeout_ms if of_cluster else watched_ms)


async def used_memory(server: RedisClient) -> int | None:
    """Return how many bytes of memory a server uses; None if it does not say.

    Raises:
        StoreUnavailableError: it cannot be reached.
    """
    (info,) = await server.ask([("INFO", "memory")])
    used = fields_of(info).get("used_memory", "") if isinstance(info, bytes) else ""
    return int(used) if used.isdecimal() else None


def at_address(facts: ServerFacts, address: str) -> ServerFacts:
    """Return the facts of a server that was asked at an address: of a node, it leads to all."""
    is_node = facts.mode == "cluster" and facts.role == "primary"
    return replace(facts, elsewhere=address) if is_node else facts


def of_cluster(nodes: Sequence[ServerFacts]) -> ServerFacts:
    """Return the facts of a cluster: of each property the worst that a primary has."""
    primaries = str(len(nodes))
    facts = replace(max(nodes, key=_badness), primaries=primaries, elsewhere="")
    policies = [each.maxmemory_policy for each in nodes if each.maxmemory_policy != SAFE_POLICY]
    kept = min(nodes, key=lambda each: PERSISTENCE.index(each.persistence))
    return replace(
        facts,
        maxmemory_policy=policies[0] if policies else SAFE_POLICY,
        persistence=kept.persistence,
        detection_ms=max((each.detection_ms for each in nodes), key=lambda ms: int(ms or 0)),
    )


def _badness(facts: ServerFacts) -> bool:
    return replace(facts, primaries="1", elsewhere="").refusal is not None


def read_info(info: bytes, save: bytes | None = None, *, at: str = "") -> ServerFacts:
    """Read the reply to INFO.

    Args:
        at: URL of the server, without user and database.
        save: Redis's setting `save`, the times of snapshots; None where CONFIG is refused.
    """
    said = fields_of(info)
    mode = said.get("redis_mode", "")
    return ServerFacts(
        server="valkey" if "valkey_version" in said else said.get("server_name", "redis"),
        version=said.get("valkey_version") or said.get("redis_version", ""),
        mode=mode,
        role=_role(mode, said.get("role", "")),
        maxmemory_policy=said.get("maxmemory_policy", ""),
        persistence=_persistence(said, save),
        elsewhere=_elsewhere(said, at),
    )


def fields_of(info: bytes) -> dict[str, str]:
    """Return the fields of a reply to INFO."""
    lines = info.decode("utf-8", "replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def _number(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version; none of a text that has none."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _role(mode: str, role: str) -> str:
    if mode == "sentinel":
        return "sentinel"
    return {"master": "primary", "slave": "replica"}.get(role, role)


def _persistence(said: Mapping[str, str], save: bytes | None) -> str:
    if said.get("aof_enabled") == "1":
        return "aof"
    if "aof_enabled" not in said or save is None:
        return ""  # a cloud may keep copies that INFO does not mention
    return "snapshots" if save else "none"


_WATCHED: Final = re.compile(r"\bname=([^,]+)")


def _elsewhere(said: Mapping[str, str], at: str) -> str:
    scheme, _, address = at.partition("://")
    if "master_host" in said:
        primary = Address(said["master_host"], int(said.get("master_port", REDIS_PORT)))
        return primary.url(tls=scheme == "rediss")
    watched = _WATCHED.search(said.get("master0", ""))
    return f"{scheme}+sentinel://{address}/{watched[1]}" if watched and at else ""
