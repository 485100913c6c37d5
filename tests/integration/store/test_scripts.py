"""Named arguments of the scripts; a cluster finds their keys declared, and in one slot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from redis.crc import key_slot

from midstream.ids import SessionId
from midstream.store.keys import Keys, ScopeNames, SessionNames
from midstream.store.scripts.catalog import DESCRIPTIONS, Scripts
from midstream.store.scripts.script import LUA, Description, Script, script

from .scenario import EXPIRED, HOUR_MS, SESSION, answered, batch, close, key, opened, side, submit

if TYPE_CHECKING:
    from pathlib import Path

    import redis

    from midstream.store.redis.store import RedisStore

SCRIPTS = Scripts()
CALL = r"redis\.p?call\('(\w+)'(?:,\s*([^,)]+))?"
VARIABLES = {"key", "lane.key"}
"""Of a function, a list of keys, or a lane: META or SIDE."""


class Two(NamedTuple):
    """The keys and arguments of a script that returns them."""

    one: bytes
    other: bytes
    channel: bytes


def described(lua: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Description[Two, ...]:
    """Describe a script of that text, which takes `number`, `text`, and any number of `more`."""
    (tmp_path / "example.lua").write_text(lua, "utf-8")
    monkeypatch.setattr("midstream.store.scripts.script.LUA", tmp_path)

    def example(*more: str, number: int, text: str) -> None:
        """Nothing."""

    made: Description[Two, ...] = script(Two, keys=("other", "one"), channels=("channel",))(example)
    return made


@pytest.mark.parametrize("said", [("number", "text"), ("text", "number")])
def test_script_gets_each_value_under_its_name_in_whatever_order_they_are_said(
    raw_redis: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: tuple[str, ...]
) -> None:
    """Both sides take their positions from the description."""
    lua = "return {ONE, OTHER, CHANNEL, number, text, unpack(more)}"
    made: Script[Two, ...] = Script(described(lua, monkeypatch, tmp_path), sharded=False)
    values: dict[str, Any] = {"number": 7, "text": "seven"}

    _, sha, keys, *words = made.call(
        Two(b"1", b"2", b"c"), "x", "y", **{name: values[name] for name in said}
    )
    assert str(raw_redis.script_load(made.source)) == sha
    assert raw_redis.evalsha(str(sha), int(keys), *words) == (
        [b"1", b"2", b"c", b"7", b"seven", b"x", b"y"]
    )


@pytest.mark.parametrize("wrong", ["text", "texts"])
def test_call_that_lacks_an_argument_or_has_another_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    made: Script[Two, ...] = Script(
        described("return {number, text, more}", monkeypatch, tmp_path), sharded=False
    )
    with pytest.raises(TypeError, match=wrong):
        made.call(Two(b"1", b"2", b"c"), number=7, **({} if wrong == "text" else {wrong: "x"}))


@pytest.mark.parametrize(
    ("lua", "fault"),
    [
        ("return {number, text, more, ARGV[1]}", "takes ARGV by position"),
        ("return {number, text, more, KEYS[1]}", "takes KEYS by position"),
        ("return {number, more} -- text", "does not use text"),
        ("local a, text = 1, more\nreturn {number, text}", "hides text"),
    ],
)
def test_script_that_does_not_fit_its_description_is_refused_when_it_is_loaded(
    lua: str, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=fault):
        described(lua, monkeypatch, tmp_path)


@pytest.mark.parametrize("session", ["chat-1", "a:b@c", "~", "+" * 128])
@pytest.mark.parametrize("prefix", ["ms", "staging"])
def test_all_keys_of_a_session_are_in_one_slot(session: str, prefix: str) -> None:
    """The session is the hash tag, whatever the prefix."""
    keys = Keys(prefix).session(SessionId(session))

    assert {key_slot(name) for name in keys} == {key_slot(session.encode())}
    assert len(set(keys)) == len(keys)
    assert Keys(prefix).session_of(keys.feed) == session


@pytest.mark.parametrize("described", DESCRIPTIONS, ids=lambda each: each.name)
def test_script_touches_declared_keys_only(described: Description[Any, ...]) -> None:
    """Every command names its key: an undeclared one tears in a cluster. A channel is no key."""
    own = (LUA / f"{described.name}.lua").read_text("utf-8")
    calls = re.findall(CALL, own)
    keys = {name.upper() for name in described.keys}
    channels = {name.upper() for name in described.channels}

    assert {target for command, target in calls if command not in {"TIME", "PUBLISH"}} <= (
        keys | VARIABLES
    )
    assert {target for command, target in calls if command == "PUBLISH"} <= channels
    assert not keys & channels


@pytest.mark.parametrize("part", sorted({part for each in DESCRIPTIONS for part in each.parts}))
def test_part_touches_keys_of_a_session_or_of_a_scope_only(part: str) -> None:
    calls = re.findall(CALL, (LUA / f"{part}.lua").read_text("utf-8"))
    fields = ScopeNames._fields if part.startswith("limit_") else SessionNames._fields
    names = {name.upper() for name in fields} - {"FEED"}

    assert {target for command, target in calls if command not in {"TIME", "PUBLISH"}} <= (
        names | VARIABLES
    )
    assert {target for command, target in calls if command == "PUBLISH"} <= {"FEED"}


FUNCTION = re.compile(r"^local function (\w+)\(.*?^end$", re.MULTILINE | re.DOTALL)
OURS = {"WRITE_FORMAT", "COMMANDS"}
"""Names in capitals that every script, or every one with rights.lua, is given (script.py)."""


def reached(lua: str) -> str:
    """Return the text of a script without the functions that it cannot call."""
    lua = re.sub(r"--.*", "", lua)
    functions = {each[1]: each[0] for each in FUNCTION.finditer(lua)}
    text = FUNCTION.sub("", lua)
    while called := {name for name in functions if re.search(rf"\b{name}\b", text)}:
        text += "".join(functions.pop(name) for name in called)
    return text


@pytest.mark.parametrize("described", DESCRIPTIONS, ids=lambda each: each.name)
def test_script_declares_each_key_that_it_can_reach(described: Description[Any, ...]) -> None:
    """Of its parts, too: what is in capitals, and no local of its own, is a name in Redis."""
    text = re.sub(r"'[^'\n]*'", "''", reached(described.text))
    constants = {
        name
        for names in re.findall(r"^local ([A-Z_, ]+) =", text, re.MULTILINE)
        for name in names.split(", ")
    }
    names = set(re.findall(r"\b[A-Z][A-Z_]+\b", text)) - constants - OURS
    keys, channels = ({name.upper() for name in n} for n in (described.keys, described.channels))

    assert names <= keys | channels
    assert not keys & channels


def test_function_that_a_script_calls_is_reached_and_another_is_not() -> None:
    lua = """
local function deep()
  return redis.call('GET', SIDE)
end
local function used()
  return deep()
end
local function unused()
  return redis.call('GET', LOG)
end
return used() -- unused
"""
    assert "SIDE" in reached(lua)
    assert "LOG" not in reached(lua)


def test_every_lua_file_is_loaded_and_short() -> None:
    """A file is a script or a part of one, and fits on a screen."""
    on_disk = {entry.name.removesuffix(".lua"): entry for entry in LUA.iterdir()}

    assert set(on_disk) == {name for each in DESCRIPTIONS for name in (each.name, *each.parts)}
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
    """Each command of a session's life has keys of one slot, and its script touches no others."""
    with raw_redis.monitor() as monitor:  # type: ignore[no-untyped-call]
        await live(store)
        raw_redis.ping()
        called: list[list[str]] = []
        touched = 0
        for event in monitor.listen():
            words = event["command"].split()
            if words == ["PING"]:
                break
            if words[0] == "EVALSHA":
                called.append(words[3 : 3 + int(words[2])])
            elif event["client_type"] == "lua" and words[0] not in {"TIME", "PUBLISH"}:
                assert words[1] in called[-1], words
                touched += 1
    assert len(called) > 10
    assert touched > len(called)
    for keys in called:
        assert len({key_slot(name.encode()) for name in keys}) == 1


async def live(store: RedisStore) -> None:
    """Let a session live, a side run in it, and end."""
    await answered(store)
    await opened(store, submit("u2", "r2", parent="a-r1", lease_ms=EXPIRED))
    await opened(store, side("r3"))
    await store.append([batch(0, run="r2"), batch(0, run="r3")])
    await store.renew([key("r2"), key("r3")], EXPIRED)
    await store.take_over(SESSION, key("r2").run_id, HOUR_MS)
    await store.request_stop(SESSION, run_id=None, message_id=None, by="ada", tombstone_ms=HOUR_MS)
    await store.close_run(close(1, run="r3"))
    await store.close_run(close(1, run="r2", fence=2))
    await store.load(SESSION)
    await store.trim_due(10)
    await store.erase(SESSION)
