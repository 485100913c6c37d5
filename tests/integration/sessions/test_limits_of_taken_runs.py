"""The limits of a caller whose run is resumed by another gateway after its own died."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from midstream.errors import RateLimitedError
from midstream.ids import SessionId
from midstream.limits.limiter import Limiter, open_limiter
from midstream.limits.policy import Policy, Quota
from midstream.sessions import Sessions, open_sessions
from midstream.sessions.types import RunCost
from midstream.store.redis.store import RedisStore
from tests.integration.sessions.test_resume import DurableScript
from tests.integration.sessions.test_several_gateways import DyingStore
from tests.support.played import ALICE, FAST, Reading, send, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis as redis_py

pytestmark = pytest.mark.anyio

S = SessionId("chat-1")
SCOPE = f"user:{ALICE.tenant}/{ALICE.user}"
RUNS, USED = f"ms:limit:{{{SCOPE}}}:runs", f"ms:limit:{{{SCOPE}}}:used"
POLICY = Policy(callers=Quota(open_runs=1, tokens_per_day=1_000_000, stored_bytes=1_000_000))


class Gateway:
    """A gateway's sessions, and what limits their callers."""

    def __init__(self, store: RedisStore, sessions: Sessions, limits: Limiter) -> None:
        self.store = store
        self.sessions = sessions
        self.limits = limits

    def held(self) -> int:
        """Return how many runs of Alice's it holds a place for."""
        return self.limits._holds.count(SCOPE, "runs")


@asynccontextmanager
async def opened(
    kind: type[RedisStore], redis_url: str, script: DurableScript
) -> AsyncIterator[Gateway]:
    async with (
        kind.connect(redis_url) as store,
        open_limiter(store.limits, POLICY, strict=True, wait_s=5) as limits,
        open_sessions(store, script, FAST, adopt_hold=limits.adopt) as sessions,
    ):
        yield Gateway(store, sessions, limits)


@pytest.fixture
def script() -> DurableScript:
    """The agent of both gateways."""
    return DurableScript()


@pytest.fixture
async def two(redis_url: str, script: DurableScript) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two gateways: a test lets the first one die."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(opened(DyingStore, redis_url, script))
        yield first, await stack.enter_async_context(opened(RedisStore, redis_url, script))


async def test_run_counts_where_it_goes_on_and_is_given_back_once(
    two: tuple[Gateway, Gateway], script: DurableScript, raw_redis: redis_py.Redis
) -> None:
    """Also if the first gateway was not dead, but slow: what it lets go is not its to give."""
    first, second = two
    assert isinstance(first.store, DyingStore)
    request = send(S, user_message("u1", "hello"))
    cost = RunCost(10, 10)
    async with first.limits.sending(ALICE, S, "key", streams=False, cost=cost) as grant:
        await first.sessions.start(ALICE, request, grant.run)
    (await script.next()).open()
    assert (first.held(), second.held()) == (1, 0)

    first.store.dead = True
    going_on = await script.next()
    assert second.held() == 1
    # As if its lease had run out: what dies says nothing any more.
    raw_redis.delete(RUNS)
    await second.limits._holds.renew()
    with pytest.raises(RateLimitedError, match="1 answers at the same time"):
        await try_to_send(second)

    first.store.dead = False
    await eventually(lambda: first.held() == 0, "the first gateway knows that it is not its run")
    await first.limits._holds.tell()
    assert raw_redis.zcard(RUNS) == 1

    reader = await second.sessions.resume(ALICE, S)
    assert reader is not None
    going_on.request.spent.tokens = 321
    going_on.tell("hello")
    going_on.end()
    await Reading(reader).end()
    await eventually(lambda: not raw_redis.exists(RUNS), "its place is given back")
    await eventually(lambda: raw_redis.exists(USED) == 1, "its tokens are counted")
    used = raw_redis.get(USED)
    assert isinstance(used, bytes)
    assert used.split()[1] == b"321"
    await try_to_send(second)


async def test_hold_of_a_later_version_is_none_here(two: tuple[Gateway, Gateway]) -> None:
    """The run goes on all the same."""
    limits = two[0].limits
    assert [limits.adopt(told) for told in (b"", b"null", b'{"places":7}')] == [None] * 3


async def try_to_send(gateway: Gateway) -> None:
    """Take what another send would need, and leave it."""
    async with gateway.limits.sending(
        ALICE, SessionId("another"), None, streams=False, cost=RunCost()
    ):
        pass
