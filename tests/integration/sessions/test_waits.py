"""Runs that wait for somebody, and the limit of their wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.ids import MessageId, RunId, SessionId
from midstream.sessions.sentences import UNANSWERED_SENTENCE
from midstream.store.calls import NewMessage, OpenRun, OpenStatus, RunKey, WaitStatus
from midstream.store.records import RunInfo, RunOutcome, RunState, Trigger
from midstream.store.redis.store import RedisStore
from tests.support.played import ALICE, Reading, Script, send, types, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
HELLO = user_message("u1", "hello")
HOUR_MS = 3_600_000


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    """The store of a process that closes nothing."""
    async with RedisStore.connect(redis_url) as connected:
        yield connected


async def opened(
    store: RedisStore, session: SessionId, *, lease_ms: int = HOUR_MS, wait_ms: int | None = None
) -> RunKey:
    """Open a run of a new session of Alice's; with `wait_ms` it waits from the first."""
    run = RunInfo(
        id=RunId(f"run-of-{session}"),
        state=RunState.OPEN,
        message_id=MessageId("a1"),
        user_message_id=MessageId(HELLO.id),
        trigger=Trigger.SUBMIT,
        agent="played",
    )
    message = NewMessage(
        id=MessageId(HELLO.id), parent_id=None, content_hash="h", message=HELLO.raw
    )
    answer = await store.open_run(
        OpenRun(
            session_id=session,
            expected_owner=ALICE.user,
            expected_tenant=ALICE.tenant,
            run=run,
            user_message=message,
            replaced_message=None,
            content_hash="h",
            new_epoch="e1",
            title="hello",
            request_key=None,
            lease_ms=lease_ms,
            wait_ms=wait_ms,
        )
    )
    assert answer.status is OpenStatus.OPENED
    return RunKey(session_id=session, run_id=run.id, fence=answer.fence)


async def state_of(sessions: Sessions, session: SessionId) -> tuple[RunState, RunOutcome | None]:
    """State and outcome of the session's only run."""
    (run,) = (await sessions.snapshot(ALICE, session)).runs
    return run.state, run.outcome


async def test_run_whose_wait_expires_is_closed_and_the_session_takes_the_next_send(
    sessions: Sessions, other: Sessions, store: RedisStore, script: Script
) -> None:
    """Its readers get an error that people can read; one of two gateways writes it."""
    key = await opened(store, S)
    reader = await other.resume(ALICE, S)
    assert reader is not None
    assert await store.wait(key, wait_ms=1) is WaitStatus.WAITING
    chunks = await Reading(reader).end()

    assert chunks[-2]["errorText"] == UNANSWERED_SENTENCE
    assert types(chunks)[-3:] == ["start", "error", "finish"]
    assert await state_of(sessions, S) == (RunState.ENDED, RunOutcome.FAILED)
    await sessions.start(ALICE, send(S, HELLO, user_message("u2", "hello?")))
    assert (await script.next()).request.history[-1].id == "u2"


async def test_run_that_waits_is_left_alone_until_a_person_stops_it(
    sessions: Sessions, store: RedisStore
) -> None:
    """It has no lease: the reaper closes an orphan, and not this run."""
    orphaned = SessionId("chat-2")
    await opened(store, S, wait_ms=HOUR_MS)
    await opened(store, orphaned, lease_ms=1)

    async def orphan_is_closed() -> bool:
        return (await state_of(sessions, orphaned))[0] is RunState.ENDED

    await eventually(orphan_is_closed, "the orphan is closed")
    assert await state_of(sessions, S) == (RunState.WAITING, None)
    await sessions.stop(ALICE, S)
    assert await state_of(sessions, S) == (RunState.ENDED, RunOutcome.STOPPED)
