"""A dead gateway's run, resumed by another one's agent: exactly, or not at all."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import Raw

from midstream.agents.base import AgentTraits
from midstream.errors import RunActiveError
from midstream.ids import SessionId
from midstream.protocol.chunks import FinishChunk, TextEndChunk
from midstream.sessions import open_sessions
from midstream.sessions.sentences import DIVERGED_SENTENCE
from midstream.store.records import RunOutcome
from midstream.store.redis.store import RedisStore
from tests.integration.sessions.test_several_gateways import DyingStore
from tests.support.played import ALICE, FAST, Played, Reading, Script, send, types, user_message
from tests.support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from midstream.agents.base import Interrupted
    from midstream.sessions.service import Sessions

pytestmark = pytest.mark.anyio
S = SessionId("chat-1")
HELLO = user_message("u1", "hello")


class DurableScript(Script):
    """An agent whose runs outlive their process, as far as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.traits = AgentTraits(durable=self)
        self.able = True
        self.offered: list[Interrupted] = []
        self.abandoned: list[bytes] = []

    def can_resume(self, interrupted: Interrupted) -> bool:
        self.offered.append(interrupted)
        return self.able

    async def abandon(self, point: bytes) -> None:
        self.abandoned.append(point)


class Pair:
    """Two gateways: a test lets the first one die."""

    def __init__(
        self, doomed: Sessions, survivor: Sessions, script: DurableScript, store: DyingStore
    ) -> None:
        self.doomed = doomed
        self.survivor = survivor
        self.script = script
        self.store = store

    async def begin(self) -> tuple[Played, Reading]:
        """Say `so far` in a run of the first one, of which `so` is before a point."""
        await self.doomed.start(
            ALICE, send(S, HELLO, model="m", body=Raw(b'{"kept":"to ourselves"}'))
        )
        run = await self.script.next()
        reader = await self.survivor.resume(ALICE, S)
        assert reader is not None
        watching = Reading(reader)
        run.open()
        run.tell("so")
        await watching.until(lambda r: r.text == "so")
        assert run.request.memory is not None
        await run.request.memory.remember(b"after so")
        run.tell(" far")
        await watching.until(lambda r: r.text == "so far")
        return run, watching

    def kill(self) -> None:
        self.store.dead = True


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[Pair]:
    """Two gateways with the same durable agent."""
    script = DurableScript()

    @asynccontextmanager
    async def opened(kind: type[RedisStore]) -> AsyncIterator[tuple[Sessions, RedisStore]]:
        async with (
            kind.connect(redis_url) as store,
            open_sessions(store, script, FAST) as sessions,
        ):
            yield sessions, store

    async with AsyncExitStack() as stack:
        doomed, store = await stack.enter_async_context(opened(DyingStore))
        survivor, _ = await stack.enter_async_context(opened(RedisStore))
        assert isinstance(store, DyingStore)
        yield Pair(doomed, survivor, script, store)


async def test_agent_goes_on_after_its_point(pair: Pair) -> None:
    """The agent gets the first one's request, repeats the chunks of the log, and continues."""
    first, watching = await pair.begin()
    pair.kill()
    second = await pair.script.next()
    second.tell(" far", ", and further")
    await watching.until(lambda r: r.text == "so far, and further")
    joined = await pair.survivor.resume(ALICE, S)
    assert joined is not None
    late = Reading(joined)
    second.end()

    chunks = await watching.end()
    assert types(chunks) == [
        *("start", "start-step", "text-start", "text-delta", "text-delta", "text-delta"),
        *("text-end", "finish-step", "finish"),
    ]
    assert (await late.end())[-1] == chunks[-1]
    assert late.text == watching.text == "so far, and further"
    [left] = pair.script.offered
    assert (left.next, left.point) == (4, b"after so")
    for name in ("session_id", "run_id", "message_id", "user", "tenant", "model", "body"):
        assert getattr(second.request, name) == getattr(first.request, name)
    assert [m.raw for m in second.request.history] == [m.raw for m in first.request.history]
    [run] = (await pair.survivor.snapshot(ALICE, S)).runs
    assert run.outcome is RunOutcome.FINISHED
    assert pair.script.abandoned == []


async def test_agent_that_is_cut_within_a_chunk_of_the_log_is_resumed_before_it(
    pair: Pair, redis_url: str
) -> None:
    """Its own point there is not kept: the next one is compared from where a chunk begins."""
    await pair.begin()
    pair.kill()
    second = await pair.script.next()
    second.tell(" f")
    await eventually(lambda: second.left == 0, "it has said a part of the log's chunk")
    assert second.request.memory is not None
    await second.request.memory.remember(b"after so f", required=False)
    async with (
        RedisStore.connect(redis_url) as store,
        open_sessions(store, pair.script, FAST) as others,
    ):
        await pair.survivor.drain(0.1)
        third = await pair.script.next()
        third.tell(" f", "ar", "!")
        reader = await others.resume(ALICE, S)
        assert reader is not None
        watching = Reading(reader)
        third.end()
        await watching.end()

        assert watching.text == "so far!"
        assert [left.point for left in pair.script.offered] == [b"after so"] * 2
        assert (await others.snapshot(ALICE, S)).runs[0].outcome is RunOutcome.FINISHED


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(lambda run: run.tell(" fat"), id="other words"),
        pytest.param(lambda run: run.say(TextEndChunk(id="t")), id="fewer words"),
        pytest.param(lambda run: run.say(FinishChunk(finish_reason="stop")), id="nothing"),
    ],
)
async def test_agent_that_says_something_else_is_cut_off(
    pair: Pair, again: Callable[[Played], None]
) -> None:
    """The run ends with an error after the chunks of the log; the other chunks are dropped."""
    _, watching = await pair.begin()
    pair.kill()
    second = await pair.script.next()
    again(second)
    second.end()

    chunks = await watching.end()
    assert types(chunks)[-4:] == ["text-delta", "text-end", "error", "finish"]
    assert chunks[-2]["errorText"] == DIVERGED_SENTENCE
    assert watching.text == "so far"
    await eventually(lambda: pair.script.abandoned == [b"after so"], "it is released")


async def test_agent_that_has_said_nothing_begins(pair: Pair) -> None:
    """Without a point it starts as in a new run."""
    await pair.doomed.start(ALICE, send(S, HELLO))
    await pair.script.next()
    reader = await pair.survivor.resume(ALICE, S)
    assert reader is not None
    watching = Reading(reader)
    pair.kill()
    second = await pair.script.next()
    second.open()
    second.tell("at last")
    second.end()

    assert types(await watching.end()).count("start") == 1
    assert watching.text == "at last"
    assert [left.point for left in pair.script.offered] == [b""]


async def test_run_that_cannot_be_gone_on_with_is_closed(pair: Pair) -> None:
    """As any orphan; what its agent held elsewhere is released."""
    pair.script.able = False
    _, watching = await pair.begin()
    pair.kill()

    assert types(await watching.end())[-3:] == ["text-end", "error", "finish"]
    assert pair.script.abandoned == [b"after so"]
    [run] = (await pair.survivor.snapshot(ALICE, S)).runs
    assert run.outcome is RunOutcome.INTERRUPTED


async def test_run_is_closed_when_going_on_fails(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of one run does not end the process that looks after all of them."""

    def fail(_: Interrupted) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(pair.script, "can_resume", fail)
    _, watching = await pair.begin()
    pair.kill()

    assert types(await watching.end())[-3:] == ["text-end", "error", "finish"]


async def test_send_that_meets_an_orphan_finds_it_alive(pair: Pair) -> None:
    """The run goes on; the new message has to wait for it, or to stop it."""
    _, watching = await pair.begin()
    pair.kill()
    second = await pair.script.next()
    with pytest.raises(RunActiveError):
        await pair.survivor.start(ALICE, send(S, user_message("u2", "and?")))
    second.tell(" far")
    second.end()

    assert types(await watching.end())[-1] == "finish"


async def test_stop_ends_a_run_that_was_taken_up(pair: Pair) -> None:
    """As any other, and what its agent holds elsewhere is released."""
    _, watching = await pair.begin()
    pair.kill()
    second = await pair.script.next()
    second.tell(" far", "!")
    await watching.until(lambda r: r.text == "so far!")

    await pair.survivor.stop(ALICE, S)

    assert types(await watching.end())[-3:] == ["text-end", "abort", "finish"]
    assert second.cancelled
    assert b"after so" in pair.script.abandoned


async def test_gateway_that_drains_hands_its_run_over(pair: Pair) -> None:
    """The other one goes on at once; it does not take its own run back."""
    first, watching = await pair.begin()

    await pair.doomed.drain(0.1)
    second = await pair.script.next()
    second.tell(" far", ".")
    second.end()

    assert types(await watching.end())[-1] == "finish"
    assert watching.text == "so far."
    assert first.cancelled
    assert pair.script.runs.empty()


async def test_clients_see_nothing_of_what_is_kept(pair: Pair, redis_url: str) -> None:
    """The asker, the body and the agent's point are not in the log or the snapshot."""
    _, watching = await pair.begin()

    snapshot = msgspec.json.encode(await pair.survivor.snapshot(ALICE, S))

    async with RedisStore.connect(redis_url) as store:
        state = await store.load(S)
    assert state is not None
    for shown in (snapshot, repr(state).encode(), b"".join(watching.lines)):
        assert b"to ourselves" not in shown
        assert b"after so" not in shown
    await pair.doomed.stop(ALICE, S)
    await watching.end()
