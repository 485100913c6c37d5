"""A run's way into the log: batches, repetition, loss."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from midstream.errors import StoreError, StoreUnavailableError
from midstream.ids import RunId, SessionId
from midstream.protocol.chunks import TextDeltaChunk, TextEndChunk, TextStartChunk
from midstream.protocol.codec import encode_lines
from midstream.sessions.runs.committer import Committer
from midstream.sessions.runs.lane import JOIN_BYTES, MAX_BATCH_BYTES, RETAIN_BYTES, RETAIN_S, Lane
from midstream.store.calls import (
    FAILOVER_S,
    HELD_S,
    AppendBatch,
    Appended,
    AppendStatus,
    RunKey,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from midstream.protocol.chunks import AnyChunk
    from midstream.store.contract import SessionStore

KEY = RunKey(session_id=SessionId("s"), run_id=RunId("r"), fence=1)


class Owner:
    def __init__(self) -> None:
        self.told: list[AnyChunk] = []
        self.ended: AppendStatus | None = None
        self.failure: Exception | None = None

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        self.told += chunks

    def lost(self, status: AppendStatus) -> None:
        self.ended = status

    def broken(self, error: Exception) -> None:
        self.failure = error


def put(lane: Lane, *texts: str) -> list[TextDeltaChunk]:
    """Put a delta for each text, each of a part of its own: they are not joined."""
    return say(lane, [TextDeltaChunk(id=text[0], delta=text) for text in texts])


def say(lane: Lane, chunks: list[TextDeltaChunk]) -> list[TextDeltaChunk]:
    lane.put_words(chunks)
    return chunks


def stored(batch: AppendBatch) -> Appended:
    return Appended(
        status=AppendStatus.APPENDED, next=batch.chunks.first + batch.chunks.count, offset="1-0"
    )


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def lane(owner: Owner) -> Lane:
    return Lane(KEY, owner)


def test_lane_joins_what_gathered_while_a_batch_was_under_way(lane: Lane, owner: Owner) -> None:
    """Chunks put during a flush go together into the next batch, in order."""
    first = put(lane, "a")
    batch = lane.freeze()
    rest = put(lane, "b") + put(lane, "c", "d")
    lane.acknowledge(stored(batch))
    following = lane.freeze()

    assert (batch.chunks.first, batch.chunks.count) == (0, 1)
    assert (following.chunks.first, following.chunks.count) == (1, 3)
    assert following.chunks.payload == encode_lines(rest)
    assert owner.told == first


def test_lane_stores_pending_deltas_of_one_part_as_one_chunk(lane: Lane, owner: Owner) -> None:
    """The log and every reader then pay for a batch, not for each token of a fast model."""
    say(lane, [TextDeltaChunk(id="t", delta=text) for text in "ab"])
    say(lane, [TextDeltaChunk(id="t", delta="c"), TextDeltaChunk(id="u", delta="d")])
    batch = lane.freeze()
    put(lane, "e")
    lane.acknowledge(stored(batch))

    whole = [TextDeltaChunk(id="t", delta="abc"), TextDeltaChunk(id="u", delta="d")]
    assert (batch.chunks.first, batch.chunks.count) == (0, 2)
    assert batch.chunks.payload == encode_lines(whole)
    assert owner.told == whole
    following = lane.freeze()
    assert following.chunks.first == 2
    lane.acknowledge(stored(following))
    assert lane.pending_bytes == 0


def test_lane_sends_what_was_encoded_before_as_it_is(lane: Lane, owner: Owner) -> None:
    """Alone, without a second look at it; between words, in its place."""
    start = [TextStartChunk(id="t")]
    lane.put(encode_lines(start), start, 6)
    alone = lane.freeze()
    words = put(lane, "t")
    end = [TextEndChunk(id="t")]
    lane.put(encode_lines(end), end, 7)
    lane.acknowledge(stored(alone))
    mixed = lane.freeze()
    lane.acknowledge(stored(mixed))

    assert (alone.chunks.payload, alone.chunks.level) == (encode_lines(start), 6)
    assert (mixed.chunks.payload, mixed.chunks.level) == (encode_lines([*words, *end]), 7)
    assert owner.told == [*start, *words, *end]
    assert lane.pending_bytes == 0


def test_lane_bounds_a_batch(lane: Lane) -> None:
    """Chunks above the limit of one record go into the next."""
    put(lane, "x" * (MAX_BATCH_BYTES - 100))
    put(lane, "y" * 200)

    batch = lane.freeze()
    assert batch.chunks.count == 1
    lane.acknowledge(stored(batch))
    assert lane.freeze().chunks.first == 1


def test_lane_tells_its_owner_once_when_a_batch_was_stored_before(lane: Lane, owner: Owner) -> None:
    """A duplicate answer means success."""
    chunks = put(lane, "a")
    lane.freeze()
    lane.acknowledge(Appended(status=AppendStatus.DUPLICATE, next=1))

    assert owner.told == chunks
    assert not lane.busy
    assert lane.pending_bytes == 0


def test_lane_appends_again_what_a_failover_lost(lane: Lane, owner: Owner) -> None:
    """When the log expects an acknowledged sequence, chunks from there on go out again, once
    and in order, and their owner is not told of them twice."""
    chunks = []
    for text in ("a", "bc"):
        chunks += put(lane, *text)
        lane.acknowledge(stored(lane.freeze()))
    chunks += put(lane, "d")
    lane.freeze()
    lane.acknowledge(Appended(status=AppendStatus.GAP, next=2))

    again = []
    while lane.busy:
        again.append(lane.freeze().chunks)
        lane.acknowledge(Appended(status=AppendStatus.APPENDED, next=0))
    assert [(record.first, record.count) for record in again] == [(2, 1), (3, 1)]
    assert b"".join(record.payload for record in again) == encode_lines(chunks[2:])
    assert [chunk.delta for chunk in owner.told if isinstance(chunk, TextDeltaChunk)] == list(
        "abcd"
    )
    assert owner.ended is None


def test_lane_gives_a_run_up_when_the_lost_chunks_are_not_kept(lane: Lane, owner: Owner) -> None:
    """A log that begins before what is retained cannot be made whole."""
    for text in ("a" * RETAIN_BYTES, "b" * RETAIN_BYTES):
        put(lane, text)
        lane.acknowledge(stored(lane.freeze()))
    put(lane, "c")
    lane.freeze()
    lane.acknowledge(Appended(status=AppendStatus.GAP, next=0))

    assert owner.ended is AppendStatus.GONE
    assert not lane.busy


@pytest.mark.parametrize("age_s", [RETAIN_S, RETAIN_S + 1])
def test_lane_keeps_what_was_acknowledged_for_a_time(
    lane: Lane, owner: Owner, age_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much that is; only what is older cannot be appended again."""
    now = 100.0
    monkeypatch.setattr("midstream.sessions.runs.lane.time.monotonic", lambda: now)
    for _ in range(50):
        put(lane, "x" * 1_000)
        lane.acknowledge(stored(lane.freeze()))
    now += age_s
    put(lane, "y")
    lane.acknowledge(stored(lane.freeze()))
    put(lane, "z")
    lane.freeze()
    lane.acknowledge(Appended(status=AppendStatus.GAP, next=0))

    assert owner.ended is (None if age_s <= RETAIN_S else AppendStatus.GONE)


@pytest.mark.parametrize("held_s", [0.0, HELD_S])
def test_lane_keeps_for_longer_what_a_primary_may_lose_that_others_replace(
    owner: Owner, held_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as twice the time in which they do; a lone Redis is never replaced."""
    now = 100.0
    monkeypatch.setattr("midstream.sessions.runs.lane.time.monotonic", lambda: now)
    lane = Lane(KEY, owner, held_s=held_s)
    put(lane, "x" * JOIN_BYTES)
    lane.acknowledge(stored(lane.freeze()))
    now += 2 * FAILOVER_S
    put(lane, "y")
    lane.acknowledge(stored(lane.freeze()))
    put(lane, "z")
    lane.freeze()
    lane.acknowledge(Appended(status=AppendStatus.GAP, next=0))

    assert owner.ended is (None if held_s else AppendStatus.GONE)


def test_lane_writes_nothing_once_fenced(lane: Lane, owner: Owner) -> None:
    """After a take-over, pending chunks are dropped and waiting callers are freed."""

    async def scenario() -> None:
        put(lane, "a")
        lane.freeze()
        put(lane, "b")
        waiting = asyncio.create_task(lane.drained())
        lane.acknowledge(Appended(status=AppendStatus.FENCED))
        await asyncio.wait_for(waiting, 30)

    asyncio.run(scenario())
    assert owner.ended is AppendStatus.FENCED
    assert not lane.busy
    assert owner.told == []


class FakeStore:
    """A store that takes everything: by call as long as it can, else by its caller's task.

    Args:
        by_call: whether it takes appends by call at all.
    """

    def __init__(self, *, by_call: bool) -> None:
        self.by_call = by_call
        self.by_task: list[AppendBatch] = []
        self.sent: list[list[AppendBatch]] = []

    def answers(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        return [stored(batch) for batch in batches]

    async def append(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        self.by_task += batches
        return self.answers(batches)

    def append_by_call(
        self, batches: Sequence[AppendBatch], done: Callable[[list[Appended] | None], None]
    ) -> bool:
        if not self.by_call:
            return False
        self.sent.append(list(batches))

        def answer() -> None:
            try:
                answers = self.answers(batches)
            except StoreError:
                done(None)
            else:
                done(answers)

        asyncio.get_running_loop().call_soon(answer)
        return True


class RefusingStore(FakeStore):
    """A store whose Redis refuses one run's appends."""

    def __init__(self, refused: RunId, *, by_call: bool) -> None:
        super().__init__(by_call=by_call)
        self._refused = refused

    def answers(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        if any(batch.key.run_id == self._refused for batch in batches):
            raise StoreError("unable to write; Redis refused")
        return super().answers(batches)


def committer_of(store: FakeStore) -> Committer:
    return Committer(cast("SessionStore", store))


both_ways = pytest.mark.parametrize("by_call", [True, False], ids=["by call", "by task"])


@both_ways
def test_committer_gives_up_the_run_that_redis_refuses_and_no_other(
    monkeypatch: pytest.MonkeyPatch, by_call: bool
) -> None:
    """One run's bad key costs the runs that are flushed with it nothing but time."""
    monkeypatch.setattr("midstream.sessions.runs.lane.DELAYS_S", (0.0,) * 3)
    bad, good = Owner(), Owner()
    lanes = [
        Lane(KEY, bad),
        Lane(RunKey(session_id=SessionId("s"), run_id=RunId("r2"), fence=1), good),
    ]

    async def scenario() -> None:
        committer = committer_of(RefusingStore(KEY.run_id, by_call=by_call))
        for lane in lanes:
            put(lane, "a")
            committer.notify(lane)
        running = asyncio.create_task(committer.run())
        await asyncio.wait_for(asyncio.gather(*(lane.drained() for lane in lanes)), 30)
        running.cancel()

    asyncio.run(scenario())
    assert bad.ended is AppendStatus.GONE
    assert len(good.told) == 1
    assert good.ended is None


@both_ways
def test_refused_run_makes_no_other_wait(monkeypatch: pytest.MonkeyPatch, by_call: bool) -> None:
    """While a refused batch rests, the other runs' chunks go on into the log."""
    monkeypatch.setattr("midstream.sessions.runs.lane.DELAYS_S", (3600.0,))
    bad, good = Owner(), Owner()
    refused = Lane(KEY, bad)
    other = Lane(RunKey(session_id=SessionId("s"), run_id=RunId("r2"), fence=1), good)

    async def scenario() -> None:
        committer = committer_of(RefusingStore(KEY.run_id, by_call=by_call))
        running = asyncio.create_task(committer.run())
        for text in ("a", "b"):
            for lane in (refused, other):
                put(lane, text)
                committer.notify(lane)
            await asyncio.wait_for(other.drained(), 30)
        running.cancel()

    asyncio.run(scenario())
    assert len(good.told) == 2
    assert (bad.told, bad.ended) == ([], None)


class BrokenOwner(Owner):
    """A producer whose state does not take what it has said."""

    def committed(self, chunks: Sequence[AnyChunk], answer: Appended) -> None:
        raise TypeError("sequence item 0: expected str instance, int found")


class UnencodableLane(Lane):
    """A lane whose batch cannot be put together."""

    def freeze(self) -> AppendBatch:
        raise TypeError("sequence item 0: expected a bytes-like object, int found")


@both_ways
def test_lane_that_fails_by_itself_ends_its_own_run_and_no_other(by_call: bool) -> None:
    """Its owner gets the error, waiting callers are freed, and the other lanes are stored."""
    owners = BrokenOwner(), Owner(), Owner()
    keys = [RunKey(session_id=SessionId("s"), run_id=RunId(f"r{i}"), fence=1) for i in range(3)]
    kinds = Lane, UnencodableLane, Lane
    lanes = [kind(key, owner) for kind, key, owner in zip(kinds, keys, owners, strict=True)]

    async def scenario() -> None:
        committer = committer_of(FakeStore(by_call=by_call))
        running = asyncio.create_task(committer.run())
        for _ in range(2):
            for lane in lanes:
                put(lane, "a")
                committer.notify(lane)
            await asyncio.wait_for(asyncio.gather(*(lane.drained() for lane in lanes)), 30)
        running.cancel()

    asyncio.run(scenario())
    assert [isinstance(owner.failure, TypeError) for owner in owners] == [True, True, False]
    assert len(owners[2].told) == 2


def lane_of(number: int, owner: Owner) -> Lane:
    return Lane(RunKey(session_id=SessionId("s"), run_id=RunId(f"r{number}"), fence=1), owner)


def test_chunks_of_a_turn_go_together_by_call_and_no_task_wakes() -> None:
    """What several runs say in one turn of the loop is one flush, and one flush is under way."""
    store, owner = FakeStore(by_call=True), Owner()
    lanes = [lane_of(number, owner) for number in range(3)]

    async def scenario() -> None:
        committer = committer_of(store)
        running = asyncio.create_task(committer.run())
        await asyncio.sleep(0)
        for _ in range(2):
            for lane in lanes:
                put(lane, "a")
                committer.notify(lane)
            await asyncio.wait_for(asyncio.gather(*(lane.drained() for lane in lanes)), 30)
        running.cancel()

    asyncio.run(scenario())
    assert [len(flush) for flush in store.sent] == [3, 3]
    assert store.by_task == []
    assert len(owner.told) == 6


class LosingStore(FakeStore):
    """A store whose connection is lost when it is first asked."""

    lost = False

    def answers(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        if not self.lost:
            self.lost = True
            raise StoreUnavailableError("unable to reach Redis; try again in a moment")
        return super().answers(batches)


def test_flush_that_has_no_answer_is_sent_again_unchanged_by_the_task() -> None:
    """Lost, late, refused: whichever it was, the same batches are appended until it is known."""
    store, owner = LosingStore(by_call=True), Owner()
    lane = lane_of(0, owner)

    async def scenario() -> None:
        committer = committer_of(store)
        running = asyncio.create_task(committer.run())
        await asyncio.sleep(0)
        put(lane, "a")
        committer.notify(lane)
        await asyncio.wait_for(lane.drained(), 30)
        running.cancel()

    asyncio.run(scenario())
    assert [store.by_task] == store.sent
    assert len(owner.told) == 1


class ForgetfulStore(FakeStore):
    """A store that answers less than it was asked: a fault of ours, not of Redis."""

    forgets = True

    def answers(self, batches: Sequence[AppendBatch]) -> list[Appended]:
        return [] if self.forgets else super().answers(batches)


def test_failure_in_a_callback_reaches_the_committers_task() -> None:
    """It is raised there, the runs of that flush are told, and begun anew the others go on."""
    store, broken, other = ForgetfulStore(by_call=True), Owner(), Owner()
    lanes = lane_of(0, broken), lane_of(1, other)

    async def scenario() -> None:
        committer = committer_of(store)
        put(lanes[0], "a")
        committer.notify(lanes[0])
        with pytest.raises(RuntimeError) as raised:
            await asyncio.wait_for(committer.run(), 30)
        assert isinstance(raised.value.__cause__, ValueError)
        put(lanes[1], "b")
        committer.notify(lanes[1])
        store.forgets = False
        again = asyncio.create_task(committer.run())
        await asyncio.wait_for(lanes[1].drained(), 30)
        again.cancel()

    asyncio.run(scenario())
    assert broken.failure is not None
    assert len(other.told) == 1
