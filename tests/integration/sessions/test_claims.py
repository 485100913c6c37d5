"""Runs that are claimed by a key: opened once, taken over by whoever comes later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from midstream.agents.registry import Agents
from midstream.errors import InvalidRequestError, RunActiveError, SessionNotFoundError
from midstream.ids import SessionId
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import StartChunk, TextStartChunk
from midstream.protocol.codec import encode_lines
from midstream.protocol.writer import ChunkWriter
from midstream.sessions.failover.reaper import LeaseLimits, Reaper
from midstream.sessions.log.hub import Hub
from midstream.sessions.log.orphans import Orphans
from midstream.sessions.opening.claims import Claimed, Claims
from midstream.sessions.opening.due_turns import DueTurns
from midstream.sessions.opening.open_run import Opening
from midstream.sessions.opening.side_run import SideOpening
from midstream.sessions.runs.closer import RunCloser
from midstream.sessions.runs.terminal import close_request, write_terminal
from midstream.sessions.stopping import Stopping
from midstream.sessions.types import SessionLimits
from midstream.store.calls import AppendBatch, AppendStatus
from midstream.store.records import ChunksRecord, RunOutcome, RunState
from midstream.store.redis.store import RedisStore
from tests.support.played import ALICE, BOB, send, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from midstream.sessions.access import Caller
    from midstream.sessions.types import StartRequest

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
HELLO = user_message("u1", "hello")


class Claimant:
    """A process that claims runs, over a store of its own."""

    def __init__(self, store: RedisStore, hub: Hub) -> None:
        self.store = store
        self.hub = hub
        reaper = Reaper(store, LeaseLimits(), lambda: (), RunCloser(store, 60), Orphans())
        stopping = Stopping(store, hub, reaper, SessionLimits())
        opening = Opening(store, Agents(), reaper, stopping, DueTurns(), SessionLimits())
        sides = SideOpening(store, SessionLimits())
        self.claims = Claims(store, opening, sides, 8_000)

    async def claim(self, request: StartRequest, caller: Caller = ALICE) -> Claimed:
        """Claim for an agent `worker`."""
        async with self.hub.attach(request.session_id) as feed:
            return await self.claims.claim(caller, request, "worker", feed)


@pytest.fixture
async def claimant(redis_url: str) -> AsyncIterator[Claimant]:
    """One such process."""
    async with RedisStore.connect(redis_url) as store:
        hub = Hub(store, tick_s=1)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(hub.run(), name="hub")
            await hub.ready()
            yield Claimant(store, hub)
            listening.cancel()


def batch(claimed: Claimed) -> AppendBatch:
    """The beginning of an answer."""
    assert claimed.key is not None
    chunks = [StartChunk(message_id=claimed.run.message_id), TextStartChunk(id="t")]
    record = ChunksRecord(
        run_id=claimed.run.id, first=0, count=2, level=5, payload=encode_lines(chunks)
    )
    return AppendBatch(key=claimed.key, chunks=record)


async def test_first_claim_opens_the_run(claimant: Claimant) -> None:
    """It gets the plan, and no stored chunks."""
    claimed = await claimant.claim(send(S, HELLO, request_key="job-1"))

    assert claimed.plan is not None
    assert [message.id for message in claimed.plan.history] == ["u1"]
    assert (claimed.run.agent, claimed.run.state, list(claimed.stored)) == (
        "worker",
        RunState.OPEN,
        [],
    )
    (answer,) = await claimant.store.append([batch(claimed)])
    assert answer.status is AppendStatus.APPENDED


async def test_later_claim_takes_a_living_run_over(claimant: Claimant) -> None:
    """It gets what is stored, and the earlier claimant is fenced off."""
    request = send(S, HELLO, request_key="job-1")
    first = await claimant.claim(request)
    await claimant.store.append([batch(first)])
    second = await claimant.claim(request)

    assert second.plan is None
    assert second.run.id == first.run.id
    assert tuple(map(type, second.stored)) == (StartChunk, TextStartChunk)
    assert first.key is not None
    (renewed,) = await claimant.store.renew([first.key], 8_000)
    assert not renewed.held
    assert second.key is not None
    (renewed,) = await claimant.store.renew([second.key], 8_000)
    assert renewed.held


async def test_claim_of_an_ended_run_leaves_nothing_to_write(claimant: Claimant) -> None:
    """A job that is run again after its success does nothing twice."""
    request = send(S, HELLO, request_key="job-1")
    first = await claimant.claim(request)
    assert first.key is not None
    chunks = ChunkWriter(first.run.message_id).finish("stop")
    assembler = Assembler(first.run.message_id)
    assembler.apply_all(chunks)
    closing = close_request(
        first.key,
        first.run,
        chunks,
        first=0,
        outcome=RunOutcome.FINISHED,
        message=assembler.message(),
        reconnect_window_s=60,
    )
    await write_terminal(claimant.store, closing)
    again = await claimant.claim(request)

    assert (again.run.id, again.key) == (first.run.id, None)
    assert again.run.outcome is RunOutcome.FINISHED


async def test_stop_is_told_to_the_next_claimant(claimant: Claimant) -> None:
    """A stop that came while nobody wrote is not forgotten."""
    request = send(S, HELLO, request_key="job-1")
    first = await claimant.claim(request)
    await claimant.store.request_stop(
        S, run_id=first.run.id, message_id=None, by="alice", tombstone_ms=0
    )

    assert (await claimant.claim(request)).stopped_by == "alice"


async def test_another_key_meets_the_active_run(claimant: Claimant) -> None:
    """One run at a time, whoever writes it."""
    await claimant.claim(send(S, HELLO, request_key="job-1"))
    with pytest.raises(RunActiveError):
        await claimant.claim(send(S, user_message("u2", "and?"), request_key="job-2"))


async def test_claim_is_for_who_may_write(claimant: Claimant) -> None:
    """Somebody else's session does not exist, also for who knows the key."""
    request = send(S, HELLO, request_key="job-1")
    await claimant.claim(request)
    with pytest.raises(SessionNotFoundError):
        await claimant.claim(request, BOB)


async def test_claim_needs_a_key(claimant: Claimant) -> None:
    """Without one nobody could come back to the run."""
    with pytest.raises(InvalidRequestError):
        await claimant.claim(send(S, HELLO))
