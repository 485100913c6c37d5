"""Plays a session's life on a server: a send, its chunks over the channel, a stored answer.

It is the store itself, under a key prefix of its own, so it needs what a gateway needs. It writes
ten kilobytes under a dozen names, each with a TTL, and removes them also when it is cancelled.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct

from midstream.errors import StoreError
from midstream.ids import NO_TENANT, MessageId, RunId, SessionId, UserId
from midstream.store.calls import AppendBatch, AppendStatus, CloseRun, NewMessage, OpenRun, RunKey
from midstream.store.keys import Keys
from midstream.store.records import Arrived, ChunksRecord, RunInfo, RunOutcome, RunState, Trigger
from midstream.store.redis.store import RedisStore
from midstream.store.server.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from midstream.store.cluster.commands import Commands
    from midstream.store.contract import Channel

SAMPLES: Final = 40
"""Chunks that are appended, one by one."""
PAUSE_S: Final = 0.025
"""Between them, so that they cover a second: a stall of the server is among them."""
PAYLOAD: Final = b'{"type":"text-delta","id":"t","delta":"%b"}\n' % (b"doctor " * 20)
TTL_S: Final = 120.0
"""Expiry of every key, if it is not removed: the process was killed, or Redis is away."""
LIMIT_S: Final = 20.0
"""Longest time that it plays."""
CLEAN_LIMIT_S: Final = 5.0
"""Longest time that it removes."""

SESSION: Final = SessionId("doctor")
OWNER: Final = UserId("doctor")
RUN: Final = RunId("doctor")


class Rehearsed(Struct, frozen=True, kw_only=True):
    """How the session's life went.

    Attributes:
        appends_s: how long each append took, with its way there and back.
        arrivals_s: how long after it was sent each chunk had come over the channel.
    """

    appends_s: list[float]
    arrivals_s: list[float]


def own_prefix(prefix: str) -> str:
    """Return a prefix that nobody else uses, which an ACL rule for `PREFIX:*` allows."""
    return f"{prefix}:doctor-{secrets.token_hex(4)}"


def written(prefix: str, *, sharded: bool = False) -> list[bytes]:
    """Return every key that a rehearsal may write."""
    keys = Keys(prefix, sharded=sharded)
    names = keys.session(SESSION)
    hints = [hint.of(SESSION) for hint in (keys.leases, keys.waits, keys.trim)]
    hints += [*keys.probe.names, keys.user(OWNER, NO_TENANT)]
    return [*(name for name in names if name != names.feed), *(each.hint for each in hints)]


async def rehearse(url: str, client: Commands, prefix: str, *, sharded: bool = False) -> Rehearsed:
    """Play a session's life, and remove it.

    Args:
        client: removes it, over connections that the play does not use.
        prefix: of every key and channel; nobody else uses it (`own_prefix`).

    Raises:
        StoreError: the server refused a step, or cannot be reached.
        TimeoutError: a chunk that was appended did not come over the channel.
    """
    settings = StoreSettings(key_prefix=prefix, session_ttl_s=TTL_S, reconnect_window_s=TTL_S)
    async with (
        _removed(client, written(prefix, sharded=sharded)),
        RedisStore.connect(url, settings=settings) as store,
        asyncio.timeout(LIMIT_S),
        store.channel() as channel,
    ):
        return await _Rehearsal(store, channel).play()


@asynccontextmanager
async def _removed(client: Commands, names: Iterable[bytes]) -> AsyncIterator[None]:
    """Remove all that is written inside, also by a task that is cancelled."""
    try:
        yield
    finally:
        await _remove(client, names)


async def _remove(client: Commands, names: Iterable[bytes]) -> None:
    """Delete every key that a rehearsal may have written; one that cannot be deleted expires."""
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(CLEAN_LIMIT_S):
            await client.run_all([("DEL", name) for name in names])


class _Rehearsal:
    """The steps, and when what was appended came back."""

    def __init__(self, store: RedisStore, channel: Channel) -> None:
        self._store = store
        self._channel = channel
        self._key = RunKey(session_id=SESSION, run_id=RUN, fence=1)
        self._sent_at: dict[int, float] = {}
        self._arrivals_s: dict[int, float] = {}

    async def play(self) -> Rehearsed:
        listening = asyncio.create_task(self._listen(), name="doctor listens")
        try:
            return await self._play(listening)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _play(self, listening: asyncio.Task[None]) -> Rehearsed:
        await self._store.probe()
        await self._channel.join(SESSION)
        await self._store.open_run(_submit())
        appends_s = [await self._append(number) for number in range(SAMPLES)]
        await self._store.renew([self._key], lease_ms=1_000)
        await listening
        await self._store.load(SESSION)
        await self._store.list_sessions(OWNER, limit=1, before_ms=None)
        await self._store.close_run(self._closing())
        await self._channel.leave(SESSION)
        await self._store.erase(SESSION)
        return Rehearsed(appends_s=appends_s, arrivals_s=list(self._arrivals_s.values()))

    async def _append(self, number: int) -> float:
        await asyncio.sleep(PAUSE_S)
        self._sent_at[number] = time.perf_counter()
        batch = AppendBatch(key=self._key, chunks=_chunks(number))
        (appended,) = await self._store.append([batch])
        if appended.status is not AppendStatus.APPENDED:
            raise StoreError("unable to keep a session; what was written a moment ago is gone")
        return time.perf_counter() - self._sent_at[number]

    async def _listen(self) -> None:
        """Take the time of each chunk that comes, until all have."""
        async for event in self._channel:
            if not isinstance(event, Arrived) or not isinstance(event.entry.record, ChunksRecord):
                continue
            first = event.entry.record.first
            self._arrivals_s[first] = time.perf_counter() - self._sent_at[first]
            if len(self._arrivals_s) == SAMPLES:
                return

    def _closing(self) -> CloseRun:
        return CloseRun(
            key=self._key,
            chunks=_chunks(SAMPLES),
            outcome=RunOutcome.FINISHED,
            message=_message("answer", MessageId("question")),
            trim_before_ms=0,
        )


def _submit() -> OpenRun:
    run = RunInfo(
        id=RUN,
        state=RunState.OPEN,
        message_id=MessageId("answer"),
        user_message_id=MessageId("question"),
        trigger=Trigger.SUBMIT,
        agent="doctor",
    )
    return OpenRun(
        session_id=SESSION,
        expected_owner=OWNER,
        expected_tenant=NO_TENANT,
        run=run,
        user_message=_message("question", None),
        replaced_message=None,
        content_hash="doctor",
        new_epoch="doctor",
        title="doctor",
        lease_ms=round(TTL_S * 1_000),
    )


def _message(name: str, parent: MessageId | None) -> NewMessage:
    return NewMessage(
        id=MessageId(name),
        parent_id=parent,
        content_hash="doctor",
        message=Raw(b'{"id":"%b"}' % name.encode()),
    )


def _chunks(number: int) -> ChunksRecord:
    return ChunksRecord(run_id=RUN, first=number, count=1, level=5, payload=PAYLOAD)
