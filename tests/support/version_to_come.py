"""Simulates a newer gateway by its effects on a session's keys: records, fields, format.

Its scripts are made of this version's parts, as a next version's would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from midstream.store.format import WRITE_FORMAT
from midstream.store.keys import Keys
from midstream.store.redis.store import RedisStore
from midstream.store.scripts.catalog import Scripts, renew
from midstream.store.scripts.script import LUA, naming
from tests.support.redis_server import value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from midstream.ids import MessageId, SessionId
    from midstream.store.records import SessionState
    from midstream.store.redis.store import Client
    from midstream.store.server.settings import StoreSettings

NEXT_FORMAT: Final = WRITE_FORMAT + 1
PARTS: Final = ("format", "common", "lanes", "records", "messages")


def script(body: str, arguments: Sequence[str]) -> str:
    """Return a script of the newer version, over the parts that every script may have."""
    parts = [(LUA / f"{part}.lua").read_text("utf-8") for part in PARTS]
    named = naming(renew.keys, (*(name.upper() for name in renew.channels), *arguments))
    return "\n".join((f"local WRITE_FORMAT = {NEXT_FORMAT}", named, *parts, body))


class VersionToCome:
    """Writes into one session as a newer gateway does, beside the gateway under test."""

    def __init__(self, client: redis.Redis, session_id: SessionId, prefix: str = "ms") -> None:
        self._client = client
        self.keys = Keys(prefix).session(session_id)

    def run(self, body: str, **arguments: str | bytes | int) -> Any:
        """Run a script, which has the names of the session and of the arguments."""
        keys = [getattr(self.keys, name) for name in renew.keys]
        source = script(body, list(arguments))
        return self._client.eval(source, len(keys), *keys, self.keys.feed, *arguments.values())

    def add_record(self, record: bytes = b"q\nof a version to come") -> None:
        """Put a record of an unknown kind into the log, and publish it."""
        self.run("return commit(record)", record=record)

    def add_field(self) -> None:
        """Add unknown fields to the session's, and to its log's entries."""
        self.run("redis.call('HSET', META, 'tomorrow', value, 'lane', 'side')", value="x\ny")

    def raise_format(self) -> None:
        """Use a feature of the next format for the first time in the session."""
        self.run("if is_newer(redis.call('HGET', META, 'format')) then return 'newer' end "
                 "raise_format(raised + 0)", raised=NEXT_FORMAT)  # fmt: skip

    def set_run(self, state: str, **info: str) -> None:
        """Set the newest run's state, and add fields to its constant facts."""
        more = "".join(f',"{name}":"{value}"' for name, value in info.items())
        self.run(
            "local info = redis.call('HGET', META, 'info'):sub(1, -2) .. more .. '}' "
            "redis.call('HSET', META, 'state', state, 'info', info, 'lease', '') "
            "return commit_run(main_lane())",
            state=state,
            more=more,
        )

    def dump(self) -> dict[bytes, object]:
        """Return the session's keys with their values."""
        keys = [key for key in self.keys if key != self.keys.feed]
        return {key: value_of(self._client, key) for key in keys}


class StoreToCome(RedisStore):
    """A store that writes the next format: the scripts of this version, with its number."""

    def __init__(self, client: Client, aside: Client, settings: StoreSettings) -> None:
        client.scripts = Scripts(write_format=NEXT_FORMAT, sharded=settings.sharded)
        super().__init__(client, aside, settings)
        load = self.load

        async def loaded(
            session_id: SessionId, *, leaf: MessageId | None = None, with_queue: bool = False
        ) -> SessionState | None:
            """Load a session of the next format, which this store knows."""
            state = await load(session_id, leaf=leaf, with_queue=with_queue)
            return None if state is None else replace(state, meta=replace(state.meta, format=1))

        self.load = loaded
