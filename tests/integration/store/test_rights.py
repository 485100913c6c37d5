"""A right that Redis's user lacks, or loses: each write happens as a whole, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from midstream.errors import StoreUnavailableError
from midstream.ids import MessageId
from midstream.store.records import ChunksRecord
from midstream.store.redis.hints import Hints
from midstream.store.redis.store import RedisStore
from midstream.store.scripts.catalog import Scripts

from .scenario import (
    EPOCH,
    EXPIRED,
    HOUR_MS,
    MINUTES_MS,
    OWNER,
    SESSION,
    answered,
    batch,
    close,
    key,
    message,
    opened,
    regenerate,
    side,
    submit,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import redis

pytestmark = pytest.mark.anyio

USER: Final = "limited"
ALL: Final = ("reset", "on", "nopass", "~*", "&*", "+@all")


class Write(NamedTuple):
    """A call that writes, and what it finds."""

    script: str
    before: Callable[[RedisStore], Awaitable[object]]
    do: Callable[[RedisStore], Awaitable[object]]


async def nothing(_: RedisStore) -> None:
    """Leave Redis empty."""


async def expired(store: RedisStore) -> None:
    """Leave a run whose lease has ended."""
    await opened(store, submit(lease_ms=EXPIRED))


async def begun(store: RedisStore) -> None:
    """Leave a run with a chunk."""
    await opened(store)
    await store.append([batch(0)])


async def two_versions(store: RedisStore) -> None:
    """Leave a question with two answers."""
    await answered(store)
    await opened(store, regenerate("u1", "r2"))
    await store.close_run(close(0, run="r2", answer=message("a-r2", "u1")))


async def note_trim(store: RedisStore) -> None:
    """Note when a log is to be trimmed."""
    await store._client.run(Hints(store._client, store._keys, 1).trim(SESSION, 1))


WRITES: Final = {
    "first send": Write("open", nothing, opened),
    "later send": Write(
        "open", answered, lambda store: opened(store, submit("u2", "r2", parent="a-r1"))
    ),
    "append": Write("append", begun, lambda store: store.append([batch(1)])),
    "end": Write(
        "close", begun, lambda store: store.close_run(close(1, answer=message("a-r1", "u1")))
    ),
    "stop": Write(
        "request_stop",
        begun,
        lambda store: store.request_stop(
            SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=HOUR_MS
        ),
    ),
    "take-over": Write(
        "take_over", expired, lambda store: store.take_over(SESSION, key().run_id, HOUR_MS)
    ),
    "deletion of a message": Write(
        "delete", answered, lambda store: store.delete(SESSION, EPOCH, MessageId("u1"))
    ),
    "selection": Write(
        "select",
        two_versions,
        lambda store: store.select(SESSION, EPOCH, MessageId("a-r1"), by="ada"),
    ),
    "presence": Write(
        "presence",
        nothing,
        lambda store: store.announce(SESSION, "p", OWNER, tabs=1, lifetime_ms=MINUTES_MS),
    ),
    "hint": Write("hint", nothing, note_trim),
    "deletion": Write("erase", answered, lambda store: store.erase(SESSION)),
}


LAST: Final = {("append", "PUBLISH")}
"""The last command of a script: everything that it reports is stored already."""

NOT_MET: Final = {("append", "HEXISTS"), ("append", "XDEL")}
"""Commands that a script does not reach, and whose right it does not check before."""


@pytest.fixture
async def limited(redis_url: str, raw_redis: redis.Redis) -> AsyncIterator[RedisStore]:
    """A store whose user has the rights that a test leaves it."""
    give(raw_redis, *ALL)
    async with RedisStore.connect(redis_url.replace("unix://", f"unix://{USER}:none@")) as store:
        yield store
    raw_redis.acl_deluser(USER)


def give(raw_redis: redis.Redis, *rights: str) -> None:
    """Give the user rights, or take them."""
    raw_redis.execute_command("ACL", "SETUSER", USER, *rights)  # type: ignore[no-untyped-call]


def kept(raw_redis: redis.Redis) -> dict[bytes, object]:
    """Return all that Redis has; not the hints that an opening writes before it."""
    return {
        name: raw_redis.xrange(name) if raw_redis.type(name) == b"stream" else raw_redis.dump(name)
        for name in raw_redis.scan_iter()
        if not name.startswith((b"ms:leases", b"ms:user:"))
    }


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_refused_write_has_written_nothing_and_is_done_when_it_comes_again(
    store: RedisStore,
    limited: RedisStore,
    raw_redis: redis.Redis,
    subtests: pytest.Subtests,
    write: Write,
) -> None:
    """Whichever of its script's commands is refused: that is Redis being away, for whoever asks."""
    script = getattr(Scripts(), write.script)
    for command in sorted({"EVALSHA", *(called for called, _ in script.commands)}):
        if (write.script, command) in NOT_MET:
            continue
        with subtests.test(command):
            raw_redis.flushdb()
            await write.before(store)
            before = kept(raw_redis)
            give(raw_redis, f"-{command.lower()}")
            with pytest.raises(StoreUnavailableError):
                await write.do(limited)
            if (write.script, command) not in LAST:
                assert kept(raw_redis) == before
            give(raw_redis, "+@all")
            await write.do(limited)
            assert kept(raw_redis) != before


@pytest.mark.parametrize("run", ["r1", "s1"])
async def test_batch_that_was_refused_is_in_the_log_once(
    store: RedisStore, limited: RedisStore, raw_redis: redis.Redis, run: str
) -> None:
    """Its writer retries until it is stored, and followers read it in the log."""
    await opened(store)
    await opened(store, side("s1"))
    await store.append([batch(0, run=run)])
    give(raw_redis, "-hset")
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            await limited.append([batch(1, run=run)])
    give(raw_redis, "+@all")
    await limited.append([batch(1, run=run)])

    entries = await store.read_run(SESSION, "0-0", count=10)
    records = [entry.record for entry in entries]
    assert [record.first for record in records if isinstance(record, ChunksRecord)] == [0, 1]
