"""The one place where what redis-py raises becomes what the gateway raises.

A test fails when redis-py grows an exception that the table does not name.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from redis import exceptions as redis

from gateway.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS_ERRORS: Final[dict[type[Exception], type[StoreError]]] = {
    # Away, restarting, failing over, full, or moving its slots: it may work in a moment.
    redis.ConnectionError: StoreUnavailableError,
    redis.TimeoutError: StoreUnavailableError,
    redis.BusyLoadingError: StoreUnavailableError,
    redis.MaxConnectionsError: StoreUnavailableError,
    redis.OutOfMemoryError: StoreUnavailableError,
    redis.ReadOnlyError: StoreUnavailableError,
    redis.ClusterError: StoreUnavailableError,
    redis.ClusterDownError: StoreUnavailableError,
    redis.MasterDownError: StoreUnavailableError,
    redis.AskError: StoreUnavailableError,
    redis.MovedError: StoreUnavailableError,
    redis.TryAgainError: StoreUnavailableError,
    redis.RedisClusterException: StoreUnavailableError,
    redis.SlotNotCoveredError: StoreUnavailableError,
    redis.NoScriptError: StoreUnavailableError,
    redis.InvalidResponse: StoreUnavailableError,
    redis.InvalidPipelineStack: StoreUnavailableError,
    OSError: StoreUnavailableError,
    # A wrong setting: an operator can repair it while we run.
    redis.AuthenticationError: StoreUnavailableError,
    redis.AuthorizationError: StoreUnavailableError,
    redis.AuthenticationWrongNumberOfArgsError: StoreUnavailableError,
    redis.ExternalAuthProviderError: StoreUnavailableError,
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

SENTENCES: Final = {
    StoreUnavailableError: "unable to reach Redis; try again in a moment",
    StoreError: "unable to use Redis; it refused a command",
}


def unavailable() -> StoreUnavailableError:
    """Return the error of a Redis that cannot be reached."""
    return StoreUnavailableError(SENTENCES[StoreUnavailableError])


def translated(error: Exception) -> StoreError | None:
    """Return what to raise for an exception, or None if it is not of Redis."""
    for kind in type(error).__mro__:
        found = REDIS_ERRORS.get(kind)
        if found is not None:
            return found(SENTENCES[found])
    return None


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
