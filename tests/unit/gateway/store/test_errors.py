from __future__ import annotations

import asyncio
import inspect

import pytest
from redis import exceptions

from gateway.errors import StoreError, StoreUnavailableError
from gateway.store.errors import REDIS_ERRORS, map_redis_errors

REDIS_CLASSES = [
    value
    for value in vars(exceptions).values()
    if inspect.isclass(value) and issubclass(value, Exception)
]


def make(kind: type[Exception]) -> Exception:
    """Make an exception as redis-py does; those of a moved slot parse where it went."""
    moved = issubclass(kind, exceptions.AskError)
    return kind("1 localhost:6379") if moved else kind("secret internals")


@pytest.mark.parametrize("kind", REDIS_CLASSES)
def test_every_redis_exception_is_mapped_by_name(kind: type[Exception]) -> None:
    """A class that redis-py adds is looked at by somebody before it reaches users."""
    assert kind in REDIS_ERRORS

    with pytest.raises(StoreError) as raised, map_redis_errors():
        raise make(kind)
    assert type(raised.value) is REDIS_ERRORS[kind]
    assert type(raised.value.__cause__) is kind
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), TimeoutError()])
def test_lost_connections_and_time_limits_are_unavailable(error: Exception) -> None:
    """What the socket and our own time limit raise."""
    with pytest.raises(StoreUnavailableError), map_redis_errors():
        raise error


def test_subclass_is_mapped_as_its_nearest_base() -> None:
    """A class that is new to us behaves like what it is a kind of."""

    class NewOutageError(exceptions.ConnectionError):
        pass

    with pytest.raises(StoreUnavailableError), map_redis_errors():
        raise NewOutageError("")


@pytest.mark.parametrize(
    "error", [ValueError("ours"), StoreError("ours"), asyncio.CancelledError()]
)
def test_other_exceptions_pass(error: BaseException) -> None:
    """Our own bugs, our own errors and cancellation are not Redis's."""
    with pytest.raises(type(error)) as raised, map_redis_errors():
        raise error
    assert raised.value is error
