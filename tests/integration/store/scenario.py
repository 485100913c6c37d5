"""Sessions, messages and batches as the tests of the store say them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

from msgspec import Raw
from msgspec.structs import replace

from midstream.ids import NO_TENANT, MessageId, RunId, SessionId, TenantId, UserId
from midstream.store.calls import (
    AppendBatch,
    Appended,
    CloseRun,
    NewMessage,
    Opened,
    OpenRun,
    OpenStatus,
    RunKey,
)
from midstream.store.records import ChunksRecord, RunInfo, RunOutcome, RunState, Trigger
from midstream.store.redis.client import RedisClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.store.keys import Hint
    from midstream.store.redis.store import RedisStore

SESSION = SessionId("chat-1")
OWNER = UserId("ada")
EPOCH = "e1"
HOUR_MS = 3_600_000
MINUTES_MS = 300_000
EXPIRED = 0
"""A lease that has ended when it begins."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def message(name: str, parent: str | None = None, content: str = "hello") -> NewMessage:
    return NewMessage(
        id=MessageId(name),
        parent_id=MessageId(parent) if parent else None,
        content_hash=content,
        message=Raw(f'{{"id":"{name}","text":"{content}"}}'.encode()),
    )


def submit(
    name: str = "u1",
    run: str = "r1",
    *,
    parent: str | None = None,
    content: str = "hello",
    session: SessionId = SESSION,
    owner: UserId = OWNER,
    tenant: TenantId = NO_TENANT,
    request_key: str | None = None,
    lease_ms: int = HOUR_MS,
    expected_offset: str | None = None,
) -> OpenRun:
    """A send of a message, to be answered by `a-RUN`."""
    return OpenRun(
        session_id=session,
        expected_owner=owner,
        expected_tenant=tenant,
        run=run_info(run, answers=name),
        user_message=message(name, parent, content),
        replaced_message=None,
        content_hash=content,
        new_epoch=EPOCH,
        title="Greeting",
        request_key=request_key,
        lease_ms=lease_ms,
        expected_offset=expected_offset,
    )


def run_info(run: str, *, answers: str, trigger: Trigger = Trigger.SUBMIT) -> RunInfo:
    return RunInfo(
        id=RunId(run),
        state=RunState.OPEN,
        message_id=MessageId(f"a-{run}"),
        user_message_id=MessageId(answers),
        trigger=trigger,
        agent="poet",
    )


def regenerate(name: str, run: str, *, request_key: str | None = None) -> OpenRun:
    """A request to answer a stored message again."""
    return OpenRun(
        session_id=SESSION,
        expected_owner=OWNER,
        expected_tenant=NO_TENANT,
        run=run_info(run, answers=name, trigger=Trigger.REGENERATE),
        user_message=None,
        replaced_message=None,
        content_hash="",
        new_epoch="unused",
        title="unused",
        request_key=request_key,
        lease_ms=HOUR_MS,
    )


def side(run: str, *, lease_ms: int = HOUR_MS, request_key: str | None = None) -> OpenRun:
    """A run beside the main one, which answers u1."""
    request = regenerate("u1", run, request_key=request_key)
    return replace(request, run=replace(request.run, side=True), lease_ms=lease_ms)


def chunks(first: int, count: int = 1, *, run: str = "r1") -> ChunksRecord:
    """Chunks that say their own sequence."""
    payload = b"".join(b'{"n":%d}\n' % n for n in range(first, first + count))
    return ChunksRecord(run_id=RunId(run), first=first, count=count, level=5, payload=payload)


def batch(
    first: int,
    count: int = 1,
    *,
    run: str = "r1",
    fence: int = 1,
    session: SessionId = SESSION,
) -> AppendBatch:
    return AppendBatch(key=key(run, fence, session), chunks=chunks(first, count, run=run))


def key(run: str = "r1", fence: int = 1, session: SessionId = SESSION) -> RunKey:
    return RunKey(session_id=session, run_id=RunId(run), fence=fence)


def close(
    first: int,
    count: int = 1,
    *,
    run: str = "r1",
    fence: int = 1,
    outcome: RunOutcome = RunOutcome.FINISHED,
    answer: NewMessage | None = None,
    trim_before_ms: int = 0,
    session: SessionId = SESSION,
) -> CloseRun:
    return CloseRun(
        key=key(run, fence, session),
        chunks=chunks(first, count, run=run),
        outcome=outcome,
        message=answer,
        trim_before_ms=trim_before_ms,
    )


async def opened(store: RedisStore, request: OpenRun | None = None) -> Opened:
    """Open a run that nothing stands against."""
    answer = await store.open_run(request or submit())
    assert answer.status is OpenStatus.OPENED
    return answer


async def answered(
    store: RedisStore,
    name: str = "u1",
    run: str = "r1",
    *,
    parent: str | None = None,
    outcome: RunOutcome = RunOutcome.FINISHED,
) -> Opened:
    """Send a message and answer it by three chunks and `a-RUN`."""
    answer = await opened(store, submit(name, run, parent=parent))
    await store.append([batch(0, 2, run=run)])
    await store.close_run(close(2, run=run, outcome=outcome, answer=message(f"a-{run}", name)))
    return answer


def hint_of(
    store: RedisStore,
    kind: Literal["leases", "waits", "trim", "queues"],
    session: SessionId = SESSION,
) -> bytes:
    """Return the name of the hint that leads to a session."""
    hint: Hint = getattr(store._keys, kind)
    return hint.of(session).hint


def client_of(store: RedisStore) -> RedisClient:
    """Return what a store on one server sends its commands by."""
    assert isinstance(store._client, RedisClient)
    return store._client


async def append_by_call(store: RedisStore, batches: Sequence[AppendBatch]) -> list[Appended]:
    """Append as a committer does as long as all is as usual; by its task only until Redis has the
    script."""
    answered: asyncio.Future[list[Appended] | None] = asyncio.get_running_loop().create_future()
    if not store.append_by_call(batches, answered.set_result) or await answered is None:
        return await store.append(batches)
    answers = answered.result()
    assert answers is not None
    return answers


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; pytest-timeout ends a wait that is in vain."""
    while not condition():  # noqa: ASYNC110 - what is awaited is in another process
        await asyncio.sleep(0.002)
