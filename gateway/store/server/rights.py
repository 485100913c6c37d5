"""The rights that the gateway's user needs in Redis: commands, each on keys and channels of ours.

The scripts know what they call (`Script.commands`); what is called without one is in `DIRECT`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from midstream.ids import NO_TENANT, SessionId, UserId
from midstream.store.keys import Keys
from midstream.store.scripts.catalog import Scripts

if TYPE_CHECKING:
    from collections.abc import Iterable

DIRECT: Final[dict[str, str]] = {
    "PING": "",
    "EVALSHA": "",
    "SCRIPT LOAD": "",
    "SUBSCRIBE": "feed",
    "UNSUBSCRIBE": "feed",
    "XRANGE": "log",
    "HGET": "requests",
    "HMGET": "meta",
    "HSET": "own",
    "HDEL": "own",
    "HEXISTS": "own",
    "PEXPIRE": "own",
    "EXISTS": "meta",
    "GET": "paid",
    "SET": "paid",
    "DEL": "paid",
    "MEMORY USAGE": "meta",
    "SCAN": "",
    "ZREM": "leases",
    "ZREVRANGEBYSCORE": "user",
}
"""Commands that are sent without a script, each with a name of ours that it is called for."""

SHARDED: Final = {"SUBSCRIBE": "SSUBSCRIBE", "UNSUBSCRIBE": "SUNSUBSCRIBE"}
"""Commands that are others in a cluster."""

ROUTING: Final = ("CLUSTER SLOTS", "ASKING")
"""Commands that only a cluster needs."""

DESCRIBING: Final = ("INFO", "CONFIG GET", "ROLE")
"""Commands that only describe the server. Without them the gateway works, and warns of nothing."""


class Right(NamedTuple):
    """One command, on one name; an empty name: on none."""

    command: str
    name: bytes


CALLING: Final = ("EVALSHA", "SCRIPT LOAD")
"""Commands that a call of the script `missing` proves. A server must not be asked for EVALSHA by
`acl_check_cmd`: without arguments it ends Redis 8.2 and Valkey 9.1."""


def needed(prefix: str, *, sharded: bool = False) -> list[Right]:
    """Return every right that a gateway uses, with names under a prefix.

    Args:
        sharded: of a user of a cluster.
    """
    names = _names(Keys(prefix, sharded=sharded))
    direct = DIRECT.items()
    if sharded:
        direct = {SHARDED.get(command, command): name for command, name in direct}.items()
    rights = {Right(command, names[name] if name else b"") for command, name in direct}
    rights.update(Right(command, b"") for command in ROUTING if sharded)
    for script in Scripts(sharded=sharded).all():
        for command, called_for in script.commands:
            rights.add(Right(command, names[called_for[0].lower()] if called_for else b""))
    named_ones = {right.command for right in rights if right.name}
    return sorted(right for right in rights if right.name or right.command not in named_ones)


def to_ask(prefix: str, *, sharded: bool = False) -> list[Right]:
    """Return those that the script `missing` is to look at."""
    return [right for right in needed(prefix, sharded=sharded) if right.command not in CALLING]


def acl_rules(prefix: str, *, sharded: bool = False) -> str:
    """Return the rules of an ACL user that has these rights and no others."""
    commands = {right.command for right in needed(prefix, sharded=sharded)} | set(DESCRIBING)
    allowed = " ".join(f"+{command.lower().replace(' ', '|')}" for command in sorted(commands))
    return f"resetkeys resetchannels ~{prefix}:* &{prefix}:* -@all {allowed}"


def named(rights: Iterable[Right]) -> str:
    """Return the commands for people to read."""
    return ", ".join(sorted({right.command for right in rights}))


def _names(keys: Keys) -> dict[str, bytes]:
    """Return a name of ours of each kind, of a session, a user and a scope that nobody has."""
    session, scope = SessionId("doctor"), "doctor"
    return {
        **keys.scope(scope)._asdict(),
        **keys.spent(scope)._asdict(),
        **keys.presence(session)._asdict(),
        **keys.session(session)._asdict(),
        "held": keys.gateways().held,
        "hint": keys.trim.of(session).hint,
        "leases": keys.leases.of(session).hint,
        "own": keys.own(session),
        "paid": keys.paid(session),
        "user": keys.user(UserId("doctor"), NO_TENANT).hint,
    }
