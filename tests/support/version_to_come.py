"""Simulates a newer gateway by its effects on a session's keys: records, fields, format.

Its scripts are made of this version's parts, as a next version's would be.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from midstream.store.format import WRITE_FORMAT
from midstream.store.keys import Keys
from midstream.store.redis_store import RedisStore
from midstream.store.scripts import LUA

if TYPE_CHECKING:
    import redis

    from midstream.ids import MessageId, SessionId
    from midstream.store.client import RedisClient, StoreSettings
    from midstream.store.records import SessionState
    from midstream.store.scripts import Script

NEXT_FORMAT: Final = WRITE_FORMAT + 1


def script(body: str) -> str:
    """Return a script of the newer version, over the parts that every script may have."""
    parts = [(LUA / f"{part}.lua").read_text("utf-8") for part in ("format", "common", "messages")]
    return "\n".join((f"local WRITE_FORMAT = {NEXT_FORMAT}", *parts, body))


class VersionToCome:
    """Writes into one session as a newer gateway does, beside the gateway under test."""

    def __init__(self, client: redis.Redis, session_id: SessionId, prefix: str = "ms") -> None:
        self._client = client
        self.keys = Keys(prefix).session(session_id)

    def run(self, body: str, *args: str | bytes | int) -> Any:
        """Run a script; its KEYS are the session's."""
        return self._client.eval(script(body), len(self.keys), *self.keys, *args)

    def add_record(self, record: bytes = b"q\nof a version to come") -> None:
        """Put a record of an unknown kind into the log, and publish it."""
        self.run("return commit(ARGV[1])", record)

    def add_field(self) -> None:
        """Add unknown fields to the session's, and to its log's entries."""
        self.run("redis.call('HSET', KEYS[1], 'tomorrow', ARGV[1], 'lane', 'side')", "x\ny")

    def raise_format(self) -> None:
        """Use a feature of the next format for the first time in the session."""
        self.run("if is_newer(redis.call('HGET', KEYS[1], 'format')) then return 'newer' end "
                 "raise_format(ARGV[1] + 0)", NEXT_FORMAT)  # fmt: skip

    def set_run(self, state: str, **info: str) -> None:
        """Set the newest run's state, and add fields to its constant facts."""
        more = "".join(f',"{name}":"{value}"' for name, value in info.items())
        self.run(
            "local info = redis.call('HGET', KEYS[1], 'info'):sub(1, -2) .. ARGV[2] .. '}' "
            "redis.call('HSET', KEYS[1], 'state', ARGV[1], 'info', info, 'lease', '') "
            "return commit_run()",
            state,
            more,
        )

    def dump(self) -> dict[bytes, bytes | None]:
        """Return the session's keys with their values."""
        keys = [key for key in self.keys if key != self.keys.feed]
        return {key: self._client.dump(key) for key in keys}


class StoreToCome(RedisStore):
    """A store that writes the next format: the scripts of this version, with its number."""

    def __init__(self, client: RedisClient, keys: Keys, settings: StoreSettings) -> None:
        super().__init__(client, keys, settings)
        scripts = self._scripts
        for script in list(scripts._by_sha.values()):
            _raise(script)
            scripts._by_sha[script.sha] = script

    async def load(
        self, session_id: SessionId, *, leaf: MessageId | None = None
    ) -> SessionState | None:
        """Load a session of the next format, which this store knows."""
        state = await super().load(session_id, leaf=leaf)
        return None if state is None else replace(state, meta=replace(state.meta, format=1))


def _raise(script: Script) -> None:
    number = f"local WRITE_FORMAT = {WRITE_FORMAT}\n"
    assert number in script.source
    source = script.source.replace(number, f"local WRITE_FORMAT = {NEXT_FORMAT}\n")
    script.source = source  # type: ignore[misc]
    script.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # type: ignore[misc]
