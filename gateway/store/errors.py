"""The one place that turns Redis's answers and redis-py's exceptions into the gateway's errors.

A refusal of Redis is told by its first word (`REFUSALS`); anything else by its class
(`REDIS_ERRORS`). Almost all of it is *away*: it may work in a moment, whoever asks sends the
same again, and no task ends on it. What remains is a bug of ours, or a foreign value under a
key of ours: it fails its own request, and nothing else.

Tests fail when redis-py grows an exception that the table does not name, and when a real server's
refusal is taken for something else.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from redis import exceptions as redis

from midstream.errors import StoreError, StoreUnavailableError
from midstream.telemetry import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS_ERRORS: Final[dict[type[Exception], type[StoreError]]] = {
    # Away, restarting, or busy with something else: it may work in a moment.
    redis.ConnectionError: StoreUnavailableError,
    redis.TimeoutError: StoreUnavailableError,
    redis.BusyLoadingError: StoreUnavailableError,
    redis.MaxConnectionsError: StoreUnavailableError,
    redis.RedisClusterException: StoreUnavailableError,
    redis.SlotNotCoveredError: StoreUnavailableError,
    redis.InvalidResponse: StoreUnavailableError,
    redis.InvalidPipelineStack: StoreUnavailableError,
    redis.ExternalAuthProviderError: StoreUnavailableError,
    OSError: StoreUnavailableError,
    # Refusals of the server: `REFUSALS` decides by their word, which redis-py may have cut off.
    redis.OutOfMemoryError: StoreUnavailableError,
    redis.ReadOnlyError: StoreUnavailableError,
    redis.ClusterError: StoreUnavailableError,
    redis.ClusterDownError: StoreUnavailableError,
    redis.MasterDownError: StoreUnavailableError,
    redis.AskError: StoreUnavailableError,
    redis.MovedError: StoreUnavailableError,
    redis.TryAgainError: StoreUnavailableError,
    redis.NoScriptError: StoreUnavailableError,
    redis.AuthenticationError: StoreUnavailableError,
    redis.AuthorizationError: StoreUnavailableError,
    redis.AuthenticationWrongNumberOfArgsError: StoreUnavailableError,
    redis.NoPermissionError: StoreUnavailableError,
    # Our bug, or a feature that we do not use.
    redis.RedisError: StoreError,
    redis.ResponseError: StoreError,
    redis.DataError: StoreError,
    redis.ExecAbortError: StoreError,
    redis.WatchError: StoreError,
    redis.PubSubError: StoreError,
    redis.ModuleError: StoreError,
    redis.NoSuchFieldsetError: StoreError,
    redis.LockError: StoreError,
    redis.LockNotOwnedError: StoreError,
    redis.ChildDeadlockedError: StoreError,
    redis.ClusterCrossSlotError: StoreError,
    redis.CrossSlotTransactionError: StoreError,
    redis.IncorrectPolicyType: StoreError,
}


class Refusal(Struct, frozen=True):
    """Meaning of a refusal by Redis.

    Attributes:
        why: the public sentence's second half.
        is_away: whether it may work in a moment; otherwise it never will.
        elsewhere: whether the right server may be another one by now, behind the same name.
    """

    why: str
    is_away: bool = True
    elsewhere: bool = False


def _away(why: str) -> Refusal:
    return Refusal(why)


def _elsewhere(why: str) -> Refusal:
    return Refusal(why, elsewhere=True)


_BUG: Final = Refusal("it refused a command", is_away=False)
_UNKNOWN: Final = _away("it refuses for now")

REFUSALS: Final[dict[str, Refusal]] = {
    # It takes no writes.
    "NOREPLICAS": _elsewhere("it has too few replicas to take writes"),
    "MISCONF": _away("it cannot write to its disk"),
    "OOM": _away("its memory is full"),
    "READONLY": _elsewhere("it is a replica, which takes no writes"),
    "MASTERDOWN": _elsewhere("it is a replica that has lost its primary"),
    # It takes nothing.
    "BUSY": _away("it is busy with a script"),
    "LOADING": _away("it is loading its data"),
    "max number of clients": _away("it has too many connections"),
    "limit exceeded": _away("its quota is used up"),
    # The server is a cluster, or one of its slots moves.
    "CLUSTERDOWN": _elsewhere("its cluster is down"),
    "TRYAGAIN": _away("its cluster moves this session"),
    "MOVED": _elsewhere("it is one node of a cluster, and the session is on another"),
    "ASK": _away("it is one node of a cluster, and the session moves to another"),
    "non local key": _away("it is one node of a cluster, and the session is on another"),
    # A wrong setting, there or here: an operator can repair it while we run.
    "NOAUTH": _elsewhere("it asks for a password"),
    # Of a command of more than ten words, before it would say NOAUTH.
    "unauthenticated": _elsewhere("it asks for a password"),
    "WRONGPASS": _elsewhere("it does not accept the password"),
    "NOPERM": _elsewhere("it does not allow this user the command"),
    "failure in script": _elsewhere("it does not allow this user the command"),
    "DENIED": _elsewhere("it accepts no connections from here"),
    # It has forgotten our scripts while they were loaded.
    "NOSCRIPT": _away("it is restarting"),
    # Our bug, or somebody else's value under our key.
    "ERR": _BUG,
    "WRONGTYPE": _BUG,
    "CROSSSLOT": _BUG,
    "EXECABORT": _BUG,
    "NOPROTO": _BUG,
}
"""By the first word of the refusal; those in lower case by words of an `ERR`. A word that is not
here is one more reason of a server, or of a proxy before it, not to serve now."""

_IN_SCRIPT: Final = re.compile(r"@user_script: ?\d+: -([A-Z]+) ")
"""Redis 6 puts what refused a script's call into the script's own `ERR`."""

_CLOSED_TRANSPORT: Final = "the handler is closed"
"""Text of uvloop's RuntimeError for a write on a connection that was just lost."""

UNREACHABLE: Final = "unable to reach Redis; try again in a moment"
UNUSABLE: Final = "unable to use Redis; {why}"


def unavailable() -> StoreUnavailableError:
    """Return the error of a Redis that cannot be reached."""
    return StoreUnavailableError(UNREACHABLE)


def _refusing(why: str) -> StoreUnavailableError:
    return StoreUnavailableError(f"{UNUSABLE.format(why=why)}. Try again in a moment")


def _refused() -> StoreError:
    return StoreError(UNUSABLE.format(why=_BUG.why))


def refusal_of(error: Exception) -> Refusal | None:
    """Return what a refusal of Redis means; None if the exception is none."""
    word = word_of(error)
    return None if word is None else REFUSALS.get(word, _UNKNOWN)


def word_of(error: Exception) -> str | None:
    """Return the refusal's key in the table; None if a class of redis-py says more."""
    code = getattr(error, "status_code", None)  # the word, where redis-py has cut it off
    is_plain = type(error) is redis.ResponseError
    if code is None:
        return str(error).partition(" ")[0] if is_plain else None
    if code != "ERR":
        return str(code)
    for phrase in REFUSALS:
        if phrase.islower() and phrase in str(error):
            return phrase
    if not is_plain:
        return None
    inner = _IN_SCRIPT.search(str(error))
    return inner[1] if inner else "ERR"


def translated(error: Exception) -> StoreError | None:
    """Return what to raise for an exception, or None if it is not of Redis."""
    refusal = refusal_of(error)
    if refusal is not None:
        mapped = _refusing(refusal.why) if refusal.is_away else _refused()
    elif isinstance(error, RuntimeError) and _CLOSED_TRANSPORT in str(error):
        mapped = unavailable()
    else:
        kinds = (REDIS_ERRORS.get(kind) for kind in type(error).__mro__)
        found = next(filter(None, kinds), None)
        if found is None:
            return None
        mapped = unavailable() if found is StoreUnavailableError else _refused()
    word = getattr(error, "status_code", None)
    mapped.note = quoted(redis=f"{word} {error}" if word else str(error) or type(error).__name__)
    return mapped


@contextmanager
def map_redis_errors() -> Iterator[None]:
    """Raise StoreError, or StoreUnavailableError, for whatever redis-py raises inside."""
    try:
        yield
    except Exception as error:
        mapped = translated(error)
        if mapped is None:
            raise
        raise mapped from error
