from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from midstream.ids import MessageId, Reach, RunId
from midstream.store.calls import OpenStatus, StopRequested, StopStatus
from midstream.store.records import RunOutcome, RunRecord, RunState

from .scenario import (
    EXPIRED,
    HOUR_MS,
    MINUTES_MS,
    SESSION,
    answered,
    close,
    key,
    opened,
    regenerate,
    submit,
)

if TYPE_CHECKING:
    import redis

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

NOTHING = StopRequested(status=StopStatus.NOTHING)
PREVENTED = StopRequested(status=StopStatus.PREVENTED)
STOPPING = StopRequested(status=StopStatus.STOPPING, run_id=RunId("r1"))


async def stop(
    store: RedisStore,
    *,
    run: str | None = None,
    message: str | None = None,
    request: str | None = None,
    by: str = "ada",
    tombstone_ms: int = MINUTES_MS,
) -> StopRequested:
    return await store.request_stop(
        SESSION,
        run_id=RunId(run) if run else None,
        message_id=MessageId(message) if message else None,
        by=by,
        tombstone_ms=tombstone_ms,
        request_key=request,
    )


@pytest.mark.parametrize(
    ("run", "message"),
    [(None, None), ("r1", None), (None, "u1"), (None, "a-r1"), ("r1", "u9")],
    ids=["active", "run", "answered message", "written message", "run before message"],
)
async def test_stop_is_recorded_for_the_run_under_way(
    store: RedisStore, run: str | None, message: str | None
) -> None:
    """However a stop names the active run, the log holds that it is stopping, and by whom."""
    opening = await opened(store)

    assert await stop(store, run=run, message=message, by="eve\n}") == STOPPING
    _, stopping = await store.read_run(SESSION, opening.opened, count=10)
    assert isinstance(stopping.record, RunRecord)
    assert stopping.record.run.state is RunState.STOPPING
    assert stopping.record.run.stopped_by == "eve\n}"


async def test_stop_twice_is_recorded_once_as_the_first(store: RedisStore) -> None:
    """The second stop finds the first."""
    opening = await opened(store)

    assert [await stop(store), await stop(store, by="eve")] == [STOPPING, STOPPING]
    entries = await store.read_run(SESSION, opening.opened, count=10)
    assert len(entries) == 2
    (renewed,) = await store.renew([key()], HOUR_MS)
    assert (renewed.held, renewed.stopped_by) == (True, "ada")


async def test_stop_for_an_older_run_cannot_hit_a_newer(store: RedisStore) -> None:
    """A stop that names a run which has ended changes nothing."""
    await answered(store)
    await opened(store, submit("u2", "r2", parent="a-r1"))

    assert await stop(store, run="r1") == NOTHING
    state = await store.load(SESSION)
    assert state is not None
    assert state.run is not None
    assert state.run.state is RunState.OPEN


async def test_stop_finds_nothing_after_the_end(store: RedisStore) -> None:
    """A stop that comes too late changes nothing."""
    await answered(store)

    assert [await stop(store), await stop(store, run="r1")] == [NOTHING, NOTHING]


async def test_stop_makes_no_session(store: RedisStore, raw_redis: redis.Redis) -> None:
    """The tombstone of a chat that does not exist, which the first send finds, is short-lived."""
    assert await stop(store) == NOTHING
    assert await stop(store, run="r1") == NOTHING
    assert not raw_redis.exists(f"ms:{{{SESSION}}}:stop")
    assert await stop(store, message="u1", request="k", tombstone_ms=9_000) == PREVENTED
    assert await store.load_meta(SESSION) is None
    assert 0 < raw_redis.pttl(f"ms:{{{SESSION}}}:stop") <= 9_000


@pytest.mark.parametrize(("message", "request_key"), [("u1", None), (None, "k")])
async def test_stop_before_the_first_send_of_a_session_stops_it(
    store: RedisStore, message: str | None, request_key: str | None
) -> None:
    """The send that begins a session can be overtaken like any other."""
    assert await stop(store, message=message, request=request_key) == PREVENTED
    assert (await opened(store, submit(request_key="k"))).stop_requested


async def test_stop_of_a_send_leaves_the_same_message_alone(store: RedisStore) -> None:
    """Stopped before it arrived, and sent again: only the one that was stopped is."""
    await answered(store)
    assert await stop(store, message="u2", request="k") == PREVENTED
    again = await opened(store, submit("u2", "r2", parent="a-r1", request_key="k2"))
    await store.close_run(close(0, run="r2", outcome=RunOutcome.STOPPED))
    late = await opened(store, submit("u2", "r3", parent="a-r1", request_key="k"))

    assert (again.stop_requested, late.stop_requested) == (False, True)


@pytest.mark.parametrize("message", [None, "u1", "u9"])
async def test_stop_of_a_send_stops_its_run(store: RedisStore, message: str | None) -> None:
    """Accepted, though its answer has not reached who stops it."""
    await opened(store, submit(request_key="k"))

    assert await stop(store, message=message, request="k") == STOPPING


async def test_stop_of_a_send_that_joined_a_run_stops_that(store: RedisStore) -> None:
    """The same message twice has one run, opened by the first."""
    await opened(store, submit(request_key="k"))
    await store.open_run(submit(run="r2", request_key="k2"))

    assert await stop(store, message="u1", request="k2") == STOPPING
    assert await stop(store, message="u2", request="k3") == PREVENTED


async def test_stop_of_a_send_whose_run_has_ended_changes_nothing(store: RedisStore) -> None:
    """It came too late, and the next run is another one's."""
    await opened(store, submit(request_key="k"))
    await store.close_run(close(0))
    await opened(store, submit("u2", "r2", parent="a-r1", request_key="k2"))

    assert await stop(store, message="u1", request="k") == NOTHING
    assert await stop(store, request="k9") == PREVENTED


async def test_stop_of_an_orphan_is_recorded_and_says_so(store: RedisStore) -> None:
    """The process that takes the run over finds the stop."""
    await opened(store, submit(lease_ms=EXPIRED))
    answer = await stop(store)
    taken = await store.take_over(SESSION, key().run_id, HOUR_MS)

    assert answer == StopRequested(status=StopStatus.ORPHAN, run_id=RunId("r1"))
    assert taken is not None
    assert (taken.stopped_by, taken.run.state) == ("ada", RunState.STOPPING)


async def test_stop_before_the_send_stops_its_run_at_once(store: RedisStore) -> None:
    """A stop that overtakes its message is consumed by it; the next send is not stopped."""
    await answered(store)
    prevented = await stop(store, message="u2", by="eve")
    first = await store.open_run(submit("u2", "r2", parent="a-r1"))
    await store.close_run(close(0, run="r2", outcome=RunOutcome.STOPPED))
    retry = await store.open_run(submit("u2", "r3", parent="a-r1"))

    assert prevented == PREVENTED
    assert (first.status, first.stop_requested) == (OpenStatus.OPENED, True)
    assert first.run is not None
    assert (first.run.state, first.run.stopped_by) == (RunState.STOPPING, "eve")
    assert (retry.status, retry.stop_requested) == (OpenStatus.OPENED, False)


async def test_stop_before_the_send_shows_readers_a_run_that_opens_and_stops(
    store: RedisStore,
) -> None:
    """A reader that only knows how runs begin and stop sees nothing else."""
    await answered(store)
    await stop(store, message="u2")
    run = await opened(store, submit("u2", "r2", parent="a-r1"))
    records = [entry.record for entry in await store.read_run(SESSION, run.opened, count=10)]

    assert [r.run.state for r in records if isinstance(r, RunRecord)] == [
        RunState.OPEN,
        RunState.STOPPING,
    ]


async def test_stop_before_a_regenerate_stops_it(store: RedisStore) -> None:
    """A message that is answered already can be asked for again, and stopped before that."""
    await answered(store)
    prevented = await stop(store, message="u1")
    answer = await opened(store, regenerate("u1", "r2"))

    assert prevented == PREVENTED
    assert answer.stop_requested


async def test_stop_after_the_end_does_not_undo_a_finished_answer(store: RedisStore) -> None:
    """A late stop, then a repeated send: the send is known, not opened only to be stopped."""
    await answered(store)
    await stop(store, message="u1")

    assert (await store.open_run(submit(run="r2"))).status is OpenStatus.KNOWN


async def test_tombstone_is_not_consumed_by_an_open_that_opens_nothing(
    store: RedisStore,
) -> None:
    """A send that meets another run tries again later, and is stopped then."""
    await opened(store)
    await stop(store, message="u2")
    busy = await store.open_run(submit("u2", "r2"))
    await store.close_run(close(0))
    again = await store.open_run(submit("u2", "r2"))

    assert (busy.status, busy.stop_requested) == (OpenStatus.ACTIVE, False)
    assert (again.status, again.stop_requested) == (OpenStatus.OPENED, True)


async def test_tombstone_that_has_expired_stops_nothing(store: RedisStore) -> None:
    """A stop that nobody's send follows is forgotten."""
    await answered(store)
    await stop(store, message="u2", tombstone_ms=EXPIRED)

    assert not (await opened(store, submit("u2", "r2"))).stop_requested


async def test_tombstones_are_bounded(store: RedisStore, raw_redis: redis.Redis) -> None:
    """Stops of messages that never come do not fill a session; the latest still works."""
    await answered(store)
    for i in range(100):
        await stop(store, message=f"m{i}")

    assert 0 < raw_redis.hlen(f"ms:{{{SESSION}}}:stop") <= 64
    assert (await opened(store, submit("m99", "r2"))).stop_requested


REACHES = [
    ("|ada", True),
    ("|*", True),
    ("*", True),
    ("|eve", False),
    ("b|ada", False),
    ("b|*", False),
]


@pytest.mark.parametrize(("reach", "covers"), REACHES)
async def test_stop_of_a_session_beyond_reach_finds_nothing(
    store: RedisStore, reach: str, covers: bool
) -> None:
    """It may have begun, as another's, since the caller looked: neither stop nor tombstone."""
    await opened(store)
    for request in (None, "k"):
        answer = await store.request_stop(
            SESSION,
            run_id=None,
            message_id=MessageId("u1"),
            by="eve",
            tombstone_ms=MINUTES_MS,
            request_key=request,
            reach=Reach(reach),
        )
        assert answer == (STOPPING if covers else NOTHING)


@pytest.mark.parametrize(("reach", "covers"), REACHES)
async def test_tombstone_of_before_a_session_counts_within_reach(
    store: RedisStore, reach: str, covers: bool
) -> None:
    """Only a person who may write in the session has stopped its first message."""
    await store.request_stop(
        SESSION,
        run_id=None,
        message_id=MessageId("u1"),
        by="eve",
        tombstone_ms=MINUTES_MS,
        reach=Reach(reach),
    )
    assert (await opened(store)).stop_requested == covers


async def test_flood_before_a_session_undoes_nobody_elses_stop(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Anybody may leave stops under an unused id: they push out only their own."""

    async def stop_as(user: str, message: str) -> None:
        await store.request_stop(
            SESSION,
            run_id=None,
            message_id=MessageId(message),
            by=user,
            tombstone_ms=MINUTES_MS,
            reach=Reach(f"|{user}"),
        )

    await stop_as("ada", "u1")
    for i in range(100):
        await stop_as("eve", f"m{i}")

    assert raw_redis.hlen(f"ms:{{{SESSION}}}:stop") <= 65
    assert (await opened(store)).stop_requested


async def test_short_lived_tombstone_does_not_shorten_a_longer_ones_life(
    store: RedisStore, raw_redis: redis.Redis
) -> None:
    """Before there is a session, they share a key and its time to live."""
    await stop(store, request="k")
    await stop(store, message="u9", tombstone_ms=1_000)
    assert raw_redis.pttl(f"ms:{{{SESSION}}}:stop") > 1_000


@pytest.mark.parametrize(("reach", "covers"), REACHES)
async def test_erasure_beyond_reach_deletes_nothing(
    store: RedisStore, reach: str, covers: bool
) -> None:
    """The session that the caller looked at is gone, and this one another's."""
    await opened(store)
    erased = await store.erase(SESSION, reach=Reach(reach))
    assert erased == (["r1"] if covers else [])
    assert (await store.load(SESSION) is None) == covers
