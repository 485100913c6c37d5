"""Steps of an examination: who could read along, what the user may do, the clock, a session."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from midstream.errors import StoreError, StoreUnavailableError
from midstream.settings.redis_url import SingleUrl, parse_redis_url
from midstream.store.errors import UNREACHABLE
from midstream.store.keys import Keys
from midstream.store.server.first_words import explain
from midstream.store.server.rehearsal import TTL_S, own_prefix, rehearse, written
from midstream.store.server.rights import Right, acl_rules, named, to_ask
from midstream.store.server.verdict import Level, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from midstream.store.cluster.commands import Commands
    from midstream.store.keys import HintName
    from midstream.store.redis.client import RedisClient
    from midstream.store.server.rehearsal import Rehearsed

    Tell = Callable[[Verdict], None]

LOCAL_HOSTS: Final = ("", "localhost", "127.0.0.1", "::1")
SLOW_S: Final = 0.01
"""An append that people begin to see, chunk by chunk."""
STALL_S: Final = 0.5
"""An append that they wait for."""
CLOCK_S: Final = 2.0
"""Difference of two clocks that are kept right is far less."""


async def unusable(url: str, error: StoreError) -> Verdict:
    """Say why nothing can be asked there."""
    if error.message == UNREACHABLE:
        return await explain(url)
    said = error.note.removeprefix("redis=")
    return Verdict(
        "connection",
        Level.FAULT,
        f"{_reason(error)} ({said})",
        "Check the user and the password in the URL",
    )


def _reason(error: StoreError) -> str:
    """Return the second half of the sentence, without what clients are advised to do."""
    return error.message.partition("; ")[2].removesuffix(". Try again in a moment")


def exposure(url: str) -> list[Verdict]:
    """Judge who else could read the sessions on their way, or ask for them."""
    named = parse_redis_url(url)
    if isinstance(named, SingleUrl):
        parts = urlsplit(url)
        hosts = [parts.hostname or ""] if parts.scheme != "unix" else []
        encrypted, password = parts.scheme == "rediss", parts.password or ""
    else:
        hosts = [address.host for address in named.servers]
        encrypted, password = named.tls, named.credentials.password
    if all(host in LOCAL_HOSTS for host in hosts):
        return []
    found = []
    if encrypted:
        found.append(Verdict("encryption", Level.OK, "connections are encrypted (TLS)"))
    else:
        found.append(
            Verdict(
                "encryption",
                Level.NOTE,
                "messages cross the network as plain text",
                "Use rediss:// unless the network is private",
            )
        )
    if not password:
        found.append(
            Verdict(
                "password",
                Level.DANGER,
                "it asks for no password: whoever reaches its port reads all sessions",
                "Set one, or an ACL user",
            )
        )
    return found


async def rights_of(
    client: RedisClient, prefix: str, *, knows_all: bool, probe: HintName | None = None
) -> Verdict:
    """Judge what the user may do, on the gateway's own names, without touching them.

    Args:
        probe: of a node of a cluster, one that this node has.
    """
    sharded = probe is not None
    rights = to_ask(prefix, sharded=sharded)
    words = [word for right in rights for word in right]
    script = client.scripts.missing
    name = probe or Keys(prefix).probe.names[0]
    loaded, reply = await client.ask([("SCRIPT", "LOAD", script.source), script.call(name, *words)])
    do = f"Give the user these rules: {acl_rules(prefix, sharded=sharded)}"
    for refused, command in ((loaded, "SCRIPT LOAD"), (reply, "EVALSHA")):
        if isinstance(refused, Exception):
            return Verdict("rights", Level.FAULT, f"the user may not run {command} ({refused})", do)
    if reply is None:
        return Verdict(
            "rights",
            Level.NOTE,
            "this server cannot say which rights a user lacks (Redis 7 can); only those that a "
            "send needs were tried",
        )
    missing: list[Right] = [rights[place] for place in reply]
    if missing:
        return Verdict("rights", Level.FAULT, f"the user may not run {named(missing)}", do)
    described = "" if knows_all else ", but not describe the server"
    return Verdict("rights", Level.OK, f"the user may do all that a gateway does{described}")


async def clock(client: RedisClient) -> Verdict:
    """Compare Redis's clock with this machine's."""
    before = time.time()
    (reply,) = await client.ask([("TIME",)])
    here = (before + time.time()) / 2
    if isinstance(reply, Exception):
        return Verdict("clock", Level.FAULT, "the user may not run TIME", "Allow it")
    ahead_s = int(reply[0]) + int(reply[1]) / 1_000_000 - here
    if abs(ahead_s) < CLOCK_S:
        return Verdict("clock", Level.OK, "its clock and this machine's agree")
    side = "ahead of" if ahead_s > 0 else "behind"
    return Verdict(
        "clock",
        Level.NOTE,
        f"its clock is {abs(ahead_s):.1f} s {side} this machine's: times in the log differ, and a "
        "correction in one step makes runs of dead processes end later",
        "Keep both by NTP",
    )


async def play(
    url: str, client: Commands, prefix: str, tell: Tell, *, sharded: bool = False
) -> None:
    """Play a session's life, and judge how it went."""
    own = own_prefix(prefix)
    try:
        went = await rehearse(url, client, own, sharded=sharded)
    except TimeoutError:
        tell(
            Verdict(
                "session",
                Level.FAULT,
                "what was published on a channel did not come to its subscriber",
                "Connect the gateway to Redis without a proxy that drops pub/sub",
            )
        )
    except StoreUnavailableError as error:
        said = error.note.removeprefix("redis=")
        tell(Verdict("session", Level.FAULT, f"no session can be kept: {_reason(error)} ({said})"))
    except StoreError as error:
        tell(Verdict("session", Level.FAULT, f"no session can be kept: {_reason(error)}"))
    else:
        tell(_went(went))
        tell(speed(went))
    left = await _left(client, written(own, sharded=sharded))
    if left:
        tell(
            Verdict(
                "rest",
                Level.NOTE,
                f"{left} keys of this examination ({own}:*) could not be removed; they expire "
                f"within {TTL_S:g} s",
            )
        )


async def _left(client: Commands, names: Iterable[bytes]) -> int:
    """Count the names of a rehearsal that still exist."""
    replies = await client.run_each([("EXISTS", name) for name in names])
    return sum(reply for reply in replies if isinstance(reply, int))


def _went(went: Rehearsed) -> Verdict:
    count = len(went.arrivals_s)
    return Verdict(
        "session",
        Level.OK,
        f"a session was opened, written, followed, read and removed; all of its {count} chunks "
        "came over the channel",
    )


def speed(went: Rehearsed) -> Verdict:
    """Judge how long an append takes, with its way there and back."""
    usual_s, longest_s = statistics.median(went.appends_s), max(went.appends_s)
    says = (
        f"an append takes {usual_s * 1000:.1f} ms; the longest of {len(went.appends_s)} took "
        f"{longest_s * 1000:.1f} ms"
    )
    if longest_s > STALL_S:
        do = "Look for slow commands (SLOWLOG GET), a slow disk, or swapping"
        return Verdict("speed", Level.DANGER, says, do)
    if usual_s > SLOW_S:
        return Verdict("speed", Level.NOTE, says, "Run the gateway near Redis: in one zone")
    return Verdict("speed", Level.OK, says)
