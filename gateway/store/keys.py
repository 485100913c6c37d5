"""Every name that we use in Redis.

All of a session is tagged `{session}`, so that it lives in one cluster slot and one script
may touch it. No key is named by a run or a message: a script can only be given the keys
that its caller knows, and which run is active is known inside.

    ms:{s}:meta   hash      the session's facts, its log's head, and its newest main run
    ms:{s}:log    stream    p: the predecessor's id, r: the record (record_codec.py)
    ms:{s}:feed   channel   `previous NL id NL record`
    ms:{s}:runs   hash      run -> `fence NL next NL opened NL record` when it last changed
    ms:{s}:side   hash      `RUN|field` -> what `meta` holds of the main run, of each open side run
    ms:{s}:msg    hash      message -> its JSON, message| -> its header, message|| -> its mark
    ms:{s}:req    hash      request key -> run
    ms:{s}:stop   hash      message, or NL request key -> `deadline NL by`: stops that came first;
                            after `reach BLANK` where there was no session yet
    ms:{s}:here   hash      who has the session open (presence.lua); not part of the session
    ms:{s}:own    hash      run NL client -> 1: who reads the response of their own send
    ms:{s}:paid   string    whose limits its bytes are counted in (stored_bytes.py)
    ms:leases     zset      session|run -> when its lease ends: a hint
    ms:waits      zset      session|run -> when its wait ends: a hint
    ms:trim       zset      session -> when its reconnect window ends: a hint
    ms:queues     zset      session -> when to look whether its queue goes on: a hint
    ms:steers     zset      the same, for messages that wait for a running answer: a hint
    ms:user:{u}   zset      session -> last activity: a hint; {tenant/user} within a tenant
    ms:desk:{t}   zset      session of tenant t -> when a person was asked for: a hint
    ms:probe      zset      written to see whether a write is taken; nobody reads it

In a cluster each hint but `ms:user` has 64 names, `ms:leases:{TAG}`: one for each 64th of the
slots, tagged so that it is in one of these slots itself. So the hints of a session are where the
session is, and are lost, or away, with it.

What callers have taken of their limits is named in limits.py: ms:limit:{scope}:NAME.

A message's header is `parent NL content hash NL run`; `NL side` behind it says that it is of a side
run, and never the head. Its mark is the offset of its first record,
or empty for one that was stored before there were marks; ` unasked` behind it says that the message
that it followed was deleted. The mark `deleted` is of an id whose message is gone, all but the id.
"""

from __future__ import annotations

import itertools
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from redis.crc import key_slot

if TYPE_CHECKING:
    from midstream.ids import SessionId, TenantId, UserId

CACHED_SESSIONS: Final = 4_096
"""Names kept at hand, about 1 KB a session: more than one process has active runs."""

BUCKETS: Final = 64
"""Parts of a cluster's slots. No cluster has so many primaries that a part would be much of one."""
SLOTS_A_BUCKET: Final = 16_384 // BUCKETS


class SessionNames(NamedTuple):
    """A session's keys, and its channel."""

    meta: bytes
    log: bytes
    runs: bytes
    side: bytes
    messages: bytes
    requests: bytes
    stops: bytes
    feed: bytes


class PresenceNames(NamedTuple):
    """Names of a session's presence and of its channel."""

    here: bytes
    feed: bytes


class HintName(NamedTuple):
    """One name of a hint."""

    hint: bytes


class Hint:
    """One kind of hint.

    Attributes:
        names: all its names: one, or one a bucket in a cluster.
    """

    def __init__(self, name: str, *, sharded: bool) -> None:
        if sharded:
            self.names = tuple(HintName(f"{name}:{{{tag}}}".encode()) for tag in _tags())
        else:
            self.names = (HintName(name.encode()),)

    def of(self, session_id: SessionId) -> HintName:
        """Return the name under which a session is noted."""
        names = self.names
        return names[0] if len(names) == 1 else names[_bucket(session_id)]


@cache
def _tags() -> tuple[str, ...]:
    """Return a tag for each bucket, whose slot is in it: the least number."""
    tags: dict[int, str] = {}
    for number in map(str, itertools.count()):
        tags.setdefault(_bucket(number), number)
        if len(tags) == BUCKETS:
            return tuple(tags[bucket] for bucket in range(BUCKETS))
    raise AssertionError


def _bucket(tag: str) -> int:
    return key_slot(tag.encode()) // SLOTS_A_BUCKET


class ScopeNames(NamedTuple):
    """Names of what callers of one scope have taken (`redis/limits.py`)."""

    sends: bytes
    seen: bytes
    runs: bytes
    streams: bytes
    held_bytes: bytes
    stored: bytes
    sizes: bytes
    held_tokens: bytes
    used: bytes


class StoredNames(NamedTuple):
    """The entries that are stored in a scope, and their bytes (`stored_bytes.py`)."""

    stored: bytes
    sizes: bytes


class SpentNames(NamedTuple):
    """The tokens that were used in a scope, and the runs that were counted."""

    used: bytes
    counted: bytes


class HeldName(NamedTuple):
    """One kind of what callers hold."""

    held: bytes


class Keys:
    """The names under one prefix.

    Args:
        sharded: for a cluster.
    """

    def __init__(self, prefix: str = "ms", *, sharded: bool = False) -> None:
        self._prefix = prefix
        self.leases: Final = Hint(f"{prefix}:leases", sharded=sharded)
        self.waits: Final = Hint(f"{prefix}:waits", sharded=sharded)
        self.trim: Final = Hint(f"{prefix}:trim", sharded=sharded)
        self.queues: Final = Hint(f"{prefix}:queues", sharded=sharded)
        self.steers: Final = Hint(f"{prefix}:steers", sharded=sharded)
        self.probe: Final = Hint(f"{prefix}:probe", sharded=sharded)
        self.any_here: Final = f"{prefix}:{{*}}:here".encode()
        self.session = lru_cache(maxsize=CACHED_SESSIONS)(self._session)

    def _session(self, session_id: SessionId) -> SessionNames:
        return SessionNames(
            meta=self._tagged(session_id, "meta"),
            log=self._tagged(session_id, "log"),
            runs=self._tagged(session_id, "runs"),
            side=self._tagged(session_id, "side"),
            messages=self._tagged(session_id, "msg"),
            requests=self._tagged(session_id, "req"),
            stops=self._tagged(session_id, "stop"),
            feed=self._tagged(session_id, "feed"),
        )

    def presence(self, session_id: SessionId) -> PresenceNames:
        """Name the hash of who has a session open, and its channel."""
        return PresenceNames(
            here=self._tagged(session_id, "here"), feed=self.session(session_id).feed
        )

    def own(self, session_id: SessionId) -> bytes:
        """Name the hash of those who read the response of their own send."""
        return self._tagged(session_id, "own")

    def paid(self, session_id: SessionId) -> bytes:
        """Name whose limits a session's bytes are counted in."""
        return self._tagged(session_id, "paid")

    def scope(self, scope: str) -> ScopeNames:
        """Name all that a scope has taken."""
        names = (field.removeprefix("held_") for field in ScopeNames._fields)
        return ScopeNames(*(self.limit(scope, name) for name in names))

    def limit(self, scope: str, name: str) -> bytes:
        """Name what a scope has taken of a limit."""
        return f"{self._prefix}:limit:{{{scope}}}:{name}".encode()

    def stored(self, scope: str) -> StoredNames:
        """Name the bytes that are stored in a scope."""
        return StoredNames(stored=self.limit(scope, "stored"), sizes=self.limit(scope, "sizes"))

    def spent(self, scope: str) -> SpentNames:
        """Name the tokens that were used in a scope."""
        return SpentNames(used=self.limit(scope, "used"), counted=self.limit(scope, "counted"))

    def gateways(self) -> HeldName:
        """Name the processes that count in the limits."""
        return HeldName(f"{self._prefix}:limit:gateways".encode())

    def user(self, user: UserId, tenant: TenantId) -> HintName:
        """Name the hint that lists a user's sessions. No id from a token has a slash."""
        name = f"{tenant}/{user}" if tenant else user
        return HintName(f"{self._prefix}:user:{{{name}}}".encode())

    def desk(self, tenant: TenantId) -> HintName:
        """Name the hint that lists the sessions of a tenant that are in the hands of people."""
        return HintName(f"{self._prefix}:desk:{{{tenant or '-'}}}".encode())

    def _tagged(self, session_id: SessionId, name: str) -> bytes:
        return f"{self._prefix}:{{{session_id}}}:{name}".encode()

    def session_of(self, name: bytes) -> str:
        """Return the session of one of its names."""
        return name[len(self._prefix) + 2 : name.rindex(b"}:")].decode()
