"""Looks at a server more closely than a start does: memory, disk, replicas, failover.

The rules of the start are in `facts.py`, and come first here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from midstream.store.calls import FAILOVER_S
from midstream.store.server.facts import (
    NODE_TIMEOUT,
    UNKNOWN,
    ServerFacts,
    at_address,
    detecting,
    fields_of,
    read_info,
)
from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from midstream.store.redis.client import RedisClient, Reply

SETTINGS: Final = (
    *("save", "appendfsync", "min-replicas-to-write"),
    *("cluster-require-full-coverage", NODE_TIMEOUT),
)
"""Redis's settings that INFO does not say."""

CONNECTIONS: Final = 66
"""Most connections of one gateway process."""
NEARLY_FULL: Final = 0.8
FAR_BEHIND_S: Final = 10
"""A replica that has said nothing for so long is not one to fail over to."""
SLOW_DETECTION_MS: Final = int(FAILOVER_S * 1000)
"""Sends are refused until a failover; detection is the most of it."""


class Inspection(Struct, frozen=True, kw_only=True):
    """What a server says of itself.

    Attributes:
        facts: what a start looks at; `UNKNOWN` if INFO is refused.
        said: the fields of INFO.
        settings: Redis's settings, as far as CONFIG GET tells them.
        watched: of a Sentinel, what it says of each primary that it watches.
    """

    facts: ServerFacts
    said: Mapping[str, str]
    settings: Mapping[str, str]
    watched: Sequence[Mapping[str, str]] = ()

    @property
    def verdicts(self) -> list[Verdict]:
        """What is said of each known property: of those that a start looks at, and of others."""
        if self.facts is UNKNOWN:
            return [UNDESCRIBED]
        judged = (rule(self) for rule in CLOSER)
        return [*self.facts.verdicts, *(verdict for verdict in judged if verdict is not None)]

    def number(self, name: str) -> int:
        """Return a field of INFO, or a setting; 0 if it is not told."""
        text = self.said.get(name) or self.settings.get(name, "")
        return int(text) if text.isdecimal() else 0


UNDESCRIBED: Final = Verdict(
    "description",
    Level.NOTE,
    "it refuses INFO, so nothing is known of its eviction, its disk and its replicas",
    "Allow the user INFO and CONFIG GET",
)


async def inspect(client: RedisClient) -> Inspection:
    """Ask a server of itself.

    Raises:
        StoreUnavailableError: it cannot be reached, or lets nobody in.
    """
    settings = [("CONFIG", "GET", name) for name in SETTINGS]
    info, *replies = await client.ask([("INFO",), *settings])
    if not isinstance(info, bytes):
        return Inspection(facts=UNKNOWN, said={}, settings={})
    told = {
        name: reply[1].decode()
        for name, reply in zip(SETTINGS, replies, strict=True)
        if isinstance(reply, list) and len(reply) == 2
    }
    save = told.get("save")
    facts = read_info(info, None if save is None else save.encode(), at=client.at)
    facts = at_address(detecting(facts, client, told.get(NODE_TIMEOUT, "")), client.address)
    watched = await client.ask([("SENTINEL", "MASTERS")]) if facts.mode == "sentinel" else [[]]
    return Inspection(
        facts=facts,
        said=fields_of(info),
        settings=told,
        watched=[_pairs(each) for each in watched[0]] if isinstance(watched[0], list) else (),
    )


def _pairs(flat: Reply) -> dict[str, str]:
    return {
        name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)
    }


def _memory(seen: Inspection) -> Verdict | None:
    """Judge the room that is left."""
    most, used = seen.number("maxmemory"), seen.number("used_memory")
    if "used_memory" not in seen.said:
        return None
    if not most:
        return Verdict(
            "memory",
            Level.NOTE,
            f"maxmemory is not set ({_mb(used)} are used): the system ends Redis when the "
            "machine's memory is full",
            "Set maxmemory below the machine's memory",
        )
    share = f"{_mb(used)} of {_mb(most)} are used"
    if used >= NEARLY_FULL * most:
        return Verdict(
            "memory",
            Level.DANGER,
            f"{share}: sends are refused when it is full",
            "Raise maxmemory, or lower redis.session_ttl_s",
        )
    return Verdict("memory", Level.OK, share)


def _evicted(seen: Inspection) -> Verdict | None:
    """Say whether keys have been deleted already."""
    if not seen.number("evicted_keys"):
        return None
    return Verdict(
        "evicted",
        Level.DANGER,
        f"it has deleted {seen.number('evicted_keys')} keys since its start because it was full",
        "Raise maxmemory, and set maxmemory-policy to noeviction",
    )


def _written(seen: Inspection) -> Verdict | None:
    """Judge what a power failure costs, and whether the disk takes what is written."""
    for field in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"):
        if seen.said.get(field) == "err":
            return Verdict(
                "disk",
                Level.FAULT,
                f"it could not write to its disk ({field} is err): it refuses writes then",
                "Look at Redis's log, and at the room on its disk",
            )
    match seen.settings.get("appendfsync") if seen.facts.persistence == "aof" else None:
        case "no":
            return Verdict(
                "disk",
                Level.DANGER,
                "appendfsync is no: a power failure costs up to half a minute",
                "Set it to everysec, or to always",
            )
        case "everysec":
            return Verdict(
                "disk", Level.OK, "appendfsync is everysec: a power failure costs up to 2 s"
            )
        case "always":
            return Verdict("disk", Level.OK, "appendfsync is always: no acknowledged write is lost")
    return None


def _connections(seen: Inspection) -> Verdict | None:
    """Judge the room for gateways."""
    most, used = seen.number("maxclients"), seen.number("connected_clients")
    if not most:
        return None
    share = f"{used} of {most} connections are used; each gateway process takes up to {CONNECTIONS}"
    if most - used < 2 * CONNECTIONS:
        return Verdict("connections", Level.DANGER, share, "Raise maxclients")
    return Verdict("connections", Level.OK, share)


def _replicas(seen: Inspection) -> Verdict | None:
    """Judge what is there when the primary is lost."""
    if seen.facts.role != "primary":
        return None
    lines = [line for name, line in seen.said.items() if name[:5] == "slave" and "state=" in line]
    fields = [dict(part.split("=", 1) for part in line.split(",")) for line in lines]
    good = [
        each
        for each in fields
        if each.get("state") == "online" and int(each.get("lag", "0")) <= FAR_BEHIND_S
    ]
    least = seen.number("min-replicas-to-write")
    if len(good) < least:
        return Verdict(
            "replicas",
            Level.FAULT,
            f"min-replicas-to-write is {least} and {len(good)} replicas follow: it refuses writes",
            "Start the replicas, or lower it",
        )
    if least and len(good) == least:
        return Verdict(
            "replicas",
            Level.DANGER,
            f"min-replicas-to-write is {least} and {len(good)} replicas follow: a restart of one "
            "stops all writes",
            "Add a replica, or lower it",
        )
    if len(good) < len(fields):
        return Verdict(
            "replicas",
            Level.DANGER,
            f"{len(fields) - len(good)} of {len(fields)} replicas do not follow",
            "Look at their logs",
        )
    if not good:
        return Verdict(
            "replicas", Level.NOTE, "it has no replica: sessions end with its machine's disk"
        )
    return Verdict(
        "replicas",
        Level.OK,
        f"replicas that follow: {len(good)}. A failover costs what they had not got yet; answers "
        "under way are completed again",
    )


def _sentinels(seen: Inspection) -> Verdict | None:
    """Judge the failover settings of a Sentinel; the first that is wrong is told."""
    verdicts = map(judge_watched, seen.watched)
    return next((verdict for verdict in verdicts if verdict.is_bad), None)


def judge_watched(primary: Mapping[str, str]) -> Verdict:
    """Judge how a primary would be replaced, by what a Sentinel says of it."""
    name = primary.get("name", "")
    down_after_ms = int(primary.get("down-after-milliseconds", "0"))
    replicas = int(primary.get("num-slaves", "0"))
    if int(primary.get("num-other-sentinels", "0")) < 2:
        says, do = "fewer than three Sentinels watch", "Start three, on three machines"
    elif not replicas:
        says, do = "no replica follows", "Add a replica"
    elif down_after_ms > SLOW_DETECTION_MS:
        says = f"down-after-milliseconds is {down_after_ms}: sends are refused for longer, of"
        do = f"Set it to {SLOW_DETECTION_MS}"
    else:
        return Verdict(
            "failover",
            Level.OK,
            f"when {name} is silent for {down_after_ms} ms, a replica takes its place, of "
            f"{replicas}",
        )
    return Verdict("failover", Level.DANGER, f"{says} the primary {name}", do)


def _cluster(seen: Inspection) -> Verdict | None:
    """Judge the failover settings of a cluster."""
    if seen.facts.mode != "cluster":
        return None
    if seen.settings.get("cluster-require-full-coverage") == "yes":
        return Verdict(
            "failover",
            Level.DANGER,
            "cluster-require-full-coverage is yes: one shard that is away stops all of them",
            "Set it to no",
        )
    return None


def _mb(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB"


CLOSER: Final[tuple[Callable[[Inspection], Verdict | None], ...]] = (
    *(_evicted, _memory, _written, _connections, _replicas, _sentinels, _cluster),
)
"""Rules of `midstream doctor` alone; as `RULES` of `facts.py`."""
