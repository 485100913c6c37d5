"""Runs that are written from outside, on any gateway: each chunk once, one writer, one end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import structs

from midstream.authors import start_of
from midstream.errors import (
    FencedError,
    GatewayError,
    IllegalChunkPushedError,
    RunActiveError,
    RunEndedError,
    RunNotFoundError,
    SequenceGapError,
    SessionNotFoundError,
)
from midstream.ids import RunId, SessionId
from midstream.sessions import LeaseLimits, SessionLimits, open_sessions
from midstream.sessions.pushed import run_cache
from midstream.sessions.types import PushedEnd, PushedRun
from midstream.store.calls import RunKey
from midstream.store.records import RunOutcome, Trigger
from midstream.store.redis.store import RedisStore
from tests.support.played import ALICE, BOB, FAST, Reading, Script, send, types, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
HELLO = user_message("u1", "hello")
JOB = send(S, HELLO, request_key="job-1")
STEP = b'{"type":"start-step"}'
OPEN = b'{"type":"text-start","id":"t"}'
CLOSE = b'{"type":"text-end","id":"t"}'


def delta(text: str) -> bytes:
    return msgspec.json.encode({"type": "text-delta", "id": "t", "delta": text})


def key_of(run: PushedRun) -> RunKey:
    return RunKey(session_id=S, run_id=run.run.id, fence=run.fence)


def finished(first: int, **rest: Any) -> PushedEnd:
    return PushedEnd(first=first, outcome="finished", **rest)


async def claim(sessions: Sessions) -> tuple[PushedRun, RunKey]:
    run = await sessions.pushed.claim(ALICE, JOB, "worker")
    return run, key_of(run)


async def answer(sessions: Sessions) -> dict[str, Any]:
    """The assistant's message as it is kept."""
    snapshot = await sessions.snapshot(ALICE, S)
    message: dict[str, Any] = msgspec.json.decode(snapshot.messages[-1])
    return message


async def test_worker_writes_a_run_that_readers_follow_live(sessions: Sessions) -> None:
    """They get the worker's chunks, between a start and an end of the gateway's."""
    run, key = await claim(sessions)
    reader = await sessions.resume(ALICE, S)
    assert reader is not None
    reading = Reading(reader)
    assert (run.run.agent, run.next, list(run.stored)) == (
        "worker", 1, [start_of(run.run.message_id, "worker")],
    )  # fmt: skip

    appended = await sessions.pushed.append(ALICE, key, 1, [STEP, OPEN, delta("Hel")])
    await reading.until(lambda r: r.text == "Hel")
    await sessions.pushed.append(ALICE, key, appended.next, [delta("lo")])
    ended = await sessions.pushed.end(ALICE, key, finished(5, finish_reason="stop"))

    chunks = await reading.end()
    assert types(chunks) == [
        "start", "start-step", "text-start", "text-delta", "text-delta", "text-end",
        "finish-step", "finish",
    ]  # fmt: skip
    assert (appended.next, ended.next) == (4, 8)
    assert (await answer(sessions))["parts"][1]["text"] == "Hello"
    assert (await sessions.snapshot(ALICE, S)).runs[0].outcome is RunOutcome.FINISHED


async def test_run_goes_on_at_any_gateway(
    sessions: Sessions, gateways: Callable[[], Awaitable[Sessions]]
) -> None:
    """A process checks its cache of the run against the log, which another one may have written."""
    others = [sessions, await gateways(), await gateways()]
    _, key = await claim(sessions)
    after = 1
    for turn, lines in enumerate([[STEP, OPEN], *([delta(str(n))] for n in range(12))]):
        pushed = await others[turn % 3].pushed.append(ALICE, key, after, lines)
        after = pushed.next
        again = await others[(turn + 1) % 3].pushed.append(ALICE, key, after - len(lines), lines)
        assert again == pushed
    await others[1].pushed.end(ALICE, key, finished(after))
    assert (await answer(sessions))["parts"][1]["text"] == "01234567891011"


async def test_batch_that_is_sent_twice_is_stored_once(sessions: Sessions) -> None:
    """Also at the same moment; and so is the end."""
    _, key = await claim(sessions)
    sent = await asyncio.gather(
        *(sessions.pushed.append(ALICE, key, 1, [STEP, OPEN, delta("x")]) for _ in range(4))
    )
    assert [pushed.next for pushed in sent] == [4] * 4
    ends = (finished(4, lines=[CLOSE], finish_reason="stop") for _ in range(4))
    ended = await asyncio.gather(*(sessions.pushed.end(ALICE, key, end) for end in ends))
    assert [pushed.next for pushed in ended] == [7] * 4
    assert (await answer(sessions))["parts"][1]["text"] == "x"


async def test_later_attempt_gets_what_is_stored_and_fences_the_earlier_one(
    sessions: Sessions, gateways: Callable[[], Awaitable[Sessions]]
) -> None:
    """The earlier one can write nothing more, not even what is stored, nor the end."""
    _, first = await claim(sessions)
    await sessions.pushed.append(ALICE, first, 1, [STEP, OPEN, delta("a")])
    other = await gateways()
    run, second = await claim(other)

    assert (run.run.id, run.fence, run.next) == (first.run_id, 2, 4)
    assert [message.startswith(b'{"id":"u1"') for message in map(bytes, run.messages)] == [True]
    for refused in (
        sessions.pushed.append(ALICE, first, 4, [delta("b")]),
        sessions.pushed.append(ALICE, first, 1, [STEP, OPEN, delta("a")]),
        sessions.pushed.end(ALICE, first, finished(4)),
        sessions.pushed.renew(ALICE, first, 5),
    ):
        with pytest.raises(FencedError):
            await refused
    await other.pushed.append(ALICE, second, 4, [delta("c")])
    await sessions.pushed.end(ALICE, second, finished(5))
    assert (await answer(sessions))["parts"][1]["text"] == "ac"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"{", "unable to read a chunk"),
        (b"[]", "unable to read a chunk"),
        (b'{"type":"text-delta","id":"t"}', "unable to read a chunk"),
        (b'{"type":"text-delta","id":"other","delta":"x"}', 'there is no text part "other"'),
        (OPEN, "is open already"),
        (b'{"type":"start"}', "the run's end writes its own"),
        (b'{"type":"finish"}', "the run's end writes its own"),
        (b'{"type":"error","errorText":"x"}', "the run's end writes its own"),
        (b'{"type":"abort"}', "the run's end writes its own"),
        (b'{"type":"tool-output-available","toolCallId":"c","output":1}', "there is no"),
    ],
)
async def test_bad_chunk_is_named_and_what_came_before_it_is_kept(
    sessions: Sessions, bad: bytes, why: str
) -> None:
    """By its index; the run goes on with the sequence that the answer names."""
    _, key = await claim(sessions)
    with pytest.raises(IllegalChunkPushedError) as refused:
        await sessions.pushed.append(ALICE, key, 1, [STEP, OPEN, delta("a"), bad, delta("b")])
    assert why in refused.value.message
    assert refused.value.details == {"index": 3, "next": 4}
    with pytest.raises(IllegalChunkPushedError) as again:
        await sessions.pushed.append(ALICE, key, 4, [bad])
    assert again.value.details == {"index": 0, "next": 4}
    await sessions.pushed.append(ALICE, key, 4, [delta("c")])
    await sessions.pushed.end(ALICE, key, finished(5))
    assert (await answer(sessions))["parts"][1]["text"] == "ac"


async def test_gap_is_answered_with_the_sequence_to_go_on_with(sessions: Sessions) -> None:
    """Nothing is stored that does not follow, nor an end that comes too early."""
    _, key = await claim(sessions)
    await sessions.pushed.append(ALICE, key, 1, [STEP, OPEN])
    for refused in (
        sessions.pushed.append(ALICE, key, 7, [delta("x")]),
        sessions.pushed.append(ALICE, key, 2, [OPEN, delta("x")]),
        sessions.pushed.end(ALICE, key, finished(9)),
    ):
        with pytest.raises(SequenceGapError) as gap:
            await refused
        assert gap.value.details == {"next": 3}


async def test_ended_run_takes_nothing_more(sessions: Sessions) -> None:
    """The same end again is fine, another one is not; a job that runs again does nothing."""
    _, key = await claim(sessions)
    await sessions.pushed.end(ALICE, key, PushedEnd(first=1, outcome="failed", error_text="Oh."))
    for refused in (
        sessions.pushed.append(ALICE, key, 4, [STEP]),
        sessions.pushed.end(ALICE, key, finished(1)),
        sessions.pushed.renew(ALICE, key, 0),
    ):
        with pytest.raises(RunEndedError) as ended:
            await refused
        assert ended.value.details["outcome"] == "failed"
    run, _ = await claim(sessions)
    assert (run.run.id, run.fence, run.run.outcome) == (key.run_id, 0, RunOutcome.FAILED)


async def test_last_chunks_may_come_with_the_end(sessions: Sessions) -> None:
    """One request ends a short run; its metadata is the message's."""
    _, key = await claim(sessions)
    last = finished(
        1,
        lines=[STEP, OPEN, delta("all")],
        finish_reason="length",
        metadata=msgspec.Raw(b'{"model":"m"}'),
    )
    first = await sessions.pushed.end(ALICE, key, last)
    assert await sessions.pushed.end(ALICE, key, last) == first
    message = await answer(sessions)
    assert message["parts"][1] == {"type": "text", "text": "all", "state": "done"}
    assert message["metadata"]["model"] == "m"


async def test_silent_worker_hears_a_stop_at_once(
    sessions: Sessions, gateways: Callable[[], Awaitable[Sessions]]
) -> None:
    """A renewal that is held is answered; the stop is confirmed once the worker has ended."""
    _, key = await claim(sessions)
    await sessions.pushed.append(ALICE, key, 1, [STEP, OPEN, delta("so far")])
    other = await gateways()
    held = asyncio.create_task(other.pushed.renew(ALICE, key, 60))
    await eventually(lambda: S in other.shutdown.hub._attached, "the renewal is held")
    stopping = asyncio.create_task(sessions.stop(ALICE, S))
    assert (await held).stopped_by == "alice"
    assert (await sessions.pushed.append(ALICE, key, 4, [delta("!")])).stopped_by == "alice"
    await sessions.pushed.end(ALICE, key, PushedEnd(first=5, outcome="stopped"))
    assert await stopping == [key.run_id]
    assert (await answer(sessions))["parts"][1]["text"] == "so far!"


async def test_renewal_is_held_no_longer_than_half_the_lease(sessions: Sessions) -> None:
    """So that its worker comes back in time; it keeps the run."""
    _, key = await claim(sessions)
    async with asyncio.timeout(30):
        for _ in range(4):  # two leases
            assert (await sessions.pushed.renew(ALICE, key, 3600)).stopped_by is None
    await sessions.pushed.append(ALICE, key, 1, [STEP])


async def test_renewals_do_not_read_the_session_again_and_again(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its feed stays attached between two of them, and not for ever after the last."""
    _, key = await claim(sessions)
    loads: list[object] = []
    store = sessions.store
    load = store.load

    async def counted(session_id: SessionId) -> object:
        loads.append(session_id)
        return await load(session_id)

    monkeypatch.setattr(store, "load", counted)
    for _ in range(3):
        await sessions.pushed.renew(ALICE, key, 0.01)
        await asyncio.sleep(0)
    assert loads == []
    await sessions.pushed.end(ALICE, key, finished(1))
    await eventually(lambda: not sessions.shutdown.hub._attached, "the feed is let go")


async def test_run_of_a_worker_that_dies_is_closed(sessions: Sessions) -> None:
    """Its lease runs out, as any producer's; what it said stays."""
    _, key = await claim(sessions)
    reader = await sessions.resume(ALICE, S)
    assert reader is not None
    await sessions.pushed.append(ALICE, key, 1, [STEP, OPEN, delta("half")])
    chunks = await Reading(reader).end()
    assert types(chunks)[-3:] == ["text-end", "error", "finish"]
    with pytest.raises(RunEndedError) as ended:
        await sessions.pushed.append(ALICE, key, 4, [delta("late")])
    assert ended.value.details["outcome"] == "interrupted"


async def test_stop_before_the_worker_claims_is_told_with_the_claim(sessions: Sessions) -> None:
    """A worker that crashed and comes back to a stopped run ends it."""
    _, key = await claim(sessions)
    stopping = asyncio.create_task(sessions.stop(ALICE, S))

    async def told() -> bool:
        return (await claim(sessions))[0].stopped_by == "alice"

    await eventually(told, "the stop is told")
    run, key = await claim(sessions)
    await sessions.pushed.end(ALICE, key, PushedEnd(first=run.next, outcome="stopped"))
    assert await stopping == [key.run_id]


async def test_key_does_not_take_a_run_that_was_begun_without_it(
    sessions: Sessions, script: Script
) -> None:
    """The same message, sent by a browser, is answered by the gateway's own producer."""
    reading = Reading(await sessions.start(ALICE, send(S, HELLO)))
    run = await script.next()
    with pytest.raises(RunActiveError):
        await claim(sessions)
    run.open()
    run.tell("mine")
    run.end()
    await reading.end()
    ended, _ = await claim(sessions)
    assert (ended.fence, ended.run.agent) == (0, "played")


async def test_run_is_written_only_for_who_may_write_the_session(sessions: Sessions) -> None:
    """For others it does not exist, whether or not this process knows it."""
    _, key = await claim(sessions)
    await sessions.pushed.append(ALICE, key, 1, [STEP])
    unknown = RunKey(session_id=S, run_id=RunId("run_unknown"), fence=1)
    nowhere = RunKey(session_id=SessionId("nowhere"), run_id=key.run_id, fence=1)
    cases: list[tuple[Any, RunKey, type[GatewayError]]] = [
        (BOB, key, SessionNotFoundError),
        (BOB, unknown, SessionNotFoundError),
        (ALICE, unknown, RunNotFoundError),
        (ALICE, nowhere, SessionNotFoundError),
    ]
    for caller, run_key, error in cases:
        for refused in (
            sessions.pushed.append(caller, run_key, 2, [OPEN]),
            sessions.pushed.renew(caller, run_key, 0),
            sessions.pushed.end(caller, run_key, finished(2)),
        ):
            with pytest.raises(error):
                await refused
    with pytest.raises(SessionNotFoundError):
        await sessions.pushed.claim(BOB, JOB, "worker")


async def test_erased_session_takes_nothing_more(sessions: Sessions, store: RedisStore) -> None:
    """The process drops its cache of the run."""
    _, key = await claim(sessions)
    await store.erase(S)
    for refused in (
        sessions.pushed.append(ALICE, key, 1, [STEP]),
        sessions.pushed.append(ALICE, key, 1, [STEP]),
        sessions.pushed.renew(ALICE, key, 0),
    ):
        with pytest.raises((RunNotFoundError, SessionNotFoundError)):
            await refused


async def test_worker_regenerates_and_goes_on(sessions: Sessions) -> None:
    """A new key is a new run, with the conversation that it answers."""
    _, key = await claim(sessions)
    await sessions.pushed.end(ALICE, key, finished(1))
    again = send(S, HELLO, trigger=Trigger.REGENERATE, request_key="job-2")
    run = await sessions.pushed.claim(ALICE, again, "worker")
    assert (run.run.trigger, len(run.messages)) == (Trigger.REGENERATE, 1)
    assert run.run.id != key.run_id


async def test_runs_that_are_no_longer_kept_are_read_again(
    redis_url: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded, by number and by bytes; the log has them."""
    monkeypatch.setattr(run_cache, "MAX_BYTES", 2_000)
    lasting = structs.replace(
        FAST, sessions=SessionLimits(lease_ms=60_000), leases=LeaseLimits(lease_s=60)
    )
    async with (
        RedisStore.connect(redis_url) as store,
        open_sessions(store, script, lasting) as sessions,
    ):
        jobs = [send(f"chat-{n}", HELLO, request_key="job") for n in range(4)]
        runs = [await sessions.pushed.claim(ALICE, job, "worker") for job in jobs]
        keys = [
            RunKey(session_id=job.session_id, run_id=run.run.id, fence=1)
            for job, run in zip(jobs, runs, strict=True)
        ]
        for first in (1, 4, 5):
            for key in keys:
                lines = [delta("x" * 900)] if first > 1 else [STEP, OPEN, delta("y")]
                await sessions.pushed.append(ALICE, key, first, lines)
                assert sum(w.size for w in sessions.pushed._cache._kept.values()) < 4_000
        for key in keys:
            await sessions.pushed.end(ALICE, key, finished(6))
        assert not sessions.pushed._cache._kept
