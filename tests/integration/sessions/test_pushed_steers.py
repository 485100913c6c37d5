"""Messages for runs that workers push, over two gateways: in the answer once, or back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from midstream.agents.base import AgentTraits
from midstream.errors import FencedError, SessionNotFoundError, StoreUnavailableError
from midstream.protocol.chunks import SteeringMessageChunk
from midstream.sessions.queued import AskedSteer, SteerAnswer
from midstream.sessions.types import Attempt, PushedEnd
from tests.support.played import ALICE, BOB, user_message
from tests.support.processes import eventually

from .test_pushed import CLOSE, JOB, OPEN, STEP, S, answer, delta, finished, key_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from midstream.sessions.service import Sessions
    from midstream.store.calls import RunKey
    from tests.support.played import Script

pytestmark = pytest.mark.anyio

WAIT_S = 20.0
END_STEP = b'{"type":"finish-step"}'
BEGUN = (STEP, OPEN, delta("so far"), CLOSE, END_STEP)
AFTER = 1 + len(BEGUN)


async def claim(sessions: Sessions, *, reads: bool = True) -> tuple[RunKey, list[str]]:
    """Claim the job's run; return it, and what earlier attempts have taken up."""
    run = await sessions.pushed.claim(ALICE, JOB, "worker", Attempt(reads=reads))
    taken = [chunk.id for chunk in run.stored if isinstance(chunk, SteeringMessageChunk)]
    return key_of(run), taken


async def begin(sessions: Sessions, *, reads: bool = True) -> RunKey:
    """Claim a new run, and write its first step."""
    key, _ = await claim(sessions, reads=reads)
    await sessions.pushed.append(ALICE, key, 1, list(BEGUN))
    return key


async def steer(sessions: Sessions, name: str, wait_s: float = 0, **rest: Any) -> SteerAnswer:
    asked = AskedSteer(message=user_message(name, f"say {name}"), wait_s=wait_s, **rest)
    return await sessions.steers.steer(ALICE, S, asked)


async def given(sessions: Sessions, key: RunKey, known: Sequence[str] = ()) -> list[str]:
    """The messages that a worker is given."""
    renewal = await sessions.pushed.renew(ALICE, key, WAIT_S, list(known))
    return [msgspec.json.decode(each)["id"] for each in renewal.steers]


def taking(*names: str) -> list[bytes]:
    return [
        msgspec.json.encode(
            {
                "type": "steering-message",
                "id": name,
                "parts": [{"type": "text", "text": f"say {name}"}],
            }
        )
        for name in names
    ]


async def waiting(sessions: Sessions) -> list[str]:
    return [each.id for each in (await sessions.snapshot(ALICE, S)).steers]


async def queued(sessions: Sessions) -> list[str]:
    return [each.id for each in (await sessions.snapshot(ALICE, S)).queue.entries]


async def taken_up(sessions: Sessions) -> list[str]:
    """What the answer has of them."""
    parts = (await answer(sessions))["parts"]
    return [part["id"] for part in parts if part["type"] == "steering-message"]


async def test_worker_that_reads_is_given_a_message_at_once_and_takes_it_up(
    sessions: Sessions, other: Sessions
) -> None:
    """Through a renewal that another gateway holds; its sender hears of it."""
    key = await begin(sessions)
    held = asyncio.create_task(given(other, key))
    await eventually(lambda: S in other.shutdown.hub._attached, "the renewal is held")
    told = asyncio.create_task(steer(sessions, "s1", WAIT_S))
    assert await held == ["s1"]
    assert await waiting(sessions) == ["s1"]
    lines = [*taking("s1"), STEP, OPEN, delta("!"), CLOSE]
    await sessions.pushed.append(ALICE, key, AFTER, lines)
    outcome = await told
    assert (outcome.type, outcome.step_number) == ("delivered", 1)
    assert await waiting(other) == []
    await other.pushed.end(ALICE, key, finished(AFTER + len(lines)))
    assert await taken_up(sessions) == ["s1"]
    assert (await steer(other, "s1")).type == "delivered"


async def test_step_of_each_message_is_that_before_it(sessions: Sessions) -> None:
    """Also if one request takes up several, each after another step."""
    key = await begin(sessions)
    for name in ("s1", "s2", "s3"):
        assert (await steer(sessions, name)).type == "pending"
    assert await given(sessions, key) == ["s1", "s2", "s3"]
    assert await given(sessions, key, ["s1", "s3"]) == ["s2"]
    lines = [*taking("s1"), STEP, END_STEP, *taking("s2", "s3")]
    for _ in range(2):  # the second is a repeated request
        await sessions.pushed.append(ALICE, key, AFTER, lines)
    outcomes = [await steer(sessions, name) for name in ("s1", "s2", "s3")]
    assert [each.step_number for each in outcomes] == [1, 2, 2]


@pytest.mark.parametrize("is_configured", [False, True], ids=["unknown", "configured here"])
async def test_message_for_a_worker_that_does_not_read_is_unsupported_and_queued(
    sessions: Sessions, script: Script, is_configured: bool
) -> None:
    """Whatever the gateway's own agent of that name can do: it is told at once, and never waits."""
    script.traits = AgentTraits(steers=is_configured)
    key = await begin(sessions, reads=False)
    told = await steer(sessions, "s1", WAIT_S)
    assert (told.type, told.reason) == ("not-delivered", "unsupported")
    assert (await queued(sessions), await waiting(sessions)) == (["s1"], [])
    assert (await sessions.pushed.renew(ALICE, key, 0, [])).steers == ()


async def test_message_that_a_dead_worker_has_taken_is_given_to_the_next_attempt(
    sessions: Sessions, other: Sessions
) -> None:
    """The log does not have it: the earlier attempt can neither read nor write any more."""
    first = await begin(sessions)
    await steer(sessions, "s1")
    assert await given(sessions, first) == ["s1"]
    second, seen = await claim(other)
    assert seen == []
    with pytest.raises(FencedError):
        await sessions.pushed.renew(ALICE, first, 0, [])
    with pytest.raises(FencedError):
        await sessions.pushed.append(ALICE, first, AFTER, taking("s1"))
    assert await given(sessions, second) == ["s1"]
    await other.pushed.append(ALICE, second, AFTER, taking("s1"))
    await other.pushed.end(ALICE, second, finished(AFTER + 1))
    assert await taken_up(sessions) == ["s1"]
    assert (await queued(sessions), (await steer(sessions, "s1")).type) == ([], "delivered")


@pytest.mark.parametrize("next_reads", [True, False], ids=["reads", "does not read"])
async def test_gateway_that_dies_before_it_confirms_delivers_the_message_once(
    sessions: Sessions, other: Sessions, monkeypatch: pytest.MonkeyPatch, next_reads: bool
) -> None:
    """The log has it: the next claim says so, and does not give it again, or back."""
    first = await begin(sessions)
    await steer(sessions, "s1")

    async def lost(*_: object) -> None:
        raise StoreUnavailableError("unable to reach Redis")

    with monkeypatch.context() as dying:
        dying.setattr(sessions.pushed._store, "confirm_steers", lost)
        await sessions.pushed.append(ALICE, first, AFTER, taking("s1"))
    assert await waiting(sessions) == ["s1"]
    second, seen = await claim(other, reads=next_reads)
    assert (seen, await waiting(sessions), await queued(sessions)) == (["s1"], [], [])
    told = await steer(sessions, "s1")
    assert (told.type, told.step_number) == ("delivered", 1)
    await other.pushed.end(ALICE, second, finished(AFTER + 1))
    assert await taken_up(sessions) == ["s1"]


async def test_what_waits_comes_back_when_the_next_attempt_does_not_read(
    sessions: Sessions, other: Sessions
) -> None:
    await begin(sessions)
    told = asyncio.create_task(steer(sessions, "s1", WAIT_S))
    await eventually(lambda: has_one_waiting(sessions), "the message waits")
    await claim(other, reads=False)
    outcome = await told
    assert (outcome.type, outcome.reason) == ("not-delivered", "unsupported")
    assert await queued(sessions) == ["s1"]
    assert (await steer(sessions, "s2")).type == "not-delivered"


async def has_one_waiting(sessions: Sessions) -> bool:
    return len(await waiting(sessions)) == 1


@pytest.mark.parametrize(
    ("outcome", "reason"), [("finished", "finished"), ("failed", "error"), ("stopped", "aborted")]
)
async def test_what_a_worker_has_not_taken_up_comes_back_at_the_end(
    sessions: Sessions, outcome: Any, reason: str
) -> None:
    key = await begin(sessions)
    await steer(sessions, "s1")
    assert await given(sessions, key) == ["s1"]
    stopping = asyncio.create_task(sessions.stop(ALICE, S)) if outcome == "stopped" else None
    if stopping is not None:
        assert (await sessions.pushed.renew(ALICE, key, WAIT_S, ["s1"])).stopped_by == "alice"
        assert (await steer(sessions, "s2")).reason == "aborted"
    await sessions.pushed.end(ALICE, key, PushedEnd(first=AFTER, outcome=outcome))
    if stopping is not None:
        await stopping
    told = await steer(sessions, "s1")
    assert (told.type, told.reason) == ("not-delivered", reason)


async def test_nobody_else_reads_the_messages_of_a_run(sessions: Sessions) -> None:
    """Nor does a request that does not ask for them."""
    key = await begin(sessions)
    await steer(sessions, "s1")
    with pytest.raises(SessionNotFoundError):
        await sessions.pushed.renew(BOB, key, 0, [])
    stale = msgspec.structs.replace(key, fence=key.fence + 1)
    with pytest.raises(FencedError):
        await sessions.pushed.renew(ALICE, stale, 0, [])
    assert (await sessions.pushed.renew(ALICE, key, 0)).steers == ()
    assert (await sessions.pushed.renew(ALICE, key, 0, [])).steers != ()


async def test_a_thousand_messages_are_taken_up_in_order(
    sessions: Sessions, gateways: Callable[[], Awaitable[Sessions]]
) -> None:
    """At most 32 wait at once."""
    other = await gateways()
    key = await begin(sessions)
    names = [f"s{number}" for number in range(1_000)]
    after, seen = AFTER, list[str]()
    while len(seen) < len(names):
        batch = names[len(seen) : len(seen) + 32]
        for name in batch:
            assert (await steer(sessions, name)).type == "pending"
        taken = await given(other, key, seen[-32:])
        assert taken == batch
        after = (await other.pushed.append(ALICE, key, after, taking(*taken))).next
        seen += taken
    await sessions.pushed.end(ALICE, key, finished(after))
    assert await taken_up(sessions) == names
