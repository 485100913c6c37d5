from __future__ import annotations

import asyncio
import inspect
import socket
from contextlib import closing

import pytest
import uvloop
from redis import exceptions
from redis._parsers.base import BaseParser

from midstream.errors import StoreError, StoreUnavailableError
from midstream.store.errors import REDIS_ERRORS, REFUSALS, map_redis_errors, refusal_of

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
    if kind is exceptions.ResponseError:
        return  # its first word decides

    with pytest.raises(StoreError) as raised, map_redis_errors():
        raise make(kind)
    assert type(raised.value) is REDIS_ERRORS[kind]
    assert type(raised.value.__cause__) is kind
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), TimeoutError()])
def test_lost_connections_and_time_limits_are_unavailable(error: Exception) -> None:
    """The exceptions of the socket and of our own time limit."""
    with pytest.raises(StoreUnavailableError), map_redis_errors():
        raise error


AWAY, ELSEWHERE, BUG = (True, False), (True, True), (False, False)

SAID = {
    # As real servers say it (Redis 8.2.3; the last of each kind by others).
    "NOREPLICAS Not enough good replicas to write. script: f857, on @user_script:68.": ELSEWHERE,
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to": AWAY,
    "MISCONF Errors writing to the AOF file: No space left on device": AWAY,
    "OOM command not allowed when used memory > 'maxmemory'.": AWAY,
    "READONLY You can't write against a read only replica.": ELSEWHERE,
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": ELSEWHERE,
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL": AWAY,
    "LOADING Redis is loading the dataset in memory": AWAY,
    "ERR max number of clients reached": AWAY,
    "ERR max number of clients + cluster connections reached": AWAY,
    "ERR max requests limit exceeded. Limit: 10000, Usage: 10000.": AWAY,
    "CLUSTERDOWN Hash slot not served": ELSEWHERE,
    "TRYAGAIN Multiple keys request during rehashing of slot": AWAY,
    "MOVED 3999 127.0.0.1:6381": ELSEWHERE,
    "ASK 3999 127.0.0.1:6381": AWAY,
    "ERR Script attempted to access a non local key in a cluster node script: f8": AWAY,
    "NOAUTH Authentication required.": ELSEWHERE,
    "ERR Protocol error: unauthenticated multibulk length": ELSEWHERE,
    "ERR Protocol error: unauthenticated bulk length": ELSEWHERE,
    "WRONGPASS invalid username-password pair or user is disabled.": ELSEWHERE,
    "NOPERM User default has no permissions to run the 'evalsha' command": ELSEWHERE,
    "ERR ACL failure in script: User default has no permissions to run 'xadd'": ELSEWHERE,
    "ERR ACL failure in script: No permissions to access a channel script: f8": ELSEWHERE,
    "DENIED Redis is running in protected mode because protected mode is enabled": ELSEWHERE,
    "NOSCRIPT No matching script. Please use EVAL.": AWAY,
    "ERR Error running script (call to f_b0): @user_script:6: @user_script: 6: -READONLY You": (
        ELSEWHERE
    ),
    "no upstream host": AWAY,
    "SOMETHINGNEW of a version to come": AWAY,
    "ERR unknown command 'EVALSHA', with args beginning with: 'f857'": BUG,
    "ERR wrong number of arguments for 'xadd' command": BUG,
    "ERR user_script:12: attempt to index a nil value": BUG,
    "WRONGTYPE Operation against a key holding the wrong kind of value": BUG,
    "CROSSSLOT Keys in request don't hash to the same slot": BUG,
}


def test_refusals_are_told_by_their_first_word(subtests: pytest.Subtests) -> None:
    """Only a bug of ours, or a foreign value, is final; anything else is tried again. What may be
    another server by now is looked up again."""
    for line, (is_away, elsewhere) in SAID.items():
        with subtests.test(line):
            error = BaseParser.parse_error(line)  # type: ignore[no-untyped-call]
            with pytest.raises(StoreError) as raised, map_redis_errors():
                raise error
            assert isinstance(raised.value, StoreUnavailableError) is is_away
            refusal = refusal_of(error)
            assert refusal is None or refusal.elsewhere is elsewhere
            assert line.split(" ")[1][:6] in raised.value.note
            assert line not in raised.value.message


def test_words_that_redis_py_knows_are_in_the_table() -> None:
    """One that it learns is looked at by somebody before it reaches users."""
    assert set(BaseParser.EXCEPTION_CLASSES) <= set(REFUSALS)


def test_connection_that_uvloop_finds_closed_is_away() -> None:
    """uvloop raises a RuntimeError for it, which is no bug of ours; others are."""

    async def write_on_a_closed_transport() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            _, writer = await asyncio.open_connection(sock=ours)
            writer.transport.abort()
            await asyncio.sleep(0)
            writer.writelines([b"PING"])

    with (
        pytest.raises(StoreUnavailableError) as raised,
        map_redis_errors(),
        closing(uvloop.new_event_loop()) as loop,
    ):
        loop.run_until_complete(write_on_a_closed_transport())
    assert isinstance(raised.value.__cause__, RuntimeError)
    with pytest.raises(RuntimeError), map_redis_errors():
        raise RuntimeError("dictionary changed size during iteration")


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
