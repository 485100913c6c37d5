"""What a cluster asks of the scripts: all that they touch is declared, and in one slot."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from midstream.ids import SessionId
from midstream.store.keys import Keys
from midstream.store.scripts import PARTS, Scripts

from .scenario import EXPIRED, HOUR_MS, SESSION, answered, batch, close, key, opened, submit

if TYPE_CHECKING:
    import redis

    from midstream.store.redis_store import RedisStore

LUA = files("midstream.store") / "lua"
SCRIPTS = Scripts()


@pytest.mark.parametrize("session", ["chat-1", "a:b@c", "~", "+" * 128])
@pytest.mark.parametrize("prefix", ["ms", "staging"])
def test_all_keys_of_a_session_are_in_one_slot(session: str, prefix: str) -> None:
    """The session is the hash tag, whatever the prefix."""
    keys = Keys(prefix).session(SessionId(session))

    assert {key_slot(name) for name in keys} == {key_slot(session.encode())}
    assert len(set(keys)) == len(keys)
    assert Keys(prefix).session_of(keys.feed) == session


@pytest.mark.parametrize("name", sorted(PARTS))
def test_script_touches_declared_keys_only(name: str) -> None:
    """Every command names its key as KEYS: an undeclared one tears in a cluster."""
    source = getattr(SCRIPTS, name).source
    calls = re.findall(r"redis\.p?call\('(\w+)'(?:,\s*([^,)]+))?", source)

    assert calls
    assert {target for command, target in calls if command != "TIME"} <= {
        f"KEYS[{i}]" for i in (*range(1, 10), "i", "i + 1")
    }


def test_every_lua_file_is_loaded_and_short() -> None:
    """A file is a script or a part of one, and fits on a screen."""
    on_disk = {entry.name.removesuffix(".lua"): entry for entry in LUA.iterdir()}

    assert set(on_disk) == set(PARTS) | {part for parts in PARTS.values() for part in parts}
    for entry in on_disk.values():
        assert len(entry.read_text("utf-8").splitlines()) <= 60


def test_sharded_scripts_publish_in_the_sessions_slot() -> None:
    """PUBLISH would go to every node of a cluster."""
    sharded = Scripts(sharded=True)

    for name in ("append", "open", "close", "erase", "request_stop"):
        assert "redis.call('SPUBLISH'" in getattr(sharded, name).source
        assert "'PUBLISH'" not in getattr(sharded, name).source
        assert "'SPUBLISH'" not in getattr(SCRIPTS, name).source


@pytest.mark.anyio
async def test_no_call_mixes_slots(store: RedisStore, raw_redis: redis.Redis) -> None:
    """What a session's life sends to Redis: each command's keys share a slot."""
    with raw_redis.monitor() as monitor:  # type: ignore[no-untyped-call]
        await answered(store)
        await opened(store, submit("u2", "r2", parent="a-r1", lease_ms=EXPIRED))
        await store.append([batch(0, run="r2")])
        await store.renew([key("r2")], EXPIRED)
        await store.take_over(SESSION, key("r2").run_id, HOUR_MS)
        await store.request_stop(
            SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=HOUR_MS
        )
        await store.close_run(close(1, run="r2", fence=2))
        await store.load(SESSION)
        await store.trim_due(10)
        await store.erase(SESSION)
        raw_redis.ping()
        called = []
        for event in monitor.listen():
            if event["command"] == "PING":
                break
            if event["command"].startswith("EVALSHA"):
                words = event["command"].split()
                called.append(words[3 : 3 + int(words[2])])
    assert len(called) > 10
    for keys in called:
        assert len({key_slot(name.encode()) for name in keys}) == 1
