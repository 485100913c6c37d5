"""Limits in Redis: the use of each, its tokens, and their expiry."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from midstream.store.redis.limits import Held, LimitCounts, Spent, Take, Taken

if TYPE_CHECKING:
    import redis as redis_py

    from midstream.store.redis.store import RedisStore

pytestmark = pytest.mark.anyio

Limits = dict[str, Any]
LONG_MS = 60_000
HOUR_US = 3_600_000_000


@pytest.fixture
def counts(store: RedisStore) -> LimitCounts:
    """The counts of one gateway."""
    return store.limits


def want(send: str = "", stream: str = "", scope: str = "user:/ann", **limits: Any) -> Take:
    """Return what a request needs."""
    return Take(scope=scope, send=send, stream=stream, run=send, **limits)


async def taken(counts: LimitCounts, *wanted: Take, lease_ms: int = LONG_MS) -> list[str]:
    """Take one after the other; return which limit was reached, if any."""
    return [(await counts.take([[each]], lease_ms))[0][0].reached for each in wanted]


async def test_each_limit_admits_as_many_as_it_says(counts: LimitCounts) -> None:
    """Then it names itself; 0 is unlimited; another scope is another one's."""
    pace: Limits = {"between_us": HOUR_US, "burst_us": 2 * HOUR_US}
    cases = {
        "sends_per_minute": [want(f"s{n}", scope="a", **pace) for n in range(3)],
        "open_runs": [want(f"s{n}", scope="b", open_runs=2) for n in range(3)],
        "open_streams": [want("", f"r{n}", scope="c", open_streams=2) for n in range(3)],
        "": [want(f"s{n}", f"r{n}", scope="d") for n in range(3)],
    }
    for name, wanted in cases.items():
        assert await taken(counts, *wanted) == ["", "", name], name


async def test_pace_says_when_there_is_room_again(counts: LimitCounts) -> None:
    """After the burst, within the interval between two sends."""
    wanted = [want(f"s{n}", between_us=HOUR_US, burst_us=HOUR_US) for n in range(2)]
    assert await taken(counts, wanted[0]) == [""]
    ((answer,),) = await counts.take([[wanted[1]]], LONG_MS)
    assert 0 < answer.reset_ms <= HOUR_US // 1000


async def test_send_that_comes_again_is_not_counted_nor_refused(counts: LimitCounts) -> None:
    """However full everything is; but not without end, as its session may be erased in between."""
    limits: Limits = {"between_us": HOUR_US, "burst_us": HOUR_US, "open_runs": 1, "open_streams": 1}
    await counts.take([[want("s", "r", **limits)]], LONG_MS)
    again = [
        (await counts.take([[want("s", f"r{n}", **limits)]], LONG_MS))[0][0] for n in range(19)
    ]
    assert again == [Taken(reached="", reset_ms=0, seen=True)] * 19
    last = await taken(counts, *(want("s", f"x{n}", **limits) for n in range(3)))
    assert last[-1] == "sends_per_minute"


async def test_reached_limit_of_one_scope_takes_nothing_of_another(counts: LimitCounts) -> None:
    """A tenant that is full costs its people nothing."""
    pace: Limits = {
        "between_us": HOUR_US,
        "burst_us": 2 * HOUR_US,
        "open_runs": 2,
        "open_streams": 2,
    }
    person = want("s1", "r1", **pace)
    tenant = want("s1", "r1", scope="tenant:t", open_runs=1)
    await counts.take([[want("s0", scope="tenant:t", open_runs=1)]], LONG_MS)
    for _ in range(3):
        (answers,) = await counts.take([[person, tenant]], LONG_MS)
        assert [each.reached for each in answers] == ["", "open_runs"]
    assert await taken(counts, want("s2", "r2", **pace), want("s3", "r3", **pace)) == ["", ""]


async def test_places_are_given_back_or_expire_unless_held(counts: LimitCounts) -> None:
    """The places of a dead process are free after the lease."""
    wanted = [want(f"s{n}", open_runs=2) for n in range(4)]
    assert await taken(counts, wanted[0], wanted[1], wanted[2]) == ["", "", "open_runs"]
    await counts.release([("user:/ann", "runs", ["s0"])])
    assert await taken(counts, wanted[2], lease_ms=50) == [""]

    while await taken(counts, wanted[3]) != [""]:  # noqa: ASYNC110 - Redis's clock
        await asyncio.sleep(0.01)
    assert await counts.hold("process", [("user:/ann", "runs", ["s9"])], LONG_MS) == 1
    assert await counts.hold("another", [], LONG_MS) == 2
    assert await taken(counts, want("s5", open_runs=2)) == ["open_runs"]


def budgets(stored: int, tokens: int, run: str = "run") -> Limits:
    """Return limits of bytes and tokens, and a run that may store 10 and use 10."""
    return {
        "size": f"{run} 10",
        "stored_bytes": stored,
        "tokens": f"{run} 10",
        "tokens_per_day": tokens,
    }


async def test_runs_under_way_count_with_what_they_may_store_and_use(counts: LimitCounts) -> None:
    """Until they end, or their gateway has died; one that goes on is not refused for itself."""
    cases: tuple[tuple[str, Held, tuple[int, int]], ...] = (
        ("stored_bytes", "bytes", (25, 0)),
        ("tokens_per_day", "tokens", (0, 25)),
    )
    for name, kind, limits in cases:
        wanted = [want(f"s{n}", scope=name, **budgets(*limits, f"run{n}")) for n in range(4)]
        assert await taken(counts, *wanted) == ["", "", "", name], name
        again = want("s5", scope=name, **budgets(*limits, "run1"))
        assert await taken(counts, again) == [""], name
        await counts.release([(name, kind, ["run1 10"])])
        assert await taken(counts, wanted[3], lease_ms=30) == [""], name
        last = want("s7", scope=name, **budgets(*limits, "run7"))
        while await taken(counts, last) != [""]:  # noqa: ASYNC110 - Redis's clock
            await asyncio.sleep(0.01)


async def test_tokens_of_a_run_are_counted_once_and_until_the_day_ends(
    counts: LimitCounts, raw_redis: redis_py.Redis
) -> None:
    """Two gateways may both have ended it. Tokens of another day do not count today."""
    spent = Spent("user:/ann", "run_1", 60)
    await counts.spend([spent])
    await counts.spend([spent, Spent("user:/ann", "run_2", 30)])
    wanted = [want(f"s{n}", **budgets(0, 100, f"run{n}")) for n in range(2)]
    assert await taken(counts, *wanted) == ["", "tokens_per_day"]

    await counts.spend([Spent("user:/ann", "run_3", 10)])
    ((answer,),) = await counts.take([[want("s2", **budgets(0, 100))]], LONG_MS)
    assert answer.reached == "tokens_per_day"
    left_ms = raw_redis.pttl("ms:limit:{user:/ann}:used")
    assert abs(answer.reset_ms - left_ms) < 1_000

    raw_redis.set("ms:limit:{user:/ann}:used", f"{time.time() // 86_400 - 1:.0f} 100", ex=60)
    assert await taken(counts, want("s3", **budgets(0, 100, "run3"))) == [""]


async def test_all_keys_of_a_scope_are_in_one_slot(
    counts: LimitCounts, raw_redis: redis_py.Redis
) -> None:
    """A cluster runs the script."""
    await counts.take(
        [[want("s", "r", between_us=1000, burst_us=1000, open_runs=1, **budgets(1, 1))]], LONG_MS
    )
    await counts.spend([Spent("user:/ann", "run_1", 5)])
    keys = [key.decode() for key in raw_redis.scan_iter("ms:limit:*")]
    assert sorted(keys) == [
        f"ms:limit:{{user:/ann}}:{name}"
        for name in ("bytes", "counted", "runs", "seen", "sends", "streams", "tokens", "used")
    ]
